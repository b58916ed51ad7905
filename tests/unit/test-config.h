/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A directory tree that stands for "/", made by a test, and what config_load() finds in it. */

#include "test.h"

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

#include "basic/fd.h"
#include "config/config.h"

#define ETC "/etc/systemd/system"
#define USR "/usr/lib/systemd/system"
#define WANTS ETC "/fdpass.target.wants"

/* A worker's unit that is complete, and nothing else. */
#define WORKER "[Socket]\nListenStream=/run/w.sock\n[X-FDPass]\n"

typedef struct Found {
        ConfigSeverity severity;
        char unit[256];
        char path[512];
        unsigned line;
        char message[512];
} Found;

typedef struct Tree {
        char root[64];
        int root_fd;
        Config *config;
        Found found[64];
        size_t n_found;
} Tree;

static inline void tree_init(Tree *t) {
        *t = (Tree){ .root = "/tmp/test-config-XXXXXX" };
        assert_non_null(mkdtemp(t->root));
        t->root_fd = open(t->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_true(t->root_fd >= 0);
}

static inline int remove_one(const char *path, _unused_ const struct stat *st, _unused_ int type, _unused_ struct FTW *ftw) {
        return remove(path);
}

static inline void tree_done(Tree *t) {
        config_free(t->config);
        fd_close(t->root_fd);
        assert_int_equal(nftw(t->root, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

#define _cleanup_tree_ _cleanup_(tree_done)

/* The path on this machine, with the directories above it made. The caller frees it. */
static inline char *tree_path(Tree *t, const char *path) {
        char *full;

        assert_true(asprintf(&full, "%s%s", t->root, path) > 0);

        for (char *slash = strchr(full + strlen(t->root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                assert_true(mkdir(full, 0755) >= 0 || errno == EEXIST);
                *slash = '/';
        }

        return full;
}

static inline void tree_file_of(Tree *t, const char *path, const void *content, size_t n) {
        _cleanup_free_ char *full = tree_path(t, path);
        _cleanup_close_ int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, content, n), n);
}

static inline void tree_file(Tree *t, const char *path, const char *content) {
        tree_file_of(t, path, content, strlen(content));
}

static inline void tree_directory(Tree *t, const char *path) {
        _cleanup_free_ char *full = tree_path(t, path);

        assert_true(mkdir(full, 0755) >= 0);
}

static inline void tree_link(Tree *t, const char *path, const char *target) {
        _cleanup_free_ char *full = tree_path(t, path);

        assert_true(symlink(target, full) >= 0);
}

static inline void tree_remove(Tree *t, const char *path) {
        _cleanup_free_ char *full = tree_path(t, path);

        assert_true(remove(full) >= 0);
}

/* As `systemctl enable` does it. */
static inline void tree_enable(Tree *t, const char *unit) {
        char path[512], target[512];

        assert_true(snprintf(path, sizeof(path), WANTS "/%s", unit) < (int) sizeof(path));
        assert_true(snprintf(target, sizeof(target), USR "/%s", unit) < (int) sizeof(target));
        tree_link(t, path, target);
}

/* A worker's unit in /usr/lib, enabled. */
static inline void tree_worker(Tree *t, const char *unit, const char *content) {
        char path[512];

        assert_true(snprintf(path, sizeof(path), USR "/%s", unit) < (int) sizeof(path));
        tree_file(t, path, content);
        tree_enable(t, unit);
}

static inline void remember(void *userdata, ConfigSeverity severity, const char *unit, const char *path, unsigned line,
                     const char *message) {
        Tree *t = userdata;
        Found *f = &t->found[t->n_found++];

        assert_true(t->n_found <= ELEMENTSOF(t->found));
        f->severity = severity;
        f->line = line;
        (void) snprintf(f->unit, sizeof(f->unit), "%s", unit ? unit : "");
        (void) snprintf(f->path, sizeof(f->path), "%s", path ? path : "");
        (void) snprintf(f->message, sizeof(f->message), "%s", message);
}

/* Reads the tree, whatever is wrong with it. May be called again after a change. */
static inline void tree_load(Tree *t) {
        config_free(t->config);
        t->config = NULL;
        t->n_found = 0;
        assert_int_equal(config_load(t->root_fd, remember, t, &t->config), 0);
}

/* The same, with the findings about what is valid but probably a mistake, as far as they need no other files. */
static inline void tree_check(Tree *t) {
        config_free(t->config);
        t->config = NULL;
        t->n_found = 0;
        assert_int_equal(config_check(t->root_fd, /* sees_files= */ false, remember, t, &t->config), 0);
}

/* Reads the tree; nothing may be wrong. */
static inline void tree_load_clean(Tree *t) {
        tree_load(t);
        for (size_t i = 0; i < t->n_found; i++)
                print_error("%s: %s:%u: %s\n", t->found[i].unit, t->found[i].path, t->found[i].line,
                            t->found[i].message);
        assert_int_equal(t->n_found, 0);
        assert_int_equal(t->config->n_errors, 0);
}

/* The route of a unit, or NULL. */
static inline const RouteConfig *tree_route(const Tree *t, const char *unit) {
        for (size_t i = 0; i < t->config->n_routes; i++)
                if (streq(t->config->routes[i].unit, unit))
                        return &t->config->routes[i];

        return NULL;
}

/* The finding number @i is exactly this one. */
static inline void assert_found(const Tree *t, size_t i, ConfigSeverity severity, const char *unit, const char *path,
                         unsigned line, const char *message) {
        assert_true(i < t->n_found);
        assert_string_equal(t->found[i].message, message);
        assert_int_equal(t->found[i].severity, severity);
        assert_string_equal(t->found[i].unit, unit);
        assert_string_equal(t->found[i].path, path);
        assert_int_equal(t->found[i].line, line);
}

/* There is exactly one finding, and it is this one. */
static inline void assert_only(const Tree *t, ConfigSeverity severity, const char *unit, const char *path, unsigned line,
                        const char *message) {
        assert_found(t, 0, severity, unit, path, line, message);
        assert_int_equal(t->n_found, 1);
        assert_int_equal(t->config->n_errors, severity == CONFIG_ERROR ? 1 : 0);
}

#define SOCKET "[Socket]\nListenStream=/run/w.sock\n"

/* Loads one unit, and returns its route; nothing may be wrong. */
static inline const RouteConfig *load_unit(Tree *t, const char *unit, const char *content) {
        tree_init(t);
        tree_worker(t, unit, content);
        tree_load_clean(t);
        assert_int_equal(t->config->n_routes, 1);
        return &t->config->routes[0];
}

/* Loads "a.socket", which must have no route but one error in that line. */
static inline void assert_error(const char *content, unsigned line, const char *message) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.socket", content);
        tree_load(&t);
        assert_only(&t, CONFIG_ERROR, "a.socket", USR "/a.socket", line, message);
        assert_int_equal(t.config->n_routes, 0);
}

/* The same for the line "KEY=VALUE" in [X-FDPass]. */
static inline void assert_bad_line(const char *assignment, const char *message) {
        _cleanup_free_ char *content = NULL;

        assert_true(asprintf(&content, SOCKET "[X-FDPass]\n%s\n", assignment) > 0);
        assert_error(content, 4, message);
}
