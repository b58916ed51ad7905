/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A directory of unit files, listed once. A file or directory in it is read at its first use and kept. Otherwise ten
 * thousand instances of a template would read its file and its drop-ins ten thousand times.
 */

#include "config/unit-file.h"

typedef struct Directory Directory;

typedef struct DirectoryEntry {
        const Directory *directory;
        char *name;
        unsigned char type;   /* DT_REG, DT_LNK, DT_DIR, … */
        char *target;         /* text of a symbolic link (readlink(2)); NULL: not a link */
        const char *alias_of; /* unit that the link is an alias of; NULL: none. Set by unit_path_new() */
        UnitFile *file;       /* contents, if it was read as a file; NULL: not yet */
        Directory *listing;   /* contents, if it was read as a directory; NULL: not yet */
} DirectoryEntry;

struct Directory {
        char *path;   /* below the root directory */
        int root_fd;  /* borrowed */
        int error;    /* negative errno of listing it (-ENOENT: it does not exist); 0: it was listed */
        dev_t device; /* device number; with @inode it identifies the directory */
        ino_t inode;  /* inode number */
        DirectoryEntry *entries; /* sorted by name (strcmp) */
        size_t n_entries;
};

/*
 * Lists the directory @path below @root_fd without its hidden entries. If it can't be listed, sets ->error and returns
 * 0. Returns a negative errno for fatal errors only (errno_is_fatal()). @root_fd is borrowed.
 */
int directory_read(int root_fd, const char *path, Directory **ret);

Directory *directory_free(Directory *d);
DEFINE_CLEANUP(Directory *, directory_free);

/* Returns the entry of that name. NULL: there is none. */
DirectoryEntry *directory_find(const Directory *d, const char *name);

/* Reads the file or the directory of an entry, once. Both belong to the entry. Return 0 or a negative errno. */
int directory_entry_file(DirectoryEntry *entry, UnitFile **ret);
int directory_entry_listing(DirectoryEntry *entry, Directory **ret);

/*
 * Sets *ret to true if the entry is an empty file or /dev/null. A file that can't be examined is not masked. Costs less
 * than reading it. Returns 0 or a negative errno.
 */
int directory_entry_is_masked(const DirectoryEntry *entry, bool *ret);

/* Entries of several directories. Callers add the directory with the highest priority first. */
typedef struct EntryList {
        struct EntryListItem {
                DirectoryEntry *entry; /* borrowed */
                size_t rank;           /* position in the order of adding */
        } *items;
        size_t n_items;
} EntryList;

void entry_list_done(EntryList *l);

/* Returns 0 or -ENOMEM. */
int entry_list_add(EntryList *l, DirectoryEntry *entry);

/* Sorts by name and keeps, of entries with one name, that which was added first. */
void entry_list_resolve(EntryList *l);

/* Returns the entry of that name. NULL: there is none. The list must have been resolved. */
DirectoryEntry *entry_list_find(const EntryList *l, const char *name);
