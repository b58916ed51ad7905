/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A directory of unit files, listed once. What lies in it is read when it is first asked for, and kept: ten
 * thousand instances of a template read it, and its drop-ins, a single time.
 */

#include "config/unit-file.h"

typedef struct Directory Directory;

typedef struct DirectoryEntry {
        const Directory *directory;
        char *name;
        unsigned char type;   /* DT_REG, DT_LNK, DT_DIR, … */
        char *target;         /* where a symbolic link points to, as it says itself; NULL for anything else */
        const char *alias_of; /* set in the load path: the unit that the link is another name of, or NULL */
        UnitFile *file;       /* NULL: nobody asked for it yet */
        Directory *listing;   /* likewise */
} DirectoryEntry;

struct Directory {
        char *path;   /* below the root directory */
        int root_fd;  /* borrowed */
        int error;    /* why it could not be listed, a negative errno (-ENOENT: it does not exist); or 0 */
        dev_t device; /* these two tell directories apart, whatever way leads to them */
        ino_t inode;
        DirectoryEntry *entries; /* sorted by name (strcmp) */
        size_t n_entries;
};

/*
 * Lists the directory @path below @root_fd; hidden entries are left out. That it can't be listed is said by
 * ->error. Returns 0 or a negative errno (see errno_is_fatal()).
 */
int directory_read(int root_fd, const char *path, Directory **ret);

Directory *directory_free(Directory *d);
DEFINE_CLEANUP(Directory *, directory_free);

/* The entry of that name, or NULL. */
DirectoryEntry *directory_find(const Directory *d, const char *name);

/* The file, or the directory, that an entry stands for. Both belong to the entry. */
int directory_entry_file(DirectoryEntry *entry, UnitFile **ret);
int directory_entry_listing(DirectoryEntry *entry, Directory **ret);

/* Is it empty, or /dev/null? A file that can't be looked at is not. Costs less than to read it. */
int directory_entry_is_masked(const DirectoryEntry *entry, bool *ret);

/* Entries of several directories, which are added one directory after the other, the strongest first. */
typedef struct EntryList {
        struct EntryListItem {
                DirectoryEntry *entry;
                size_t rank;
        } *items;
        size_t n_items;
} EntryList;

void entry_list_done(EntryList *l);

/* Returns 0 or -ENOMEM. */
int entry_list_add(EntryList *l, DirectoryEntry *entry);

/* Sorts by name, and leaves of each name the entry that was added first. */
void entry_list_resolve(EntryList *l);

/* The entry of that name, or NULL. The list has been resolved. */
DirectoryEntry *entry_list_find(const EntryList *l, const char *name);
