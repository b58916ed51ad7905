/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * From a unit's assignments to the fields of a struct, by a table with one line for each key.
 *
 * A value that is wrong is reported with its file and line and leaves its field alone; the other assignments
 * are read all the same, so that one look shows everything that is wrong.
 */

#include "config/specifier.h"
#include "config/unit.h"

/* The longest value that is any use, with its specifiers expanded, and with its NUL. */
#define VALUE_SIZE 4096

/* What is being read. All pointers are borrowed. */
typedef struct ConfigContext {
        Reporter *reporter;
        const Unit *unit;
        SpecifierContext specifiers;
        bool strict; /* an unknown key is an error: what it was to narrow would be too wide without it */
        bool failed; /* an error was reported */
} ConfigContext;

typedef struct ConfigKey ConfigKey;

/*
 * Reads the value of @a to @field, @fallback being the same field of the defaults: what an empty assignment
 * resets a field to. Returns 0, also after an error was reported, or a negative errno.
 */
typedef int (*ConfigParse)(ConfigContext *c, const ConfigKey *key, const Assignment *a, void *field,
                           const void *fallback);

struct ConfigKey {
        const char *section; /* SECTION_… */
        const char *name;
        ConfigParse parse;
        size_t offset;     /* of the field */
        unsigned min, max; /* of a number, both included */
        bool is_list;      /* values append, an empty one resets */
        const char *shown; /* the default in words, where it has some; NULL: the number says it, or nothing does */
};

/* The keys of one kind of unit. */
typedef struct ConfigKeys {
        const ConfigKey *keys;
        size_t n;
} ConfigKeys;

/*
 * Reads all assignments of the unit to the fields of @object. A key of [X-FDPass] that is not in the table is
 * a warning, or an error, as @c says; the other sections have keys that are none of our business.
 */
int config_table_apply(const ConfigKeys *keys, ConfigContext *c, void *object, const void *defaults);

/* Emits the lines that are in effect, in the order of the table. @defaults is as above. */
void config_table_describe(const ConfigKeys *keys, ConfigContext *c, const void *defaults, ConfigEmit emit,
                           void *userdata);

/* The last assignment of a key: where its value comes from, unless it is a list. NULL: there is none. */
Assignment *config_last(const Unit *unit, const char *section, const char *key);

/* Reports an error in the line of @a. */
void config_error(ConfigContext *c, const Assignment *a, const char *format, ...) _printf_(3, 4);

/* The same for a value that is not what it should be: "KEY= wants WHAT, not "VALUE"." */
void config_bad_value(ConfigContext *c, const Assignment *a, const char *format, ...) _printf_(3, 4);

/* Expands the specifiers in @s, which is the value of @a or a part of it. False: an error was reported. */
bool config_expand(ConfigContext *c, const Assignment *a, const char *s, char ret[static VALUE_SIZE]);

/* Replaces the string in *@field by a copy of @value, or by NULL for an empty one. Returns 0 or -ENOMEM. */
int config_set_string(char **field, const char *value);

int config_parse_bool(ConfigContext *c, const ConfigKey *key, const Assignment *a, void *field,
                      const void *fallback);     /* bool */
int config_parse_int(ConfigContext *c, const ConfigKey *key, const Assignment *a, void *field,
                     const void *fallback);      /* int */
int config_parse_unsigned(ConfigContext *c, const ConfigKey *key, const Assignment *a, void *field,
                          const void *fallback); /* unsigned, from ->min to ->max */
int config_parse_size(ConfigContext *c, const ConfigKey *key, const Assignment *a, void *field,
                      const void *fallback);     /* unsigned: bytes, from ->min to ->max */
int config_parse_timespan(ConfigContext *c, const ConfigKey *key, const Assignment *a, void *field,
                          const void *fallback); /* usec_t */
