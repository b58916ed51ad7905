/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/add-program.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"
#include "fdpassctl/add-command.h"
#include "fdpassctl/add-recipes.h"

#define EXEC_PATH FDPASS_LIBEXEC_DIR "/fdpass-exec"

/* The directories of systemd's default for the programs of services (systemd.exec(5), ExecSearchPath=). */
static const char *const add_program_directories[] = { "/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin" };

/* Returns 0 if there is an executable file, otherwise a negative errno. */
static int add_program_check(int root_fd, const char *path) {
        _cleanup_close_ int fd = fd_open_in_root(root_fd, path, O_PATH);
        struct stat st;

        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return S_ISDIR(st.st_mode) ? -EISDIR : -EACCES;

        return st.st_mode & 0111 ? 0 : -EACCES;
}

/* Sets ->program_path to the file of a name without a slash. */
static int add_program_search(int root_fd, AddPlan *plan) {
        for (size_t i = 0; i < ELEMENTSOF(add_program_directories); i++) {
                char *path;

                if (asprintf(&path, "%s/%s", add_program_directories[i], plan->program[0]) < 0)
                        return -ENOMEM;
                if (add_program_check(root_fd, path) >= 0) {
                        plan->program_path = path;
                        return 0;
                }
                free(path);
        }

        fprintf(stderr, "%s: there is no such program in /usr/local/bin, /usr/bin, /usr/local/sbin and /usr/sbin. "
                        "Give its absolute path.\n", plan->program[0]);
        return -ENOENT;
}

static int add_program_use_path(int root_fd, AddPlan *plan) {
        const char *path = plan->program[0];
        int r;

        if (path[0] != '/') {
                fprintf(stderr, "%s: a service has another working directory; give the absolute path.\n", path);
                return -EINVAL;
        }

        r = add_program_check(root_fd, path);
        if (r < 0) {
                fprintf(stderr, "%s: %s.\n", path, r == -EACCES ? "it is no program: the file is not executable"
                                                                 : strerror(-r));
                return r;
        }

        plan->program_path = strdup(path);
        return plan->program_path ? 0 : -ENOMEM;
}

static bool add_program_is_below(const char *path, const char *directory) {
        const char *rest = startswith(path, directory);

        return rest && (*rest == '/' || !*rest);
}

/* The sandbox hides some directories. The user of the service may not read others. */
static int add_program_check_sandbox(const AddPlan *plan) {
        static const struct {
                const char *directory, *why;
        } hidden[] = {
                { "/root", "the service runs as an unprivileged user, which may not read /root" },
                { "/tmp", "the service has a /tmp of its own (PrivateTmp=)" },
                { "/var/tmp", "the service has a /var/tmp of its own (PrivateTmp=)" },
                { "/run/user", "the service does not see /run/user (ProtectHome=)" },
        };

        for (size_t i = 0; !plan->recipe->unit && plan->program[i]; i++)
                for (size_t k = 0; k < ELEMENTSOF(hidden); k++)
                        if (add_program_is_below(plan->program[i], hidden[k].directory)) {
                                fprintf(stderr, "%s: %s. Move it, for instance to /usr/local/bin or /srv.\n",
                                        plan->program[i], hidden[k].why);
                                return -EINVAL;
                        }

        return 0;
}

int add_program_find(int root_fd, AddPlan *plan) {
        int r;

        if (!plan->program)
                return 0;

        r = add_program_check_sandbox(plan);
        if (r < 0)
                return r;

        r = strchr(plan->program[0], '/') ? add_program_use_path(root_fd, plan) : add_program_search(root_fd, plan);
        plan->has_program = r >= 0;
        return r;
}

/* True if an argument names a file below /home. */
static bool add_program_needs_home(const AddPlan *plan) {
        for (size_t i = 0; plan->program[i]; i++)
                if (add_program_is_below(plan->program[i], "/home") || strstr(plan->program[i], "=/home/"))
                        return true;

        return false;
}

/* True if @text names the program @word: for "node" also "node18" and "nodejs", and not "node_exporter". */
static bool add_program_names(const char *text, const char *word) {
        size_t n = strlen(word);

        for (const char *p = text; (p = strstr(p, word)); p++)
                if (p > text && strchr("/ ", p[-1]) && (strchr("0123456789.- ", p[n]) || startswith(p + n, "js")))
                        return true; /* strchr(3) finds the end of the text, too */

        return false;
}

/* True if the path or the first line of the program ("#!") has this word. */
static bool add_program_mentions(const AddPlan *plan, const char *word) {
        _cleanup_close_ int fd =
                plan->has_program ? open(plan->program_path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK) : -EBADF;
        const char *base = strrchr(plan->program_path, '/');
        char line[128] = "";
        ssize_t n = fd < 0 ? 0 : fd_read(fd, line, sizeof(line) - 1);

        if (base && add_program_names(base, word))
                return true;

        line[MAX(n, (ssize_t) 0)] = '\0';
        line[strcspn(line, "\n")] = '\0';
        return startswith(line, "#!") && add_program_names(line, word);
}

/* True for the interpreters that make machine code at run time. */
static bool add_program_compiles(const AddPlan *plan) {
        static const char *const words[] = { "node", "java", "php", "deno", "bun", "dotnet", "luajit", "pypy", "ruby" };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (add_program_mentions(plan, words[i]))
                        return true;

        return false;
}

/* The first word is a plain path there, because the examples and add_command_make() write it so. */
int add_program_check_files(int root_fd, const AddPlan *plan, const AddFiles *files) {
        for (size_t i = 0; !plan->program && i < files->n_items; i++) {
                const char *line = strstr(files->items[i].text, "\nExecStart=/");
                char path[PATH_MAX];
                int r;

                if (!line)
                        continue;

                line += strlen("\nExecStart=");
                (void) snprintf(path, sizeof(path), "%.*s", (int) strcspn(line, " \n"), line);
                r = add_program_check(root_fd, path);
                if (r < 0) {
                        fprintf(stderr, "There is no program %s. Install it first%s.\n", path,
                                plan->server ? ", or give another one behind --" : "");
                        return r;
                }
        }

        return 0;
}

static char *add_program_command(const AddPlan *plan) {
        _cleanup_free_ char *command = NULL;
        char *first = plan->program[0], *line = NULL;

        plan->program[0] = plan->program_path;
        command = add_command_make(plan->program);
        plan->program[0] = first;
        if (!command ||
            asprintf(&line, "ExecStart=%s%s", plan->inetd ? EXEC_PATH " --exit-idle-time=5min " : "", command) < 0)
                return NULL;

        return line;
}

void add_program_edit(const AddPlan *plan, AddEdits *edits) {
        _cleanup_free_ char *command = NULL;

        if (!plan->server)
                add_edit(edits, ADD_EDIT_REPLACE, "Description=", "Description=%s %s",
                         plan->inetd ? "Program for Each Client of" : "Worker", plan->name);
        if (!plan->program)
                return;

        command = add_program_command(plan);
        if (!command) {
                edits->error = -ENOMEM;
                return;
        }

        add_edit(edits, ADD_EDIT_REPLACE, "ExecStart=", "%s", command);
        if (add_program_needs_home(plan))
                add_edit(edits, ADD_EDIT_REPLACE, "ProtectHome=", "ProtectHome=read-only");
        if (add_program_compiles(plan))
                add_edit(edits, ADD_EDIT_REPLACE,
                         "MemoryDenyWriteExecute=", "# It compiles while it runs.\nMemoryDenyWriteExecute=no");
        if (!add_program_mentions(plan, "python"))
                add_edit_drop(edits, "Environment=PYTHON");
}
