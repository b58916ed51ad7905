/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Parsers of values, which the tables of keys name (config-table.h).
 *
 * A wrong value is reported with its file and line, and its field stays as it is. The other assignments of the unit
 * are read nevertheless, so that one run reports all errors of a unit.
 */

#include "config/specifier.h"
#include "config/unit.h"

/* White space between the words of a value. */
#define WHITESPACE " \t"

/* Size of a buffer for the longest accepted value with its specifiers expanded, NUL included. */
#define VALUE_SIZE 4096

typedef struct ConfigKey ConfigKey;
typedef struct ConfigKind ConfigKind;

/* The unit that is being read. All pointers are borrowed. */
typedef struct ConfigContext {
        Reporter *reporter;             /* NULL for config_table_describe(), which reports nothing */
        const Unit *unit;
        SpecifierContext specifiers;
        const ConfigKind *const *kinds; /* all kinds of units, NULL-terminated; NULL: no hint about a misplaced key */
        const ConfigKey *key;           /* key of the assignment that is being parsed */
        bool has_failed;                /* an error was reported */
} ConfigContext;

/*
 * Parses the value of @a into @field. An empty value resets a list. Returns 0, also after it reported an error, or a
 * negative errno.
 */
typedef int (*ConfigParse)(ConfigContext *c, const Assignment *a, void *field);

/* Adds one word of a list to @field. Returns 0, 1 if the word is wrong, or -ENOMEM. */
typedef int (*ConfigTakeWord)(const char *word, void *field);

/* One key of a table. CONFIG_VALUE() and CONFIG_OBJECT() give @offset and @size. */
struct ConfigKey {
        const char *section;        /* SECTION_… */
        const char *name;
        ConfigParse parse;
        size_t offset;              /* offset of the field in the object, in bytes */
        size_t size;                /* size of the field, in bytes; 0: the parser resets it */
        unsigned min, max;          /* limits of a number, both included */
        bool is_list;               /* values append, and an empty one resets the list */
        const char *const *choices; /* words of config_parse_choice(), NULL-terminated */
        ConfigTakeWord take;        /* adds a word, for config_parse_strings() */
        const char *wants;          /* description of the words in errors, for config_parse_strings() */
        bool is_of_systemd;         /* [Socket] has another key of this name (systemd.socket(5)) */
        const char *shown;          /* default as text; NULL: the field has it, or there is none */
};

/* A field that an empty assignment resets to its default by copying the bytes. */
#define CONFIG_VALUE(type, field) .offset = offsetof(type, field), .size = sizeof(((type *) NULL)->field)

/* A field that owns memory or belongs to other fields. Its parser handles an empty assignment. */
#define CONFIG_OBJECT(type, field) .offset = offsetof(type, field)

/* Reports an error in the line of @a. */
void config_error(ConfigContext *c, const Assignment *a, const char *format, ...) _printf_(3, 4);

/* Reports a value of the wrong form: "KEY= wants WHAT, not "VALUE".", with @format for WHAT. */
void config_bad_value(ConfigContext *c, const Assignment *a, const char *format, ...) _printf_(3, 4);

/* Expands the specifiers in @s, which is the value of @a or a part of it. Returns false after it reported an error. */
bool config_expand(ConfigContext *c, const Assignment *a, const char *s, char ret[static VALUE_SIZE]);

/* Replaces the string in *@field by a copy of @value; by NULL if @value is empty. Returns 0 or -ENOMEM. */
int config_set_string(char **field, const char *value);

/* Returns the last assignment of a key, which decides the value unless the key is a list. NULL: there is none. */
Assignment *config_last(const Unit *unit, const char *section, const char *key);

/* Parsers for tables. The comment names the type of the field. */
int config_parse_bool(ConfigContext *c, const Assignment *a, void *field);     /* bool */
int config_parse_choice(ConfigContext *c, const Assignment *a, void *field);   /* bool or enum: index in ->choices */
int config_parse_int(ConfigContext *c, const Assignment *a, void *field);      /* int */
int config_parse_unsigned(ConfigContext *c, const Assignment *a, void *field); /* unsigned, ->min to ->max */
int config_parse_size(ConfigContext *c, const Assignment *a, void *field);     /* unsigned: bytes, ->min to ->max */
int config_parse_timespan(ConfigContext *c, const Assignment *a, void *field); /* usec_t */
int config_parse_strings(ConfigContext *c, const Assignment *a, void *field);  /* StringList, by ->take */

/*
 * Splits the value into words, expands the specifiers of each, and calls @take for it. @wants describes the words in
 * errors. Returns 0, also after it reported an error, or -ENOMEM.
 */
int config_parse_words(ConfigContext *c, const Assignment *a, const char *wants, ConfigTakeWord take, void *field);
