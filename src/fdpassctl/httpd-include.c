/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Include and IncludeOptional: files, patterns and directories, in the order of ap_process_fnmatch_configs(). */

#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/utf8.h"
#include "fdpassctl/httpd-config.h"

#define INCLUDE_FILE_MAX (16 * 1024 * 1024)

int httpd_load_file(const char *path, char **ret, size_t *ret_n) {
        _cleanup_free_ char *text = malloc(INCLUDE_FILE_MAX + 1);
        _cleanup_close_ int fd = -EBADF;
        ssize_t n;

        if (!text)
                return -ENOMEM;

        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;

        n = fd_read(fd, text, INCLUDE_FILE_MAX + 1);
        if (n < 0)
                return -EIO;
        if (n > INCLUDE_FILE_MAX)
                return -EFBIG;

        *ret = TAKE_PTR(text);
        *ret_n = (size_t) n;
        return 0;
}

static int include_filter(const struct dirent *d) {
        return !streq(d->d_name, ".") && !streq(d->d_name, "..");
}

static int include_compare(const struct dirent **a, const struct dirent **b) {
        return strcmp((*a)->d_name, (*b)->d_name);
}

static int include_add_path(HttpdConfig *c, const HttpdLine *l, const char *path, unsigned depth, StringList *ret);

/* Adds all files below the directory. */
static int include_add_directory(HttpdConfig *c, const HttpdLine *l, const char *path, unsigned depth,
                                 StringList *ret) {
        struct dirent **entries = NULL;
        int n = scandir(path, &entries, include_filter, include_compare), r = 0;

        for (int i = 0; i < n; i++) {
                _cleanup_free_ char *child = NULL;

                if (r >= 0 && asprintf(&child, "%s/%s", path, entries[i]->d_name) < 0) {
                        child = NULL;
                        r = -ENOMEM;
                }
                if (r >= 0)
                        r = include_add_path(c, l, child, depth + 1, ret);
                free(entries[i]);
        }

        free(entries);
        return r;
}

static int include_add_path(HttpdConfig *c, const HttpdLine *l, const char *path, unsigned depth, StringList *ret) {
        struct stat st;

        if (depth < HTTPD_DEPTH_MAX && stat(path, &st) == 0) {
                if (S_ISDIR(st.st_mode))
                        return include_add_directory(c, l, path, depth, ret);
                if (S_ISREG(st.st_mode))
                        return strlist_add(ret, path);
        }

        httpd_say(c, &l->place, "%.*s is no file; its lines are missing here, and may keep clients out.",
                                HTTPD_SHOWN(path));
        return 0;
}

int httpd_find_includes(HttpdConfig *c, const HttpdLine *l, StringList *ret) {
        bool is_optional = httpd_is(l, "IncludeOptional");
        const char *root = l->n_words > 1 && l->words[1][0] != '/' ? c->root : "";
        _cleanup_free_ char *pattern = NULL;
        glob_t found = {};
        int r = 0;

        if ((!is_optional && !httpd_is(l, "Include")) || l->n_words < 2 || httpd_find_condition(c, HTTPD_UNLIKELY))
                return 0;
        if (!c->options.may_include || c->depth >= HTTPD_DEPTH_MAX) {
                httpd_say(c, &l->place, "%s is not followed; its lines are missing here.", l->words[0]);
                return 0;
        }

        if (asprintf(&pattern, "%s%s%s", root, *root ? "/" : "", l->words[1]) < 0) {
                pattern = NULL;
                return -ENOMEM;
        }

        if (glob(pattern, 0, NULL, &found) == 0)
                for (size_t i = 0; i < found.gl_pathc && r >= 0; i++)
                        r = include_add_path(c, l, found.gl_pathv[i], 0, ret);
        else if (!is_optional && !strpbrk(pattern, "*?["))
                r = include_add_path(c, l, pattern, 0, ret);

        globfree(&found);
        return r < 0 ? r : ret->n_items > 0 || is_optional;
}
