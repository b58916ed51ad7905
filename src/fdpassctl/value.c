/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/value.h"

#include "basic/array.h"

/* The broker's answers have four levels. The limit keeps a hostile answer from using up the stack. */
#define DEPTH_MAX 16

void value_done(Value *v) {
        if (v->kind == VALUE_STRING)
                free(v->s);
        for (size_t i = 0; i < v->n_items; i++)
                value_done(&v->items[i]);

        free(v->items);
        free(v->name);
        *v = (Value){};
}

static int value_read_any(sd_bus_message *m, Value *ret, unsigned depth);

static int value_read_basic(sd_bus_message *m, char type, Value *ret) {
        const char *s;
        uint32_t u;
        int b, r;

        switch (type) {

        case 'b':
                r = sd_bus_message_read_basic(m, type, &b);
                *ret = (Value){ .kind = VALUE_BOOL, .b = r > 0 && b };
                return r;

        case 'u':
                r = sd_bus_message_read_basic(m, type, &u);
                *ret = (Value){ .kind = VALUE_UNSIGNED, .u = r > 0 ? u : 0 };
                return r;

        case 't':
                *ret = (Value){ .kind = VALUE_UNSIGNED };
                return sd_bus_message_read_basic(m, type, &ret->u);

        case 'i':
                r = sd_bus_message_read_basic(m, type, &b);
                *ret = (Value){ .kind = VALUE_SIGNED, .i = r > 0 ? b : 0 };
                return r;

        case 'x':
                *ret = (Value){ .kind = VALUE_SIGNED };
                return sd_bus_message_read_basic(m, type, &ret->i);

        case 's':
                r = sd_bus_message_read_basic(m, type, &s);
                if (r < 0)
                        return r;
                *ret = (Value){ .kind = VALUE_STRING, .s = strdup(s) };
                return ret->s ? 0 : -ENOMEM;

        default:
                return -ENOTSUP;
        }
}

/* Adds an empty item at the end. Returns NULL without memory. */
static Value *value_add_item(Value *v) {
        Value *items = v->items;

        if (!ARRAY_GROW(items, v->n_items))
                return NULL;

        v->items = items;
        v->items[v->n_items] = (Value){};
        return &v->items[v->n_items++];
}

static int value_read_entry(sd_bus_message *m, const char *contents, Value *ret, unsigned depth) {
        _cleanup_free_ char *name = NULL;
        const char *s;
        int r;

        r = sd_bus_message_enter_container(m, 'e', contents);
        if (r >= 0)
                r = sd_bus_message_read_basic(m, 's', &s);
        if (r >= 0)
                r = (name = strdup(s)) ? value_read_any(m, ret, depth) : -ENOMEM;
        if (r < 0)
                return r;

        ret->name = TAKE_PTR(name);
        return sd_bus_message_exit_container(m);
}

static int value_read_array(sd_bus_message *m, const char *contents, Value *ret, unsigned depth) {
        bool is_dict = contents[0] == '{';
        int r;

        *ret = (Value){ .kind = is_dict ? VALUE_DICT : VALUE_LIST };

        r = sd_bus_message_enter_container(m, 'a', contents);
        while (r >= 0 && (r = sd_bus_message_at_end(m, false)) == 0) {
                Value *item = value_add_item(ret);
                const char *inside;
                char type;

                if (!item)
                        return -ENOMEM;

                r = sd_bus_message_peek_type(m, &type, &inside);
                if (r >= 0)
                        r = is_dict ? value_read_entry(m, inside, item, depth) : value_read_any(m, item, depth);
        }

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int value_read_any(sd_bus_message *m, Value *ret, unsigned depth) {
        const char *contents;
        char type;
        int r;

        if (depth >= DEPTH_MAX)
                return -ELOOP;

        r = sd_bus_message_peek_type(m, &type, &contents);
        if (r <= 0)
                return r < 0 ? r : -ENODATA;

        if (type == 'a')
                return value_read_array(m, contents, ret, depth + 1);
        if (type != 'v')
                return value_read_basic(m, type, ret);

        r = sd_bus_message_enter_container(m, 'v', contents);
        if (r >= 0)
                r = value_read_any(m, ret, depth + 1);

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

int value_read(sd_bus_message *m, Value *ret) {
        Value v = {};
        int r;

        r = value_read_any(m, &v, 0);
        if (r < 0) {
                value_done(&v);
                return r;
        }

        *ret = v;
        return 0;
}

int value_append_all(Value *to, Value *from) {
        to->kind = VALUE_LIST;

        for (size_t i = 0; i < from->n_items; i++) {
                Value *item = value_add_item(to);

                if (!item)
                        return -ENOMEM;
                *item = from->items[i];
                from->items[i] = (Value){};
        }

        return 0;
}

Value *value_add(Value *to, const char *name, ValueKind kind) {
        _cleanup_free_ char *copy = name ? strdup(name) : NULL;
        Value *item = name && !copy ? NULL : value_add_item(to);

        if (item)
                *item = (Value){ .kind = kind, .name = TAKE_PTR(copy) };

        return item;
}

int value_add_string(Value *to, const char *name, const char *s) {
        Value *item = value_add(to, name, VALUE_NULL);
        char *copy = item ? strdup(s) : NULL;

        if (!copy)
                return -ENOMEM;

        item->kind = VALUE_STRING;
        item->s = copy;
        return 0;
}

const Value *value_get(const Value *dict, const char *name) {
        static const Value none = {};

        for (size_t i = 0; dict->kind == VALUE_DICT && i < dict->n_items; i++)
                if (dict->items[i].name && streq(dict->items[i].name, name))
                        return &dict->items[i];

        return &none;
}

const Value *value_find(const Value *list, const char *name, const char *s) {
        static const Value none = {};

        for (size_t i = 0; i < list->n_items; i++)
                if (streq(value_string(&list->items[i], name), s))
                        return &list->items[i];

        return &none;
}

const char *value_string(const Value *dict, const char *name) {
        const Value *v = value_get(dict, name);

        return v->kind == VALUE_STRING ? v->s : "";
}

uint64_t value_number(const Value *dict, const char *name) {
        const Value *v = value_get(dict, name);

        return v->kind == VALUE_UNSIGNED ? v->u : v->kind == VALUE_BOOL ? v->b : 0;
}

const char *value_item_string(const Value *list, size_t i) {
        return i < list->n_items && list->items[i].kind == VALUE_STRING ? list->items[i].s : "";
}

uint64_t value_sum(const Value *v) {
        uint64_t sum = 0;

        for (size_t i = 0; i < v->n_items; i++)
                if (v->items[i].kind == VALUE_UNSIGNED)
                        sum += v->items[i].u;

        return sum;
}
