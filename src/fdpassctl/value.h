/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the broker answers, as a tree: numbers, texts, lists and dictionaries. */

#include <stdio.h>
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
        char *name;    /* of a dictionary's entry */
        Value *items;  /* of a list or a dictionary */
        size_t n_items;
};

void value_done(Value *v);

#define _cleanup_value_ _cleanup_(value_done)

/* Reads the next value of the message, of any type that the broker uses. Returns 0 or a negative errno. */
int value_read(sd_bus_message *m, Value *ret);

/* Moves all items of the list @from behind those of the list @to, which may be empty yet. */
int value_append_all(Value *to, Value *from);

/* The entry of a dictionary; an empty value where there is none. Never NULL. */
const Value *value_get(const Value *dict, const char *name);

/* The same for what is expected there: "" and 0 where it is something else. */
const char *value_string(const Value *dict, const char *name);
uint64_t value_number(const Value *dict, const char *name);

/* Of a dictionary of numbers, or a list of them. */
uint64_t value_sum(const Value *v);

typedef enum JsonMode {
        JSON_OFF,
        JSON_SHORT,
        JSON_PRETTY,
} JsonMode;

/* Without a line break behind it. */
void value_print_json(FILE *f, const Value *v, JsonMode mode);

/* A string as JSON, with its quotes (RFC 8259 7). */
void json_print_string(FILE *f, const char *s);
