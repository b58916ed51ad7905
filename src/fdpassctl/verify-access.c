/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/verify-access.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/listening.h"
#include "config/unit.h"
#include "fdpassctl/load-units.h"
#include "handoff/socket-path.h"

/* The unit and the user of the broker. */
#define SERVICE "fdpass.service"
#define USER "fdpass"

/* Limit of the groups that are looked at. Further groups are left out. */
#define GROUPS_MAX 256

/* The rights of the broker's process. */
typedef struct BrokerRights {
        uid_t uid;
        gid_t groups[GROUPS_MAX];
        int n_groups;
} BrokerRights;

/* Adds the groups in SupplementaryGroups= of the broker's unit, which an administrator may have added. */
static void verify_access_add_groups(const Unit *unit, BrokerRights *b) {
        for (size_t i = 0; i < unit->n_assignments; i++) {
                const Assignment *a = unit->assignments[i];
                char value[4096], *rest = value, *word;

                if (a->section != SECTION_SERVICE || !streq(a->key, "SupplementaryGroups"))
                        continue;

                (void) snprintf(value, sizeof(value), "%s", a->value);
                while ((word = strtok_r(NULL, " \t", &rest)) && b->n_groups < GROUPS_MAX) {
                        const struct group *g = getgrnam(word);

                        if (g)
                                b->groups[b->n_groups++] = g->gr_gid;
                }
        }
}

static int verify_access_read_unit(int root_fd, BrokerRights *b) {
        _cleanup_(unit_path_freep) UnitPath *path = NULL;
        _cleanup_(unit_freep) Unit *unit = NULL;
        Reporter silent = {};
        int r;

        r = unit_path_new(root_fd, &silent, &path);
        if (r >= 0)
                r = unit_load(path, SERVICE, &unit);
        if (r == 0 && unit)
                verify_access_add_groups(unit, b);

        return r < 0 ? r : 0;
}

/* Returns 0, 1 if there is no such user here, or -ENOMEM. */
static int verify_access_find_broker(int root_fd, BrokerRights *ret) {
        const struct passwd *pw = getpwnam(USER);

        if (!pw)
                return 1;

        ret->uid = pw->pw_uid;
        ret->n_groups = GROUPS_MAX;
        if (getgrouplist(USER, pw->pw_gid, ret->groups, &ret->n_groups) < 0)
                ret->n_groups = MIN(ret->n_groups, GROUPS_MAX);

        return verify_access_read_unit(root_fd, ret);
}

/* True if the permissions give the broker one of "rwx" (4, 2, 1). An access list may give more than that (acl(5)). */
static bool verify_access_is_given(int fd, const struct stat *st, unsigned right, const BrokerRights *b) {
        unsigned shift = st->st_uid == b->uid ? 6 : 0;
        char path[32];

        for (int i = 0; shift == 0 && i < b->n_groups; i++)
                if (b->groups[i] == st->st_gid)
                        shift = 3;

        if (st->st_mode >> shift & right)
                return true;

        (void) snprintf(path, sizeof(path), "/proc/self/fd/%i", fd);
        return getxattr(path, "system.posix_acl_access", NULL, 0) > 0;
}

/* Returns the length of the part of @path that the broker may not search or write to. 0: there is none. */
static size_t verify_access_find_barrier(const char *path, const BrokerRights *b, struct stat *ret) {
        for (const char *end = strchr(path + 1, '/');; end = strchr(end + 1, '/')) {
                size_t n = end ? (size_t) (end - path) : strlen(path);
                char part[PATH_MAX];
                _cleanup_close_ int fd = -EBADF;

                (void) snprintf(part, sizeof(part), "%.*s", (int) n, path);
                fd = open(part, O_PATH | O_NOFOLLOW | O_CLOEXEC);
                if (fd < 0 || fstat(fd, ret) < 0 || S_ISLNK(ret->st_mode))
                        return 0;
                if (!verify_access_is_given(fd, ret, end ? 1 : 2, b))
                        return n;
                if (!end)
                        return 0;
        }
}

static void verify_access_check_rights(const RouteConfig *route, const BrokerRights *b) {
        const struct group *group;
        const struct passwd *user;
        struct stat st;
        size_t n = verify_access_find_barrier(route->worker, b, &st);
        char text[512], owner[64], owner_group[64];

        if (n == 0)
                return;

        user = getpwuid(st.st_uid);
        (void) snprintf(owner, sizeof(owner), "%s", user ? user->pw_name : "another user");
        group = getgrgid(st.st_gid);
        (void) snprintf(owner_group, sizeof(owner_group), "%s", group ? group->gr_name : "another group");
        (void) snprintf(text, sizeof(text), "The broker, which runs as the user " USER ", may not %s %.*s (of %s:%s, "
                        "mode %04o), so it can't connect; give this user or a group of it the right to %s.",
                        route->worker[n] ? "search" : "write to", (int) n, route->worker, owner, owner_group,
                        st.st_mode & 07777, route->worker[n] ? "search the directory" : "write to the socket");
        load_warn(route, load_worker_key(route), route->worker, text);
}

/* A file of a socket stays when its unit stops or fails, and connections to it are refused then. */
static void verify_access_check_listener(const RouteConfig *route, const StringList *listening) {
        char text[512];
        struct stat st;

        if (route->transport_is_open || lstat(route->worker, &st) < 0 || !S_ISSOCK(st.st_mode) ||
            listening_has(listening, route->worker))
                return;

        (void) snprintf(text, sizeof(text), "The file of the socket is there, but no process listens on it, so clients "
                        "are refused: systemctl start %s, and see systemctl status %s if that fails.", route->unit,
                        route->unit);
        load_warn(route, load_worker_key(route), route->worker, text);
}

int verify_access(int root_fd, const Config *config) {
        _cleanup_strlist_ StringList listening = {};
        BrokerRights b;
        bool is_known;
        int r;

        r = verify_access_find_broker(root_fd, &b);
        if (r != 0)
                return r < 0 ? r : 0;

        r = listening_list(root_fd, &listening);
        if (r == -ENOMEM)
                return r;

        is_known = r >= 0;
        for (size_t i = 0; i < config->n_routes; i++) {
                if (config->routes[i].redirects)
                        continue;
                verify_access_check_rights(&config->routes[i], &b);
                if (is_known)
                        verify_access_check_listener(&config->routes[i], &listening);
        }

        return 0;
}
