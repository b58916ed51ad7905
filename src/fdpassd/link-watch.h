/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Watches the directories in which links enable units (config_link_directories), by inotify(7). A directory that does
 * not exist yet is awaited: its nearest parent that exists is watched for the next part of the path.
 */

#include "basic/macro.h"

/* One name, or all names, in a watched directory. */
typedef struct LinkWatchItem {
        int wd;     /* watch descriptor; several items may have the same one */
        char *name; /* name of an entry; NULL: all entries that are not hidden */
} LinkWatchItem;

typedef struct LinkWatch {
        int fd; /* of inotify; -EBADF: not started */
        LinkWatchItem *items;
        size_t n_items;
} LinkWatch;

#define LINK_WATCH_NULL ((LinkWatch){ .fd = -EBADF })

/* Begins without a directory. Returns 0 or a negative errno. */
int link_watch_start(LinkWatch *w);
void link_watch_done(LinkWatch *w);

/*
 * Watches the directories that exist now below @root_fd, and ends the watches of others. To be called before the links
 * are read, so that no later change is missed. Returns 0 or a negative errno; then some are not watched.
 */
int link_watch_update(LinkWatch *w, int root_fd);

/* Ends all watches. */
void link_watch_clear(LinkWatch *w);

/* Reads events, up to a buffer of them. Returns true if a link or a directory may have changed. */
bool link_watch_read(LinkWatch *w);

/*
 * Sets *ret to a hash of all links below @root_fd: their directories, names and targets. Returns 0 or -ENOMEM.
 * Directories that can't be read count as empty.
 */
int link_watch_hash(int root_fd, uint64_t *ret);
