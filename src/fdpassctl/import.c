/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl import: prints the units that replace the configuration of another program. */

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/output.h"
#include "fdpassctl/add-units.h"
#include "fdpassctl/import-httpd.h"
#include "fdpassctl/import-sink.h"
#include "fdpassctl/options.h"
#include "fdpassctl/verbs.h"

/* Debian's default, until a file sets ServerRoot. */
#define IMPORT_SERVER_ROOT "/etc/apache2"

/* Limit of a file, in bytes. Files of these programs have a few hundred lines at most. */
#define IMPORT_SIZE_MAX ((size_t) 256 << 10)

static const char import_help[] =
        "fdpassctl import [OPTIONS...] FORMAT FILE...\n\n"
        "Print the units that replace the configuration of another program.\n"
        "Messages on stderr name the lines that units can't express.\n\n"
        "Formats:\n"
        "  httpd                 ProxyPass and ProxyPassMatch lines with fd:// of Apache httpd\n"
        "  inetd                 inetd.conf\n"
        "  sslh                  sslh.cfg\n"
        "  socket-proxyd         A service of systemd-socket-proxyd\n\n"
        "Options:\n"
        "  -h --help             Show this help\n"
        "     --output=DIR       Write the units to new files in this directory\n"
        "     --server-root=DIR  Directory of relative paths of httpd, before ServerRoot (" IMPORT_SERVER_ROOT ")\n";

static const struct {
        const char *name;
        int (*convert)(const ImportSink *sink, char *text);
} import_formats[] = {
        { "inetd", import_inetd },
        { "sslh", import_sslh },
        { "socket-proxyd", import_socket_proxyd },
};

/* The units so far. */
typedef struct ImportOutput {
        int directory_fd; /* directory for the units; -EBADF: standard output */
        size_t n_files;
} ImportOutput;

static void import_print_message(void *userdata, const char *file, unsigned line, const char *message) {
        output_text(stderr, file);
        if (line > 0)
                fprintf(stderr, ":%u", line);
        fputs(": ", stderr);
        output_text(stderr, message);
        fputc('\n', stderr);
}

/* Fails if the file exists, because an administrator may have edited it. */
static int import_write_file(int directory_fd, const AddFile *file) {
        _cleanup_close_ int fd = -EBADF;
        const char *slash = strchr(file->path, '/');
        char directory[NAME_MAX + 1];
        size_t n = strlen(file->text);
        ssize_t k;

        (void) snprintf(directory, sizeof(directory), "%.*s", slash ? (int) (slash - file->path) : 0, file->path);
        if (slash && mkdirat(directory_fd, directory, 0755) < 0 && errno != EEXIST)
                return -errno;

        fd = openat(directory_fd, file->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0)
                return -errno;

        k = write(fd, file->text, n);
        return k < 0 ? -errno : (size_t) k < n ? -ENOSPC : 0;
}

static int import_take_file(ImportOutput *out, const AddFile *file) {
        int r = 0;

        printf("%s# %s\n", out->n_files++ > 0 ? "\n" : "", file->path);
        if (out->directory_fd < 0)
                fputs(file->text, stdout);
        else
                r = import_write_file(out->directory_fd, file);
        if (r < 0)
                fprintf(stderr, "Failed to write %s: %s.\n", file->path, strerror(-r));
        return r;
}

static int import_take(void *userdata, AddFiles *files) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < files->n_items; i++)
                r = import_take_file(userdata, &files->items[i]);
        add_files_done(files);
        return r;
}

/* Reads a file, for the caller to free. Returns NULL after a message. */
static char *import_read(const char *path) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        char *text = fd < 0 ? NULL : malloc(IMPORT_SIZE_MAX + 2);
        ssize_t n = fd < 0 ? -errno : text ? fd_read(fd, text, IMPORT_SIZE_MAX + 1) : -ENOMEM;

        if (n > (ssize_t) IMPORT_SIZE_MAX)
                n = -EFBIG;
        if (n >= 0 && memchr(text, '\0', (size_t) n))
                n = -EINVAL;
        if (n >= 0) {
                text[n] = '\0';
                return text;
        }

        fprintf(stderr, "Failed to read %s: %s.\n", path, n == -EINVAL ? "it is no text" : strerror((int) -n));
        free(text);
        return NULL;
}

/* Returns 0, or a negative errno after a message. */
static int import_file(size_t format, const char *path, ImportOutput *out) {
        const ImportSink sink = { .file = path, .say = import_print_message, .take = import_take, .userdata = out };
        _cleanup_free_ char *text = import_read(path);
        int r = text ? import_formats[format].convert(&sink, text) : -EIO;

        if (r == -ENOMEM)
                fprintf(stderr, "Out of memory.\n");
        return r;
}

static int import_run(size_t format, int n, char *files[], const char *output) {
        _cleanup_close_ int directory_fd = output ? open(output, O_PATH | O_DIRECTORY | O_CLOEXEC) : -EBADF;
        ImportOutput out = { .directory_fd = directory_fd };

        if (output && directory_fd < 0) {
                fprintf(stderr, "Failed to open %s: %s.\n", output, strerror(errno));
                return EXIT_FAILURE;
        }

        for (int i = 0; i < n; i++)
                if (import_file(format, files[i], &out) < 0)
                        return EXIT_FAILURE;

        if (out.n_files == 0)
                fprintf(stderr, "No unit is printed.\n");
        return out.n_files == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int verb_import(int argc, char *argv[]) {
        const char *server_root = IMPORT_SERVER_ROOT, *output = NULL;
        const VerbOption options[] = { { "server-root", .text = &server_root }, { "output", .text = &output }, {} };
        int i = parse_options(argc, argv, import_help, options, NULL);

        if (i <= 0)
                return i;

        if (argc - i < 2) {
                fprintf(stderr,
                        "import needs a format and a file: httpd, inetd, sslh or socket-proxyd, and the program's "
                        "configuration.\n");
                return EXIT_FAILURE;
        }

        if (streq(argv[i], "httpd"))
                return import_httpd(argc - i - 1, argv + i + 1, server_root, output);

        for (size_t k = 0; k < ELEMENTSOF(import_formats); k++)
                if (streq(import_formats[k].name, argv[i]))
                        return import_run(k, argc - i - 1, argv + i + 1, output);

        fprintf(stderr, "%s: the format must be httpd, inetd, sslh or socket-proxyd.\n", argv[i]);
        return EXIT_FAILURE;
}
