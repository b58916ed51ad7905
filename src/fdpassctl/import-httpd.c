/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl import httpd: prints the units that replace the lines of Apache httpd for mod_proxy_fdpass. */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"
#include "fdpassctl/httpd.h"
#include "fdpassctl/import-httpd.h"

typedef struct ImportOptions {
        const char *server_root;
        const char *output; /* directory for the units; NULL: standard output */
} ImportOptions;

static bool import_has_reported;

static void import_report(_unused_ void *userdata, const HttpdPlace *place, const char *message) {
        import_has_reported = true;
        fprintf(stderr, "%s:%u: %s", place->file, place->line, message);
        if (place->use_file)
                fprintf(stderr, " (Use in %s:%u)", place->use_file, place->use_line);
        fputc('\n', stderr);
}

/* Fails if the file exists, because an administrator may have edited it. */
static FILE *import_open_unit(int directory_fd, const char *name) {
        int fd = openat(directory_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

        if (fd >= 0 && !f)
                fd_close(fd);
        return f;
}

static int import_write_unit(const HttpdRoute *route, const char *name, int directory_fd) {
        FILE *f = import_open_unit(directory_fd, name);
        bool has_failed;

        if (!f)
                return -errno;

        httpd_unit_print(route, f);
        has_failed = ferror(f) != 0;
        return fclose(f) != 0 || has_failed ? -EIO : 0;
}

/* Returns 0, or a negative errno after a message. */
static int import_print(const HttpdRoutes *routes, int directory_fd) {
        for (size_t i = 0; i < routes->n_items; i++) {
                const HttpdRoute *route = &routes->items[i];
                char name[256];
                int r = 0;

                httpd_unit_name(routes, i, name, sizeof(name));
                printf("%s# %s\n", i > 0 ? "\n" : "", name);
                if (directory_fd >= 0)
                        r = import_write_unit(route, name, directory_fd);
                else
                        httpd_unit_print(route, stdout);
                if (r < 0) {
                        fprintf(stderr, "Failed to import %s: %s.\n", route->place.file, strerror(-r));
                        return r;
                }
        }

        return 0;
}

/* Reads all files, because what one says of the server holds for the hosts of all. */
static int import_read(int argc, char *argv[], HttpdConfig *c, HttpdRoutes *ret) {
        for (int i = 0; i <= argc; i++) {
                int r = i < argc ? httpd_config_read_file(c, argv[i]) : httpd_config_finish(c, ret);

                if (r < 0) {
                        fprintf(stderr, "Failed to import %s: %s.\n", i < argc ? argv[i] : "the files", strerror(-r));
                        return r;
                }
        }

        return 0;
}

/* Returns 0, or a negative errno after a message. */
static int import_files(int argc, char *argv[], const ImportOptions *o, size_t *ret_n_units) {
        const HttpdOptions options = { .server_root = o->server_root, .may_include = true, .say = import_report };
        _cleanup_(httpd_config_freep) HttpdConfig *config = NULL;
        _cleanup_(httpd_routes_done) HttpdRoutes routes = {};
        _cleanup_close_ int directory_fd = -EBADF;
        int r;

        if (o->output) {
                directory_fd = open(o->output, O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (directory_fd < 0) {
                        r = -errno;
                        fprintf(stderr, "Failed to open %s: %s.\n", o->output, strerror(-r));
                        return r;
                }
        }

        r = httpd_config_new(&options, &config);
        if (r < 0) {
                fprintf(stderr, "Out of memory.\n");
                return r;
        }

        r = import_read(argc, argv, config, &routes);
        if (r < 0)
                return r;

        *ret_n_units = routes.n_items;
        return import_print(&routes, directory_fd);
}

int import_httpd(int n, char *files[], const char *server_root, const char *output) {
        const ImportOptions o = { .server_root = server_root, .output = output };
        size_t n_units = 0;

        if (import_files(n, files, &o, &n_units) < 0)
                return EXIT_FAILURE;

        if (n_units == 0) {
                fprintf(stderr, import_has_reported ? "No unit is printed.\n" :
                                "No line there hands clients to mod_proxy_fdpass.\n");
                return EXIT_FAILURE;
        }

        return EXIT_SUCCESS;
}
