/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Names of units, as systemd.unit(5) defines them: "prefix.type", "prefix@.type" (a template) and
 * "prefix@instance.type".
 */

#include "basic/macro.h"
#include "basic/strlist.h"

#define UNIT_NAME_MAX 255                  /* bytes, without the NUL */
#define UNIT_NAME_SIZE (UNIT_NAME_MAX + 1) /* of a buffer that has room for any */

typedef enum UnitNameKind {
        UNIT_NAME_PLAIN,
        UNIT_NAME_TEMPLATE,
        UNIT_NAME_INSTANCE,
} UnitNameKind;

/* A valid name, taken apart. Points into the string that it was parsed from. */
typedef struct UnitName {
        const char *name;
        UnitNameKind kind;
        size_t n_prefix;      /* bytes before the '@', or before the type's dot */
        size_t n_stem;        /* bytes before the type's dot */
        const char *instance; /* what follows the first '@'; "" where there is none */
        size_t n_instance;
        const char *type; /* "socket" */
} UnitName;

/* False where @name is no valid name of a unit. */
bool unit_name_parse(const char *name, UnitName *ret);

/* Writes the template that an instance is made from. */
void unit_name_template(const UnitName *name, char ret[static UNIT_NAME_SIZE]);

/* Writes the instance of @template for that of @instance. False where the name becomes too long. */
bool unit_name_instantiate(const UnitName *template, const UnitName *instance, char ret[static UNIT_NAME_SIZE]);

/*
 * Appends the names whose drop-in directories apply to @name, the strongest first; the type's own is not
 * among them. For "a-b@i.socket": a-b@i.socket, a-b@.socket, a-.socket, a-@i.socket, a-@.socket.
 * Returns 0 or -ENOMEM.
 */
int unit_name_dropins(const UnitName *name, StringList *names);
