/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassd/link-watch.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "basic/array.h"
#include "basic/fd.h"
#include "basic/hash.h"
#include "config/config.h"
#include "config/unit-path.h"

/* The same mask for each watch, because a second one on a directory replaces the first one's (inotify_add_watch(2)). */
#define MASK (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

/* Events about the watched directory itself. After IN_IGNORED there is no watch any more. */
#define MASK_SELF (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)

int link_watch_start(LinkWatch *w) {
        w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        return w->fd < 0 ? -errno : 0;
}

static void link_watch_free_items(LinkWatchItem *items, size_t n) {
        for (size_t i = 0; i < n; i++)
                free(items[i].name);
        free(items);
}

void link_watch_done(LinkWatch *w) {
        link_watch_free_items(w->items, w->n_items);
        fd_close(w->fd);
        *w = LINK_WATCH_NULL;
}

static bool link_watch_has(const LinkWatch *w, int wd) {
        for (size_t i = 0; i < w->n_items; i++)
                if (w->items[i].wd == wd)
                        return true;

        return false;
}

static int link_watch_add_item(LinkWatch *w, int wd, const char *name, size_t n) {
        LinkWatchItem *item;

        if (!ARRAY_GROW(w->items, w->n_items))
                return -ENOMEM;

        item = &w->items[w->n_items];
        *item = (LinkWatchItem){ .wd = wd, .name = name ? strndup(name, n) : NULL };
        if (name && !item->name)
                return -ENOMEM;

        w->n_items++;
        return 0;
}

/* Watches the directory @fd. inotify takes paths only, and this one leads to the directory wherever it is. */
static int link_watch_add_directory(LinkWatch *w, int fd) {
        char path[32];
        int wd;

        (void) snprintf(path, sizeof(path), "/proc/self/fd/%i", fd);
        wd = inotify_add_watch(w->fd, path, MASK);
        return wd < 0 ? -errno : wd;
}

/* Cuts @path to its parent, "" for that of "/x". Returns the name behind the parent. */
static const char *link_watch_cut(char *path) {
        char *slash = strrchr(path, '/');

        *slash = '\0';
        return slash + 1;
}

/*
 * Watches the directory @path, or its nearest parent that exists for the next part of @path. Returns 1 if the directory
 * exists and sets *ret_wd, 0 if a parent is watched, or a negative errno.
 */
static int link_watch_add_path(LinkWatch *w, int root_fd, const char *path, int *ret_wd) {
        const char *next = NULL;
        char parent[PATH_MAX];
        int wd = -ENOENT;

        (void) snprintf(parent, sizeof(parent), "%s", path);

        for (;;) {
                _cleanup_close_ int fd = fd_open_in_root(root_fd, *parent ? parent : "/", O_PATH | O_DIRECTORY);

                wd = fd < 0 ? fd : link_watch_add_directory(w, fd);
                if (wd >= 0 || (wd != -ENOENT && wd != -ENOTDIR) || !*parent)
                        break;
                next = link_watch_cut(parent);
        }

        *ret_wd = wd;
        if (wd < 0 || !next)
                return wd < 0 ? wd : 1;

        return link_watch_add_item(w, wd, next, strlen(next));
}

/* Watches the directories of links in the directory @path of the load path. */
static int link_watch_add_links(LinkWatch *w, int root_fd, const char *path, int wd) {
        int r = 0, links_wd;

        for (const char *const *name = config_link_directories; r >= 0 && *name; name++) {
                _cleanup_close_ int fd = -EBADF;
                char links[PATH_MAX];

                r = link_watch_add_item(w, wd, *name, strlen(*name));
                if (r < 0)
                        return r;

                (void) snprintf(links, sizeof(links), "%s/%s", path, *name);
                fd = fd_open_in_root(root_fd, links, O_PATH | O_DIRECTORY);
                if (fd < 0)
                        continue;

                links_wd = link_watch_add_directory(w, fd);
                r = links_wd < 0 ? links_wd : link_watch_add_item(w, links_wd, NULL, 0);
        }

        return r;
}

int link_watch_update(LinkWatch *w, int root_fd) {
        LinkWatch old = *w;
        int r = 0, result = 0, wd = -1;

        w->items = NULL;
        w->n_items = 0;

        /* A directory that can't be watched does not keep the others from being watched. */
        for (const char *const *path = unit_path_load_path; *path && r != -ENOMEM; path++) {
                r = link_watch_add_path(w, root_fd, *path, &wd);
                if (r > 0)
                        r = link_watch_add_links(w, root_fd, *path, wd);
                if (r < 0)
                        result = r;
        }

        for (size_t i = 0; i < old.n_items; i++)
                if (!link_watch_has(w, old.items[i].wd))
                        (void) inotify_rm_watch(w->fd, old.items[i].wd);
        link_watch_free_items(old.items, old.n_items);
        return result;
}

void link_watch_clear(LinkWatch *w) {
        for (size_t i = 0; i < w->n_items; i++)
                (void) inotify_rm_watch(w->fd, w->items[i].wd);
        link_watch_free_items(w->items, w->n_items);
        w->items = NULL;
        w->n_items = 0;
}

/* systemd makes a link under a hidden name and renames it (symlink_atomic() in src/basic/fs-util.c of systemd). */
static bool link_watch_is_relevant(const LinkWatch *w, const struct inotify_event *e) {
        if (e->mask & IN_Q_OVERFLOW)
                return true;

        for (size_t i = 0; i < w->n_items; i++) {
                const LinkWatchItem *item = &w->items[i];

                if (item->wd != e->wd)
                        continue;
                if (e->mask & MASK_SELF)
                        return true;
                if (e->len > 0 && (item->name ? streq(item->name, e->name) : e->name[0] != '.'))
                        return true;
        }

        return false;
}

bool link_watch_read(LinkWatch *w) {
        char buffer[8192] __attribute__((aligned(__alignof__(struct inotify_event))));
        ssize_t n = read(w->fd, buffer, sizeof(buffer));
        bool is_relevant = false;

        for (ssize_t i = 0; i < n;) {
                const struct inotify_event *e = (const struct inotify_event *) (const void *) (buffer + i);

                is_relevant = is_relevant || link_watch_is_relevant(w, e);
                i += (ssize_t) (sizeof(*e) + e->len);
        }

        return is_relevant;
}

static int link_watch_hash_directory(int root_fd, const char *path, uint64_t *h) {
        _cleanup_(directory_freep) Directory *d = NULL;
        int r;

        r = directory_read(root_fd, path, &d);
        if (r < 0)
                return r == -ENOMEM ? r : 0;

        if (d->n_entries > 0)
                *h = hash_string_more(*h, path);
        for (size_t i = 0; i < d->n_entries; i++) {
                *h = hash_byte(hash_string_more(*h, d->entries[i].name), d->entries[i].type);
                *h = hash_string_more(*h, d->entries[i].target ?: "");
                *h = hash_byte(*h, 0);
        }

        return 0;
}

int link_watch_hash(int root_fd, uint64_t *ret) {
        uint64_t h = HASH_BEGIN;
        char path[PATH_MAX];
        int r;

        for (const char *const *d = unit_path_load_path; *d; d++)
                for (const char *const *name = config_link_directories; *name; name++) {
                        (void) snprintf(path, sizeof(path), "%s/%s", *d, *name);
                        r = link_watch_hash_directory(root_fd, path, &h);
                        if (r < 0)
                                return r;
                }

        *ret = mix64(h);
        return 0;
}
