/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/array.h"
#include "basic/fd.h"
#include "config/report.h"

static void directory_closep(DIR **dir) {
        if (*dir)
                (void) closedir(*dir);
}

Directory *directory_free(Directory *d) {
        if (!d)
                return NULL;

        for (size_t i = 0; i < d->n_entries; i++) {
                DirectoryEntry *entry = &d->entries[i];

                free(entry->name);
                free(entry->target);
                unit_file_free(entry->file);
                directory_free(entry->listing);
        }
        free(d->entries);
        free(d->path);
        free(d);
        return NULL;
}

static int directory_compare_entries(const void *a, const void *b) {
        return strcmp(((const DirectoryEntry *) a)->name, ((const DirectoryEntry *) b)->name);
}

static int directory_compare_with_entry(const void *name, const void *entry) {
        return strcmp(name, ((const DirectoryEntry *) entry)->name);
}

DirectoryEntry *directory_find(const Directory *d, const char *name) {
        if (d->n_entries == 0)
                return NULL;

        return bsearch(name, d->entries, d->n_entries, sizeof(*d->entries), directory_compare_with_entry);
}

/* Some file systems leave d_type unknown (readdir(3)). */
static unsigned char directory_entry_type(int dir_fd, const struct dirent *de) {
        struct stat st;

        if (de->d_type != DT_UNKNOWN)
                return de->d_type;

        if (fstatat(dir_fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return DT_UNKNOWN;

        return (unsigned char) IFTODT(st.st_mode);
}

/* Leaves *ret NULL, without an error, if the link was removed meanwhile. */
static int directory_read_target(int dir_fd, const char *name, char **ret) {
        char buffer[PATH_MAX];
        ssize_t n = readlinkat(dir_fd, name, buffer, sizeof(buffer) - 1);

        if (n < 0)
                return 0;

        *ret = strndup(buffer, (size_t) n);
        return *ret ? 0 : -ENOMEM;
}

static int directory_add_entry(Directory *d, int dir_fd, const struct dirent *de) {
        DirectoryEntry *entry;

        if (!ARRAY_GROW(d->entries, d->n_entries))
                return -ENOMEM;

        entry = &d->entries[d->n_entries];
        *entry = (DirectoryEntry){
                .directory = d,
                .type = directory_entry_type(dir_fd, de),
                .name = strdup(de->d_name),
        };
        if (!entry->name)
                return -ENOMEM;

        d->n_entries++;
        return entry->type == DT_LNK ? directory_read_target(dir_fd, entry->name, &entry->target) : 0;
}

static int directory_read_entries(Directory *d, DIR *dir) {
        for (;;) {
                struct dirent *de;
                int r;

                errno = 0;
                de = readdir(dir);
                if (!de)
                        return -errno;

                if (de->d_name[0] == '.')
                        continue;

                r = directory_add_entry(d, dirfd(dir), de);
                if (r < 0)
                        return r;
        }
}

static int directory_list(Directory *d) {
        _cleanup_(directory_closep) DIR *dir = NULL;
        _cleanup_close_ int fd = -EBADF;
        struct stat st;

        fd = fd_open_in_root(d->root_fd, d->path, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
        if (fd < 0)
                return fd;

        if (fstat(fd, &st) < 0)
                return -errno;

        d->device = st.st_dev;
        d->inode = st.st_ino;

        dir = fdopendir(fd);
        if (!dir)
                return -errno;
        fd = -EBADF; /* owned by @dir now */

        return directory_read_entries(d, dir);
}

int directory_read(int root_fd, const char *path, Directory **ret) {
        _cleanup_(directory_freep) Directory *d = calloc(1, sizeof(*d));

        if (!d)
                return -ENOMEM;

        d->root_fd = root_fd;
        d->path = strdup(path);
        if (!d->path)
                return -ENOMEM;

        d->error = directory_list(d);
        if (errno_is_fatal(d->error))
                return d->error;

        if (d->n_entries > 0)
                qsort(d->entries, d->n_entries, sizeof(*d->entries), directory_compare_entries);

        *ret = TAKE_PTR(d);
        return 0;
}

static char *directory_entry_path(const DirectoryEntry *entry) {
        char *path;

        return asprintf(&path, "%s/%s", entry->directory->path, entry->name) < 0 ? NULL : path;
}

int directory_entry_file(DirectoryEntry *entry, UnitFile **ret) {
        if (!entry->file) {
                _cleanup_free_ char *path = directory_entry_path(entry);
                int r;

                if (!path)
                        return -ENOMEM;

                /* Compare the text of the link, because the root directory may have no /dev. */
                if (entry->target && streq(entry->target, "/dev/null"))
                        r = unit_file_new_masked(path, &entry->file);
                else
                        r = unit_file_read(entry->directory->root_fd, path, &entry->file);
                if (r < 0)
                        return r;
        }

        *ret = entry->file;
        return 0;
}

int directory_entry_listing(DirectoryEntry *entry, Directory **ret) {
        if (!entry->listing) {
                _cleanup_free_ char *path = directory_entry_path(entry);
                int r;

                if (!path)
                        return -ENOMEM;

                r = directory_read(entry->directory->root_fd, path, &entry->listing);
                if (r < 0)
                        return r;
        }

        *ret = entry->listing;
        return 0;
}

int directory_entry_is_masked(const DirectoryEntry *entry, bool *ret) {
        _cleanup_free_ char *path = NULL;

        *ret = entry->target && streq(entry->target, "/dev/null");
        if (*ret)
                return 0;

        path = directory_entry_path(entry);
        if (!path)
                return -ENOMEM;

        return unit_file_is_masked(entry->directory->root_fd, path, ret);
}

void entry_list_done(EntryList *l) {
        free(l->items);
}

int entry_list_add(EntryList *l, DirectoryEntry *entry) {
        if (!ARRAY_GROW(l->items, l->n_items))
                return -ENOMEM;

        l->items[l->n_items] = (struct EntryListItem){ .entry = entry, .rank = l->n_items };
        l->n_items++;
        return 0;
}

static int directory_compare_items(const void *a, const void *b) {
        const struct EntryListItem *x = a, *y = b;
        int c = strcmp(x->entry->name, y->entry->name);

        return c != 0 ? c : (x->rank > y->rank) - (x->rank < y->rank);
}

void entry_list_resolve(EntryList *l) {
        size_t n = 0;

        if (l->n_items == 0)
                return;

        qsort(l->items, l->n_items, sizeof(*l->items), directory_compare_items);

        for (size_t i = 0; i < l->n_items; i++)
                if (n == 0 || !streq(l->items[n - 1].entry->name, l->items[i].entry->name))
                        l->items[n++] = l->items[i];

        l->n_items = n;
}

static int directory_compare_with_item(const void *name, const void *item) {
        return strcmp(name, ((const struct EntryListItem *) item)->entry->name);
}

DirectoryEntry *entry_list_find(const EntryList *l, const char *name) {
        const struct EntryListItem *item;

        if (l->n_items == 0)
                return NULL;

        item = bsearch(name, l->items, l->n_items, sizeof(*l->items), directory_compare_with_item);
        return item ? item->entry : NULL;
}
