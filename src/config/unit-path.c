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
 * What `systemd-analyze unit-paths` of systemd 252 and 257 prints, highest priority first. Where /lib is a
 * link to /usr/lib, both names are one directory, and the later one stays.
 */
static const char *const load_path[] = {
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
};

/* So many aliases of aliases are followed (FOLLOW_MAX in src/basic/unit-file.c of systemd). */
#define FOLLOW_MAX 8

/* So many levels up it is looked whether a directory lies in the load path. */
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

static bool is_same_directory(const Directory *a, const Directory *b) {
        return a->device == b->device && a->inode == b->inode;
}

static int add_directory(UnitPath *p, const char *path) {
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

        if (p->n_directories > 0 && is_same_directory(p->directories[p->n_directories - 1], d)) {
                directory_free(p->directories[p->n_directories - 1]);
                p->directories[p->n_directories - 1] = TAKE_PTR(d);
                return 0;
        }

        if (!ARRAY_GROW(p->directories, p->n_directories))
                return -ENOMEM;

        p->directories[p->n_directories++] = TAKE_PTR(d);
        return 0;
}

/* Is the open directory one of the load path, or below one? */
static bool is_in_load_path(const UnitPath *p, int dir_fd) {
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

/* Opens the directory @path, or where that does not exist, the nearest one above. Cuts @path accordingly. */
static int open_nearest(const UnitPath *p, char *path) {
        for (;;) {
                int fd = fd_open_in_root(p->root_fd, path, O_PATH | O_DIRECTORY);
                char *slash = strrchr(path, '/');

                if (!errno_is_missing(fd) || !slash || slash == path)
                        return fd;

                *slash = '\0';
        }
}

/*
 * Does the symbolic link @entry lead to another place in the load path, even if there is nothing? Then it is
 * an alias. If not, it is a unit file that lies elsewhere, as `systemctl link` makes them, or it masks the unit.
 */
static int leads_into_load_path(const UnitPath *p, const DirectoryEntry *entry, bool *ret) {
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

        fd = open_nearest(p, parent);
        if (fd < 0 && errno_is_fatal(fd))
                return fd;

        *ret = fd >= 0 && is_in_load_path(p, fd);
        return 0;
}

static bool type_may_alias(const char *type) {
        return streq(type, "service") || streq(type, "socket") || streq(type, "target") ||
               streq(type, "device") || streq(type, "timer") || streq(type, "path");
}

/* unit_validate_alias_symlink_and_warn() of systemd (src/basic/unit-file.c). */
static bool is_valid_alias(const UnitName *from, const char *to) {
        UnitName u;

        if (!unit_name_parse(to, &u) || !streq(from->type, u.type) || !type_may_alias(u.type))
                return false;

        /* There are no templates of device units. */
        if (from->kind != UNIT_NAME_PLAIN && streq(u.type, "device"))
                return false;

        if (from->kind == UNIT_NAME_INSTANCE && u.kind == UNIT_NAME_INSTANCE)
                return from->n_instance == u.n_instance &&
                       memcmp(from->instance, u.instance, u.n_instance) == 0;

        return from->kind == u.kind || (from->kind == UNIT_NAME_INSTANCE && u.kind == UNIT_NAME_TEMPLATE);
}

/* Adds what @entry stands for, unless systemd takes no notice of it. */
static int add_entry(UnitPath *p, DirectoryEntry *entry) {
        const char *alias_of = NULL;
        UnitName u;
        int r;

        if (!unit_name_parse(entry->name, &u) || entry->type == DT_DIR)
                return 0;

        if (entry->target) {
                const char *slash = strrchr(entry->target, '/');
                bool inside;

                r = leads_into_load_path(p, entry, &inside);
                if (r < 0)
                        return r;

                if (inside) {
                        alias_of = slash ? slash + 1 : entry->target;

                        /* A link to a file of its own name leaves the decision to the load path. */
                        if (streq(alias_of, entry->name) || !is_valid_alias(&u, alias_of))
                                return 0;
                }
        }

        entry->alias_of = alias_of;
        return entry_list_add(&p->units, entry);
}

/*
 * From an alias to the entry that has the file, as unit_ids_map_get() of systemd does: an alias may name an
 * instance of which only the template has a file; @name itself may not.
 */
static DirectoryEntry *follow(const UnitPath *p, const char *name) {
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

/* The name under which the unit @name goes, if its file is @entry. False where it is no name any more. */
static bool name_by_file(const UnitName *name, const DirectoryEntry *entry, char ret[static UNIT_NAME_SIZE]) {
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

        entry = follow(p, name);
        if (!entry && u.kind == UNIT_NAME_INSTANCE) {
                unit_name_template(&u, template);
                entry = follow(p, template);
        }

        if (!entry || !name_by_file(&u, entry, ret_id))
                return NULL;

        /* The instance of an alias' template may have a file of its own, and then is another unit. */
        other = follow(p, ret_id);
        if (other && other != entry)
                (void) snprintf(ret_id, UNIT_NAME_SIZE, "%s", name);

        return entry;
}

static int compare_aliases(const void *a, const void *b) {
        const UnitAlias *x = a, *y = b;
        int c = strcmp(x->of, y->of);

        return c != 0 ? c : strcmp(x->name, y->name);
}

static int collect_aliases(UnitPath *p) {
        for (size_t i = 0; i < p->units.n_items; i++) {
                const DirectoryEntry *alias = p->units.items[i].entry, *entry;
                UnitName u;

                if (!alias->alias_of || !unit_name_parse(alias->name, &u))
                        continue;

                entry = follow(p, alias->name);
                if (!entry)
                        continue;

                if (!ARRAY_GROW(p->aliases, p->n_aliases))
                        return -ENOMEM;

                p->aliases[p->n_aliases].name = alias->name;
                if (name_by_file(&u, entry, p->aliases[p->n_aliases].of))
                        p->n_aliases++;
        }

        if (p->n_aliases > 0)
                qsort(p->aliases, p->n_aliases, sizeof(*p->aliases), compare_aliases);

        return 0;
}

static int compare_of(const void *of, const void *alias) {
        return strcmp(of, ((const UnitAlias *) alias)->of);
}

/* The index of the first alias of @of; the others follow it. */
static size_t first_alias(const UnitPath *p, const char *of) {
        return array_find_place(of, p->aliases, p->n_aliases, sizeof(*p->aliases), compare_of);
}

/* Adds the alias @name of the file of @entry as the instance of it that @id is; unless that is another unit. */
static int add_instantiated(const UnitPath *p, const UnitName *id, const DirectoryEntry *entry, const char *name,
                            StringList *names) {
        char instance[UNIT_NAME_SIZE];
        const DirectoryEntry *other;
        UnitName u;

        if (id->kind == UNIT_NAME_INSTANCE && unit_name_parse(name, &u) && u.kind == UNIT_NAME_TEMPLATE) {
                if (!unit_name_instantiate(&u, id, instance))
                        return 0;

                other = follow(p, instance);
                if (other && other != entry)
                        return 0;

                name = instance;
        }

        return strlist_has(names, name) ? 0 : strlist_add(names, name);
}

static int add_aliases(const UnitPath *p, const UnitName *id, const DirectoryEntry *entry, const char *of,
                       StringList *names) {
        for (size_t i = first_alias(p, of); i < p->n_aliases && streq(p->aliases[i].of, of); i++) {
                int r = add_instantiated(p, id, entry, p->aliases[i].name, names);

                if (r < 0)
                        return r;
        }

        return 0;
}

int unit_path_names(const UnitPath *p, const char *id, const DirectoryEntry *entry, StringList *names) {
        char by_file[UNIT_NAME_SIZE];
        UnitName u;
        int r;

        r = strlist_add(names, id);
        if (r < 0)
                return r;

        if (!unit_name_parse(id, &u) || !name_by_file(&u, entry, by_file))
                return 0;

        if (!streq(by_file, id)) {
                r = strlist_add(names, by_file);
                if (r < 0)
                        return r;
        }

        r = add_aliases(p, &u, entry, by_file, names);
        if (r < 0)
                return r;

        return streq(entry->name, by_file) ? 0 : add_aliases(p, &u, entry, entry->name, names);
}

int unit_path_new(int root_fd, Reporter *reporter, UnitPath **ret) {
        _cleanup_(unit_path_freep) UnitPath *p = calloc(1, sizeof(*p));
        int r;

        if (!p)
                return -ENOMEM;

        p->root_fd = root_fd;
        p->reporter = reporter;

        for (size_t i = 0; i < ELEMENTSOF(load_path); i++) {
                r = add_directory(p, load_path[i]);
                if (r < 0)
                        return r;
        }

        /* Only now: whether a link is an alias depends on all of the directories. */
        for (size_t i = 0; i < p->n_directories; i++)
                for (size_t k = 0; k < p->directories[i]->n_entries; k++) {
                        r = add_entry(p, &p->directories[i]->entries[k]);
                        if (r < 0)
                                return r;
                }

        entry_list_resolve(&p->units);

        r = collect_aliases(p);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(p);
        return 0;
}
