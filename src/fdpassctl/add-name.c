/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/add-name.h"

#include <stdio.h>

#include "config/unit.h"
#include "fdpassctl/add-recipes.h"

static bool add_name_fail(const char *name, const char *why) {
        fprintf(stderr, "%s: %s.\n", *name ? name : "\"\"", why);
        return false;
}

static bool add_name_has_type(const char *name) {
        static const char *const types[] = {
                ".socket", ".service", ".target",    ".path", ".timer",  ".slice",
                ".scope",  ".mount",   ".automount", ".swap", ".device",
        };
        size_t n = strlen(name);

        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (n > strlen(types[i]) && streq(name + n - strlen(types[i]), types[i]))
                        return true;

        return false;
}

bool add_name_check(const char *name) {
        size_t n = strlen(name),
               n_good = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");

        if (strchr(name, '@'))
                return add_name_fail(name, "\"@\" is for templates and their instances, and add writes neither");
        if (n == 0 || name[n_good])
                return add_name_fail(name, "a name has letters, digits, \"-\", \"_\" and \".\" only");
        if (strchr("-.", name[0]))
                return add_name_fail(name, "a name begins with a letter, a digit or \"_\"");
        if (strchr("-.", name[n - 1]) || strstr(name, ".."))
                return add_name_fail(name, "a name has no \"..\", and no \"-\" or \".\" at its end");
        if (n > ADD_NAME_MAX)
                return add_name_fail(name, "a name has at most 80 bytes, because it is a part of the path of a socket");
        if (add_name_has_type(name))
                return add_name_fail(name, "give the name without the type of a unit; add writes several units");
        if (startswith(name, "fdpass") && (!name[6] || name[6] == '-'))
                return add_name_fail(name, "names that begin with \"fdpass\" are for the units of fdpass itself");
        if (startswith(name, "return-") || startswith(name, "tls-"))
                return add_name_fail(name, "names that begin with \"return-\" or \"tls-\" are for fdpass itself");

        return true;
}

/* Reports a unit of that name. A file or link at that place counts, whatever is in it. */
static int add_name_check_unit(const UnitPath *path, const char *name) {
        char id[UNIT_NAME_SIZE];
        const DirectoryEntry *entry = unit_path_find(path, name, id);

        if (!entry)
                return 0;

        fprintf(stderr, "There is a unit %s already: %s/%s. Choose another name.\n", name, entry->directory->path,
                entry->name);
        return -EEXIST;
}

/* Checks the file of a unit by its name, and a drop-in by its place. */
static int add_name_check_file(const UnitPath *path, const AddFile *file) {
        return strchr(file->path, '/') ? 0 : add_name_check_unit(path, file->path);
}

/* Reports a socket unit that listens at @socket. Instances of templates are left to `fdpassctl verify`. */
static int add_name_check_socket(const UnitPath *path, DirectoryEntry *entry, const char *socket) {
        UnitName name;
        UnitFile *file;
        int r;

        if (!unit_name_parse(entry->name, &name) || !streq(name.type, "socket") || name.kind != UNIT_NAME_PLAIN)
                return 0;

        r = directory_entry_file(entry, &file);
        for (size_t i = 0; r >= 0 && i < file->n_assignments; i++) {
                const Assignment *a = &file->assignments[i];

                if (a->section == SECTION_SOCKET && startswith(a->key, "Listen") && streq(a->value, socket)) {
                        fprintf(stderr, "%s listens at %s already. Choose another name.\n", entry->name, socket);
                        return -EEXIST;
                }
        }

        return r;
}

/* Checks that the server's own unit is there, and that no other worker has drop-ins for it. */
static int add_name_check_server(const UnitPath *path, const AddPlan *plan) {
        char id[UNIT_NAME_SIZE];

        if (!plan->recipe->unit || unit_path_find(path, plan->recipe->unit, id))
                return 0;

        fprintf(stderr, "There is no unit %s. Install %s first.\n", plan->recipe->unit, plan->recipe->server);
        return -ENOENT;
}

/* The service of the same name must not exist, even if add writes drop-ins of another one. */
static int add_name_check_service(const UnitPath *path, const AddPlan *plan) {
        char service[UNIT_NAME_SIZE];

        if (!plan->recipe->unit || streq(plan->recipe->server, plan->name))
                return 0;

        (void) snprintf(service, sizeof(service), "%s.service", plan->name);
        return add_name_check_unit(path, service);
}

static int add_name_check_all(const UnitPath *path, const AddPlan *plan, const AddFiles *files) {
        char socket[sizeof("/run/fdpass/.sock") + ADD_NAME_MAX];
        int r = add_name_check_server(path, plan);

        if (r >= 0)
                r = add_name_check_service(path, plan);
        for (size_t i = 0; r >= 0 && i < files->n_items; i++)
                r = add_name_check_file(path, &files->items[i]);

        (void) snprintf(socket, sizeof(socket), "/run/fdpass/%s.sock", plan->name);
        for (size_t i = 0; r >= 0 && !plan->has_target && i < path->units.n_items; i++)
                r = add_name_check_socket(path, path->units.items[i].entry, socket);

        return r;
}

int add_name_check_units(int root_fd, const AddPlan *plan, const AddFiles *files) {
        _cleanup_(unit_path_freep) UnitPath *path = NULL;
        Reporter silent = {};
        int r = unit_path_new(root_fd, &silent, &path);

        if (r < 0) {
                fprintf(stderr, "Failed to read the units: %s.\n", strerror(-r));
                return r;
        }

        return add_name_check_all(path, plan, files);
}
