/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/json.h"

#include <inttypes.h>

#include "basic/utf8.h"

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

static void json_new_line(FILE *f, JsonMode mode, unsigned depth) {
        if (mode == JSON_PRETTY)
                fprintf(f, "\n%*s", (int) (depth * 8), "");
}

static void json_print_value(FILE *f, const Value *v, JsonMode mode, unsigned depth);

static void json_print_items(FILE *f, const Value *v, JsonMode mode, unsigned depth) {
        bool is_dict = v->kind == VALUE_DICT;

        fputc(is_dict ? '{' : '[', f);
        for (size_t i = 0; i < v->n_items; i++) {
                if (i > 0)
                        fputc(',', f);
                json_new_line(f, mode, depth + 1);
                if (is_dict) {
                        json_print_string(f, v->items[i].name);
                        fputs(mode == JSON_PRETTY ? ": " : ":", f);
                }
                json_print_value(f, &v->items[i], mode, depth + 1);
        }
        if (v->n_items > 0)
                json_new_line(f, mode, depth);
        fputc(is_dict ? '}' : ']', f);
}

static void json_print_value(FILE *f, const Value *v, JsonMode mode, unsigned depth) {
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
                json_print_items(f, v, mode, depth);
                break;
        }
}

void json_print(FILE *f, const Value *v, JsonMode mode) {
        json_print_value(f, v, mode, 0);
}
