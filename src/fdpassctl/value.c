/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/value.h"

#include <inttypes.h>

#include "basic/array.h"
#include "basic/utf8.h"

/* The broker's answers are four levels deep. */
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

static int read_any(sd_bus_message *m, Value *ret, unsigned depth);

static int read_basic(sd_bus_message *m, char type, Value *ret) {
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

/* One more item at the end, to be filled in. */
static Value *add_item(Value *v) {
        Value *items = v->items;

        if (!ARRAY_GROW(items, v->n_items))
                return NULL;

        v->items = items;
        v->items[v->n_items] = (Value){};
        return &v->items[v->n_items++];
}

static int read_entry(sd_bus_message *m, const char *contents, Value *ret, unsigned depth) {
        _cleanup_free_ char *name = NULL;
        const char *s;
        int r;

        r = sd_bus_message_enter_container(m, 'e', contents);
        if (r >= 0)
                r = sd_bus_message_read_basic(m, 's', &s);
        if (r >= 0)
                r = (name = strdup(s)) ? read_any(m, ret, depth) : -ENOMEM;
        if (r < 0)
                return r;

        ret->name = TAKE_PTR(name);
        return sd_bus_message_exit_container(m);
}

static int read_array(sd_bus_message *m, const char *contents, Value *ret, unsigned depth) {
        bool is_dict = contents[0] == '{';
        int r;

        *ret = (Value){ .kind = is_dict ? VALUE_DICT : VALUE_LIST };

        r = sd_bus_message_enter_container(m, 'a', contents);
        while (r >= 0 && (r = sd_bus_message_at_end(m, false)) == 0) {
                Value *item = add_item(ret);
                const char *inside;
                char type;

                if (!item)
                        return -ENOMEM;

                r = sd_bus_message_peek_type(m, &type, &inside);
                if (r >= 0)
                        r = is_dict ? read_entry(m, inside, item, depth) : read_any(m, item, depth);
        }

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_any(sd_bus_message *m, Value *ret, unsigned depth) {
        const char *contents;
        char type;
        int r;

        if (depth >= DEPTH_MAX)
                return -ELOOP;

        r = sd_bus_message_peek_type(m, &type, &contents);
        if (r <= 0)
                return r < 0 ? r : -ENODATA;

        if (type == 'a')
                return read_array(m, contents, ret, depth + 1);
        if (type != 'v')
                return read_basic(m, type, ret);

        r = sd_bus_message_enter_container(m, 'v', contents);
        if (r >= 0)
                r = read_any(m, ret, depth + 1);

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

int value_read(sd_bus_message *m, Value *ret) {
        Value v = {};
        int r;

        r = read_any(m, &v, 0);
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
                Value *item = add_item(to);

                if (!item)
                        return -ENOMEM;
                *item = from->items[i];
                from->items[i] = (Value){};
        }

        return 0;
}

const Value *value_get(const Value *dict, const char *name) {
        static const Value none = {};

        for (size_t i = 0; dict->kind == VALUE_DICT && i < dict->n_items; i++)
                if (dict->items[i].name && streq(dict->items[i].name, name))
                        return &dict->items[i];

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

uint64_t value_sum(const Value *v) {
        uint64_t sum = 0;

        for (size_t i = 0; i < v->n_items; i++)
                if (v->items[i].kind == VALUE_UNSIGNED)
                        sum += v->items[i].u;

        return sum;
}

void json_print_string(FILE *f, const char *s) {
        uint32_t c;
        size_t n;

        fputc('"', f);
        for (; *s; s += MAX(n, (size_t) 1)) {
                n = utf8_character(s, &c);

                if (*s == '"' || *s == '\\')
                        fprintf(f, "\\%c", *s);
                else if (n == 0 || !utf8_is_shown(c))
                        fprintf(f, "\\u%04x", n == 0 ? 0xfffdU : c);
                else
                        fwrite(s, 1, n, f);
        }
        fputc('"', f);
}

static void new_line(FILE *f, JsonMode mode, unsigned depth) {
        if (mode == JSON_PRETTY)
                fprintf(f, "\n%*s", (int) (depth * 8), "");
}

static void print_json(FILE *f, const Value *v, JsonMode mode, unsigned depth);

static void print_items(FILE *f, const Value *v, JsonMode mode, unsigned depth) {
        bool is_dict = v->kind == VALUE_DICT;

        fputc(is_dict ? '{' : '[', f);
        for (size_t i = 0; i < v->n_items; i++) {
                if (i > 0)
                        fputc(',', f);
                new_line(f, mode, depth + 1);
                if (is_dict) {
                        json_print_string(f, v->items[i].name);
                        fputs(mode == JSON_PRETTY ? ": " : ":", f);
                }
                print_json(f, &v->items[i], mode, depth + 1);
        }
        if (v->n_items > 0)
                new_line(f, mode, depth);
        fputc(is_dict ? '}' : ']', f);
}

static void print_json(FILE *f, const Value *v, JsonMode mode, unsigned depth) {
        switch (v->kind) {

        case VALUE_NULL:
                fputs("null", f);
                break;
        case VALUE_BOOL:
                fputs(v->b ? "true" : "false", f);
                break;
        case VALUE_UNSIGNED:
                fprintf(f, "%" PRIu64, v->u);
                break;
        case VALUE_SIGNED:
                fprintf(f, "%" PRIi64, v->i);
                break;
        case VALUE_STRING:
                json_print_string(f, v->s);
                break;
        case VALUE_LIST:
        case VALUE_DICT:
                print_items(f, v, mode, depth);
                break;
        }
}

void value_print_json(FILE *f, const Value *v, JsonMode mode) {
        print_json(f, v, mode, 0);
}
