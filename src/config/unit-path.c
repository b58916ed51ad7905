/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/unit-path.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/array.h"
#include "basic/fd.h"

/*
 * Output of `systemd-analyze unit-paths` of systemd 252 and 257, highest priority first. If /lib is a link to /usr/lib,
 * both are one directory, and the later name is kept.
 */
const char *const unit_path_load_path[] = {
        "/etc/systemd/system.control",
        "/run/systemd/system.control",
        "/run/systemd/transient",
        "/run/systemd/generator.early",
        "/etc/systemd/system",
        "/etc/systemd/system.attached",
        "/run/systemd/system",
        "/run/systemd/system.attached",
        "/run/systemd/generator",
        "/usr/local/lib/systemd/system",
        "/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/run/systemd/generator.late",
        NULL,
};

/* Limit of aliases of aliases (FOLLOW_MAX in src/basic/unit-file.c of systemd). */
#define FOLLOW_MAX 8

/* Limit of the parent directories that are compared with the load path. */
#define DEPTH_MAX 64

UnitPath *unit_path_free(UnitPath *p) {
        if (!p)
                return NULL;

        for (size_t i = 0; i < p->n_directories; i++)
                directory_free(p->directories[i]);
        free(p->directories);
        entry_list_done(&p->units);
        free(p->aliases);
        free(p);
        return NULL;
}

static bool unit_path_is_same_directory(const Directory *a, const Directory *b) {
        return a->device == b->device && a->inode == b->inode;
}

static int unit_path_add_directory(UnitPath *p, const char *path) {
        _cleanup_(directory_freep) Directory *d = NULL;
        int r;

        r = directory_read(p->root_fd, path, &d);
        if (r < 0)
                return r;

        if (errno_is_missing(d->error))
                return 0;
        if (d->error < 0) {
                reporter_say(p->reporter, CONFIG_ERROR, NULL, path, 0, "The directory can't be read: %s.",
                             strerror(-d->error));
                return 0;
        }

        if (p->n_directories > 0 && unit_path_is_same_directory(p->directories[p->n_directories - 1], d)) {
                directory_free(p->directories[p->n_directories - 1]);
                p->directories[p->n_directories - 1] = TAKE_PTR(d);
                return 0;
        }

        if (!ARRAY_GROW(p->directories, p->n_directories))
                return -ENOMEM;

        p->directories[p->n_directories++] = TAKE_PTR(d);
        return 0;
}

/* True if the open directory is one of the load path, or below one. */
static bool unit_path_contains(const UnitPath *p, int dir_fd) {
        _cleanup_close_ int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
        struct stat root, st;

        if (fstat(p->root_fd, &root) < 0)
                return false;

        for (unsigned depth = 0; fd >= 0 && depth < DEPTH_MAX; depth++) {
                int parent;

                if (fstat(fd, &st) < 0)
                        return false;

                for (size_t i = 0; i < p->n_directories; i++)
                        if (p->directories[i]->device == st.st_dev && p->directories[i]->inode == st.st_ino)
                                return true;

                if (st.st_dev == root.st_dev && st.st_ino == root.st_ino)
                        return false;

                parent = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
                fd_close(fd);
                fd = parent;
        }

        return false;
}

/* Opens the directory @path, or its nearest parent that exists. Cuts @path to the directory that was opened. */
static int unit_path_open_nearest(const UnitPath *p, char *path) {
        for (;;) {
                int fd = fd_open_in_root(p->root_fd, path, O_PATH | O_DIRECTORY);
                char *slash = strrchr(path, '/');

                if (!errno_is_missing(fd) || !slash || slash == path)
                        return fd;

                *slash = '\0';
        }
}

/*
 * Sets *ret to true if the symbolic link @entry points into the load path, even to a missing file: then it is an alias.
 * Otherwise it is a unit file elsewhere, as `systemctl link` makes it, or it masks the unit. Returns 0 or a negative
 * errno.
 */
static int unit_path_is_alias(const UnitPath *p, const DirectoryEntry *entry, bool *ret) {
        const char *slash = strrchr(entry->target, '/');
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ char *parent = NULL;
        int r;

        if (!slash) {
                *ret = true;
                return 0;
        }

        r = asprintf(&parent, "%s/%.*s", entry->target[0] == '/' ? "" : entry->directory->path,
                     (int) (slash - entry->target), entry->target);
        if (r < 0) {
                parent = NULL;
                return -ENOMEM;
        }

        fd = unit_path_open_nearest(p, parent);
        if (fd < 0 && errno_is_fatal(fd))
                return fd;

        *ret = fd >= 0 && unit_path_contains(p, fd);
        return 0;
}

static bool unit_path_type_may_alias(const char *type) {
        return streq(type, "service") || streq(type, "socket") || streq(type, "target") ||
               streq(type, "device") || streq(type, "timer") || streq(type, "path");
}

/* Follows unit_validate_alias_symlink_and_warn() of systemd (src/basic/unit-file.c). */
static bool unit_path_is_valid_alias(const UnitName *from, const char *to) {
        UnitName u;

        if (!unit_name_parse(to, &u) || !streq(from->type, u.type) || !unit_path_type_may_alias(u.type))
                return false;

        /* Device units have no templates. */
        if (from->kind != UNIT_NAME_PLAIN && streq(u.type, "device"))
                return false;

        if (from->kind == UNIT_NAME_INSTANCE && u.kind == UNIT_NAME_INSTANCE)
                return from->n_instance == u.n_instance &&
                       memcmp(from->instance, u.instance, u.n_instance) == 0;

        return from->kind == u.kind || (from->kind == UNIT_NAME_INSTANCE && u.kind == UNIT_NAME_TEMPLATE);
}

/* Adds the unit of @entry, unless systemd ignores the entry. */
static int unit_path_add_entry(UnitPath *p, DirectoryEntry *entry) {
        const char *alias_of = NULL;
        UnitName u;
        int r;

        if (!unit_name_parse(entry->name, &u) || entry->type == DT_DIR)
                return 0;

        if (entry->target) {
                const char *slash = strrchr(entry->target, '/');
                bool inside;

                r = unit_path_is_alias(p, entry, &inside);
                if (r < 0)
                        return r;

                if (inside) {
                        alias_of = slash ? slash + 1 : entry->target;

                        /* systemd ignores a link to a file of the same name, and searches the load path further. */
                        if (streq(alias_of, entry->name) || !unit_path_is_valid_alias(&u, alias_of))
                                return 0;
                }
        }

        entry->alias_of = alias_of;
        return entry_list_add(&p->units, entry);
}

/*
 * Follows aliases to the entry that has the file, as unit_ids_map_get() of systemd does. An alias may name an instance
 * of which only the template has a file, but @name itself must have an entry. Returns NULL if there is no file.
 */
static DirectoryEntry *unit_path_follow(const UnitPath *p, const char *name) {
        for (unsigned n = 0; n < FOLLOW_MAX; n++) {
                DirectoryEntry *entry = entry_list_find(&p->units, name);
                char template[UNIT_NAME_SIZE];
                UnitName u;

                if (!entry && n > 0 && unit_name_parse(name, &u) && u.kind == UNIT_NAME_INSTANCE) {
                        unit_name_template(&u, template);
                        entry = entry_list_find(&p->units, template);
                }

                if (!entry || !entry->alias_of)
                        return entry;

                name = entry->alias_of;
        }

        return NULL;
}

/* Writes the own name of the unit @name, whose file is @entry. Returns false if that would be no valid name. */
static bool unit_path_name_by_file(const UnitName *name, const DirectoryEntry *entry, char ret[static UNIT_NAME_SIZE]) {
        UnitName u;

        if (!unit_name_parse(entry->name, &u))
                return false;

        if (name->kind == UNIT_NAME_INSTANCE && u.kind == UNIT_NAME_TEMPLATE)
                return unit_name_instantiate(&u, name, ret);

        return snprintf(ret, UNIT_NAME_SIZE, "%s", entry->name) < UNIT_NAME_SIZE;
}

DirectoryEntry *unit_path_find(const UnitPath *p, const char *name, char ret_id[static UNIT_NAME_SIZE]) {
        char template[UNIT_NAME_SIZE];
        DirectoryEntry *entry, *other;
        UnitName u;

        if (!unit_name_parse(name, &u))
                return NULL;

        entry = unit_path_follow(p, name);
        if (!entry && u.kind == UNIT_NAME_INSTANCE) {
                unit_name_template(&u, template);
                entry = unit_path_follow(p, template);
        }

        if (!entry || !unit_path_name_by_file(&u, entry, ret_id))
                return NULL;

        /* If the instance that the alias leads to has a file of its own, it is another unit. */
        other = unit_path_follow(p, ret_id);
        if (other && other != entry)
                (void) snprintf(ret_id, UNIT_NAME_SIZE, "%s", name);

        return entry;
}

static int unit_path_compare_aliases(const void *a, const void *b) {
        const UnitAlias *x = a, *y = b;
        int c = strcmp(x->of, y->of);

        return c != 0 ? c : strcmp(x->name, y->name);
}

static int unit_path_collect_aliases(UnitPath *p) {
        for (size_t i = 0; i < p->units.n_items; i++) {
                const DirectoryEntry *alias = p->units.items[i].entry, *entry;
                UnitName u;

                if (!alias->alias_of || !unit_name_parse(alias->name, &u))
                        continue;

                entry = unit_path_follow(p, alias->name);
                if (!entry)
                        continue;

                if (!ARRAY_GROW(p->aliases, p->n_aliases))
                        return -ENOMEM;

                p->aliases[p->n_aliases].name = alias->name;
                if (unit_path_name_by_file(&u, entry, p->aliases[p->n_aliases].of))
                        p->n_aliases++;
        }

        if (p->n_aliases > 0)
                qsort(p->aliases, p->n_aliases, sizeof(*p->aliases), unit_path_compare_aliases);

        return 0;
}

static int unit_path_compare_of(const void *of, const void *alias) {
        return strcmp(of, ((const UnitAlias *) alias)->of);
}

/* Returns the index of the first alias of @of. The others follow it. */
static size_t unit_path_first_alias(const UnitPath *p, const char *of) {
        return array_find_place(of, p->aliases, p->n_aliases, sizeof(*p->aliases), unit_path_compare_of);
}

/*
 * Adds the alias @name of the file of @entry. If the alias is a template and @id an instance, adds that instance of the
 * alias, unless it is another unit.
 */
static int unit_path_add_instantiated(const UnitPath *p, const UnitName *id, const DirectoryEntry *entry,
                                      const char *name, StringList *names) {
        char instance[UNIT_NAME_SIZE];
        const DirectoryEntry *other;
        UnitName u;

        if (id->kind == UNIT_NAME_INSTANCE && unit_name_parse(name, &u) && u.kind == UNIT_NAME_TEMPLATE) {
                if (!unit_name_instantiate(&u, id, instance))
                        return 0;

                other = unit_path_follow(p, instance);
                if (other && other != entry)
                        return 0;

                name = instance;
        }

        return strlist_has(names, name) ? 0 : strlist_add(names, name);
}

static int unit_path_add_aliases(const UnitPath *p, const UnitName *id, const DirectoryEntry *entry, const char *of,
                       StringList *names) {
        int r = 0;

        for (size_t i = unit_path_first_alias(p, of); i < p->n_aliases && streq(p->aliases[i].of, of) && r >= 0; i++)
                r = unit_path_add_instantiated(p, id, entry, p->aliases[i].name, names);

        return r;
}

int unit_path_names(const UnitPath *p, const char *id, const DirectoryEntry *entry, StringList *names) {
        char by_file[UNIT_NAME_SIZE];
        UnitName u;
        int r;

        r = strlist_add(names, id);
        if (r < 0)
                return r;

        if (!unit_name_parse(id, &u) || !unit_path_name_by_file(&u, entry, by_file))
                return 0;

        if (!streq(by_file, id))
                r = strlist_add(names, by_file);
        if (r >= 0)
                r = unit_path_add_aliases(p, &u, entry, by_file, names);
        if (r >= 0 && !streq(entry->name, by_file))
                r = unit_path_add_aliases(p, &u, entry, entry->name, names);

        return r;
}

int unit_path_new(int root_fd, Reporter *reporter, UnitPath **ret) {
        _cleanup_(unit_path_freep) UnitPath *p = calloc(1, sizeof(*p));
        int r = 0;

        if (!p)
                return -ENOMEM;

        p->root_fd = root_fd;
        p->reporter = reporter;

        for (size_t i = 0; r >= 0 && unit_path_load_path[i]; i++)
                r = unit_path_add_directory(p, unit_path_load_path[i]);

        /* Needs all directories, because a link to any of them is an alias. */
        for (size_t i = 0; r >= 0 && i < p->n_directories; i++)
                for (size_t k = 0; r >= 0 && k < p->directories[i]->n_entries; k++)
                        r = unit_path_add_entry(p, &p->directories[i]->entries[k]);

        entry_list_resolve(&p->units);
        if (r >= 0)
                r = unit_path_collect_aliases(p);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(p);
        return 0;
}
