/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl import-httpd: the units that do what lines of Apache httpd for mod_proxy_fdpass did. */

#include <fcntl.h>
#include <getopt.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"
#include "fdpassctl/fdpassctl.h"
#include "fdpassctl/httpd.h"

/* Debian's; a file that says ServerRoot says otherwise. */
#define SERVER_ROOT "/etc/apache2"

#define FILE_MAX (16 * 1024 * 1024)

DEFINE_CLEANUP(FILE *, fclose);

static int help(void) {
        printf("fdpassctl import-httpd [OPTIONS...] FILE...\n\n"
               "Print the units that replace ProxyPass and ProxyPassMatch lines with fd:// of Apache httpd.\n"
               "What can't be expressed is said on stderr, with file and line.\n\n"
               "Options:\n"
               "  -h --help             Show this help\n"
               "     --server-root=DIR  Where relative paths begin until a file says ServerRoot (" SERVER_ROOT ")\n"
               "     --output=DIR       Write the units into files there, which must not be there yet\n");
        return EXIT_SUCCESS;
}

static void report(void *userdata, unsigned line, const char *message) {
        fprintf(stderr, "%s:%u: %s\n", (const char *) userdata, line, message);
}

static int read_file(const char *path, char **ret, size_t *ret_n) {
        _cleanup_(fclosep) FILE *f = fopen(path, "re");
        _cleanup_free_ char *text = NULL;
        size_t n = 0, size = 0;

        if (!f)
                return -errno;

        for (;;) {
                if (n == size) {
                        char *more = realloc(text, size = MAX(size * 2, (size_t) 65536));

                        if (!more)
                                return -ENOMEM;
                        text = more;
                }

                n += fread(text + n, 1, size - n, f);
                if (n > FILE_MAX)
                        return -EFBIG;
                if (n < size)
                        break;
        }

        if (ferror(f))
                return -EIO;

        *ret = TAKE_PTR(text);
        *ret_n = n;
        return 0;
}

/* One that is there already is somebody's. */
static FILE *open_unit(int directory_fd, const char *name) {
        int fd = openat(directory_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

        if (fd >= 0 && !f)
                fd_close(fd);
        return f;
}

static int write_unit(const HttpdRoute *route, const char *name, const char *path, int directory_fd) {
        FILE *f = open_unit(directory_fd, name);
        bool failed;

        if (!f)
                return -errno;

        httpd_unit_print(route, path, f);
        failed = ferror(f) != 0;
        return fclose(f) != 0 || failed ? -EIO : 0;
}

static int import_one(const char *path, const char *server_root, int directory_fd, size_t *n_units) {
        _cleanup_free_ char *text = NULL, *userdata = strdup(path);
        _cleanup_(httpd_routes_done) HttpdRoutes routes = {};
        size_t n = 0;
        int r;

        if (!userdata)
                return -ENOMEM;

        r = read_file(path, &text, &n);
        if (r >= 0)
                r = httpd_parse(text, n, server_root, report, userdata, &routes);

        for (size_t i = 0; i < routes.n_items && r >= 0; i++) {
                char name[256];

                httpd_unit_name(&routes, i, name, sizeof(name));
                printf("%s# %s\n", *n_units > 0 ? "\n" : "", name);
                if (directory_fd >= 0)
                        r = write_unit(&routes.items[i], name, path, directory_fd);
                else
                        httpd_unit_print(&routes.items[i], path, stdout);
                (*n_units)++;
        }

        return r;
}

int verb_import_httpd(int argc, char *argv[]) {
        enum { ARG_SERVER_ROOT = 0x100, ARG_OUTPUT };
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "server-root", required_argument, NULL, ARG_SERVER_ROOT },
                { "output", required_argument, NULL, ARG_OUTPUT },
                {},
        };
        const char *server_root = SERVER_ROOT, *output = NULL;
        _cleanup_close_ int directory_fd = -EBADF;
        size_t n_units = 0;
        int c;

        optind = 0; /* a new beginning (getopt(3)) */
        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        return help();
                case ARG_SERVER_ROOT:
                        server_root = optarg;
                        break;
                case ARG_OUTPUT:
                        output = optarg;
                        break;
                default:
                        return EXIT_FAILURE;
                }

        if (optind == argc) {
                fprintf(stderr, "import-httpd needs a file: httpd's configuration.\n");
                return EXIT_FAILURE;
        }

        if (output) {
                directory_fd = open(output, O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (directory_fd < 0) {
                        fprintf(stderr, "Failed to open %s: %s.\n", output, strerror(errno));
                        return EXIT_FAILURE;
                }
        }

        for (int i = optind; i < argc; i++) {
                int r = import_one(argv[i], server_root, directory_fd, &n_units);

                if (r < 0) {
                        fprintf(stderr, "Failed to import %s: %s.\n", argv[i], strerror(-r));
                        return EXIT_FAILURE;
                }
        }

        if (n_units == 0) {
                fprintf(stderr, "Nothing is handed to mod_proxy_fdpass there.\n");
                return EXIT_FAILURE;
        }

        return EXIT_SUCCESS;
}
