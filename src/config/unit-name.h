/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Names of units (systemd.unit(5)): "prefix.type", "prefix@.type" (a template) and "prefix@instance.type". */

#include "basic/macro.h"
#include "basic/strlist.h"

#define UNIT_NAME_MAX 255                  /* bytes, without the NUL */
#define UNIT_NAME_SIZE (UNIT_NAME_MAX + 1) /* size of a buffer for the longest name */

typedef enum UnitNameKind {
        UNIT_NAME_PLAIN,
        UNIT_NAME_TEMPLATE,
        UNIT_NAME_INSTANCE,
} UnitNameKind;

/* A valid name in its parts. The pointers point into the string that was parsed, which must live longer. */
typedef struct UnitName {
        const char *name;
        UnitNameKind kind;
        size_t n_prefix;      /* bytes before the first '@'; without one, before the dot of the type */
        size_t n_stem;        /* bytes before the dot of the type */
        const char *instance; /* text after the first '@', @n_instance bytes without a NUL; "": no '@' */
        size_t n_instance;    /* length of @instance, in bytes */
        const char *type;     /* "socket" */
} UnitName;

/* Parses @name. Returns false if it is not a valid name of a unit. */
bool unit_name_parse(const char *name, UnitName *ret);

/* Writes the name of the template of an instance. */
void unit_name_template(const UnitName *name, char ret[static UNIT_NAME_SIZE]);

/* Writes the name of @template with the instance part of @instance. Returns false if it is too long. */
bool unit_name_instantiate(const UnitName *template, const UnitName *instance, char ret[static UNIT_NAME_SIZE]);

/*
 * Appends the names whose drop-in directories apply to @name, highest priority first. The directory of the type is not
 * among them. For "a-b@i.socket": a-b@i.socket, a-b@.socket, a-.socket, a-@i.socket, a-@.socket.
 * Returns 0 or -ENOMEM.
 */
int unit_name_dropins(const UnitName *name, StringList *names);
