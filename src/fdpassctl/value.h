/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The broker's answers as a tree: numbers, strings, lists and dictionaries. */

#include <systemd/sd-bus.h>

#include "basic/macro.h"

typedef enum ValueKind {
        VALUE_NULL,
        VALUE_BOOL,
        VALUE_UNSIGNED,
        VALUE_SIGNED,
        VALUE_STRING,
        VALUE_LIST,
        VALUE_DICT,
} ValueKind;

typedef struct Value Value;

struct Value {
        ValueKind kind;
        union {
                bool b;
                uint64_t u;
                int64_t i;
                char *s;
        };
        char *name;    /* key of a dictionary's entry; otherwise NULL */
        Value *items;  /* of a list or a dictionary */
        size_t n_items;
};

/* Frees what is in @v, and makes it a VALUE_NULL. */
void value_done(Value *v);

#define _cleanup_value_ _cleanup_(value_done)

/* Reads the next value of the message, of any type that the broker sends. Returns 0 or a negative errno. */
int value_read(sd_bus_message *m, Value *ret);

/* Moves all items of the list @from to the end of the list @to, or of a VALUE_NULL. Returns 0 or -ENOMEM. */
int value_append_all(Value *to, Value *from);

/*
 * Adds an item to a list (@name is NULL) or an entry to a dictionary. Returns it, of @kind and empty, or NULL without
 * memory.
 */
Value *value_add(Value *to, const char *name, ValueKind kind);

/* Adds a copy of @s in the same way. Returns 0 or -ENOMEM. */
int value_add_string(Value *to, const char *name, const char *s);

/* Returns the entry of a dictionary, or a VALUE_NULL if there is none. Never NULL. */
const Value *value_get(const Value *dict, const char *name);

/* Returns the entry of a list of dictionaries in which the entry @name is the string @s, or a VALUE_NULL. */
const Value *value_find(const Value *list, const char *name, const char *s);

/* Return the entry's value, or "" and 0 if there is no such entry of this kind. A bool is the number 0 or 1. */
const char *value_string(const Value *dict, const char *name);
uint64_t value_number(const Value *dict, const char *name);

/* Returns the string at this index of a list, or "". */
const char *value_item_string(const Value *list, size_t i);

/* Returns the sum of the unsigned numbers in a list or a dictionary. */
uint64_t value_sum(const Value *v);
