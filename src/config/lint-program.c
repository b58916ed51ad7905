/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "basic/fd.h"
#include "config/lint-checks.h"

/* Bytes of a program that are looked at: those that the kernel reads of a script (binfmt_script.c). */
#define BEGIN_SIZE 256

/* Settings that give the service other files than the host's (systemd.exec(5)). */
static bool lint_program_has_other_files(const Unit *service) {
        static const char *const keys[] = {
                "BindPaths", "BindReadOnlyPaths", "ExecSearchPath", "ExtensionDirectories", "ExtensionImages",
                "InaccessiblePaths", "MountImages", "RootDirectory", "RootEphemeral", "RootImage",
                "TemporaryFileSystem",
        };

        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (lint_in_effect(service, SECTION_SERVICE, keys[i]))
                        return true;

        return false;
}

/*
 * Writes the program of an ExecStart= line without the signs before it (systemd.service(5), "Command lines"). Returns
 * false if its name can't be told here.
 */
static bool lint_program_name(const char *value, char ret[static PATH_MAX]) {
        size_t n;

        value += strspn(value, "@-:+!|");
        n = strcspn(value, WHITESPACE);
        if (n == 0 || n >= PATH_MAX || strcspn(value, "%$\"'\\") < n)
                return false;

        memcpy(ret, value, n);
        ret[n] = '\0';
        return true;
}

static int lint_program_open(const Lint *l, const char *path) {
        return fd_open_in_root(l->path->root_fd, path, O_PATH);
}

/* Finds a program without a slash as systemd does (DEFAULT_PATH). Returns a descriptor or a negative errno. */
static int lint_program_search(const Lint *l, const char *name) {
        static const char *const directories[] = {
                "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin",
        };
        char path[PATH_MAX];
        int fd = -ENOENT;

        for (size_t i = 0; fd < 0 && i < ELEMENTSOF(directories); i++)
                if (snprintf(path, sizeof(path), "%s/%s", directories[i], name) < (int) sizeof(path))
                        fd = lint_program_open(l, path);

        return fd;
}

static bool lint_program_is_text(const char *p, size_t n) {
        for (size_t i = 0; i < n; i++)
                if ((uint8_t) p[i] == 0x7f || ((uint8_t) p[i] < ' ' && !strchr("\t\n\r\f", p[i])) || !p[i])
                        return false;

        return n > 0;
}

/* Returns the program that env(1) starts for a first line such as "#!/usr/bin/env python3". NULL: it is not known. */
static char *lint_program_of_env(const char *interpreter, char *rest) {
        size_t n;

        rest += strspn(rest, WHITESPACE);
        n = strcspn(rest, WHITESPACE "\r\n");
        if (!endswith(interpreter, "/env") || n == 0 || rest[0] == '-' || memchr(rest, '=', n))
                return NULL;

        rest[n] = '\0';
        return rest;
}

/* Checks the interpreter of a script. @text: the beginning of the file. */
static void lint_program_check_script(const Lint *l, const Unit *service, Assignment *a, const char *name, char *text) {
        char *interpreter = text + 2 + strspn(text + 2, WHITESPACE);
        _cleanup_close_ int fd = -EBADF;
        size_t n = strcspn(interpreter, WHITESPACE "\r\n");
        bool has_return = interpreter[n] == '\r', has_end = interpreter[n] == '\0' || interpreter[n] == '\n';
        char *program = NULL;

        interpreter[n] = '\0';
        fd = interpreter[0] == '/' ? lint_program_open(l, interpreter) : -EBADF;
        if (has_return)
                lint_warn(l, service, a, "The first line of %s ends with a carriage return, which becomes a part of "
                          "the interpreter's name, so the service can't start; remove it.", name);
        else if (fd >= 0 && !has_end && (program = lint_program_of_env(interpreter, interpreter + n + 1))) {
                fd_close(fd);
                fd = lint_program_search(l, program);
                interpreter = program;
        }

        if (!has_return && (interpreter[0] == '/' || program) && errno_is_missing(fd))
                lint_warn(l, service, a, "The service can't start, because the interpreter %.80s of %s does not exist; "
                          "change the first line of that file, or install the interpreter.", interpreter, name);
}

static void lint_program_check_begin(const Lint *l, const Unit *service, Assignment *a, const char *name, int path_fd) {
        char path[32], text[BEGIN_SIZE + 1];
        _cleanup_close_ int fd = -EBADF;
        ssize_t n;

        (void) snprintf(path, sizeof(path), "/proc/self/fd/%i", path_fd);
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        n = fd < 0 ? -EACCES : fd_read(fd, text, BEGIN_SIZE);
        if (n < 0)
                return; /* it is not for us to read */

        text[n] = '\0';
        if (n >= 2 && text[0] == '#' && text[1] == '!')
                lint_program_check_script(l, service, a, name, text);
        else if (n == 0 || lint_program_is_text(text, (size_t) n))
                lint_warn(l, service, a, "The service can't start, because %s is a text without \"#!\" and an "
                          "interpreter in its first line; add them, for instance #!/usr/bin/python3.", name);
}

static void lint_program_check_file(const Lint *l, const Unit *service, Assignment *a, const char *name, int fd) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return;

        if (S_ISDIR(st.st_mode))
                lint_warn(l, service, a, "The service can't start, because %s is a directory; write the path of a "
                          "program.", name);
        else if (S_ISREG(st.st_mode) && !(st.st_mode & 0111))
                lint_warn(l, service, a, "The service can't start, because %s is not executable: chmod +x %s.", name,
                          name);
        else if (S_ISREG(st.st_mode) && !(st.st_mode & 0001) && lint_is_on(service, SECTION_SERVICE, "DynamicUser"))
                lint_warn(l, service, a, "The service can't start, because with DynamicUser=yes it runs as a user of "
                          "its own, which may not execute %s: chmod o+rx %s.", name, name);
        else if (S_ISREG(st.st_mode))
                lint_program_check_begin(l, service, a, name, fd);
}

static void lint_program_check_line(const Lint *l, const Unit *service, Assignment *a) {
        _cleanup_close_ int fd = -EBADF;
        char name[PATH_MAX];

        if (!lint_program_name(a->value, name))
                return;

        fd = name[0] == '/' ? lint_program_open(l, name) : lint_program_search(l, name);
        if (fd >= 0)
                lint_program_check_file(l, service, a, name, fd);
        else if (errno_is_missing(fd))
                lint_warn(l, service, a, "The service can't start, because there is no program %s; change the path, or "
                          "install the program.", name);
}

void lint_program(const Lint *l, const Unit *service) {
        Assignment *a;
        size_t i = 0;

        if (!lint_in_effect(service, SECTION_SERVICE, "ExecStart") &&
            !lint_in_effect(service, SECTION_SERVICE, "ExecStop") &&
            !lint_in_effect(service, SECTION_UNIT, "SuccessAction"))
                lint_warn_file(l, service, LINT_NO_PROGRAM, "The service starts no program, because it has no "
                               "ExecStart= in [Service]; add the line.");

        if (lint_program_has_other_files(service))
                return;

        while ((a = lint_next(service, SECTION_SERVICE, "ExecStart", &i)))
                lint_program_check_line(l, service, a);
}
