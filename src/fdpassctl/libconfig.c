/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/libconfig.h"

#include <errno.h>

#include "basic/array.h"
#include "fdpassctl/libconfig-token.h"

/* Files of sslh have four levels. */
#define DEPTH_MAX 16

void libconfig_done(LibconfigValue *v) {
        for (size_t i = 0; i < v->n_items; i++)
                libconfig_done(&v->items[i]);
        free(v->items);
        free(v->name);
        free(v->text);
        *v = (LibconfigValue){};
}

const LibconfigValue *libconfig_get(const LibconfigValue *group, const char *name) {
        for (size_t i = 0; i < group->n_items; i++)
                if (group->items[i].name && streq(group->items[i].name, name))
                        return &group->items[i];

        return NULL;
}

static int libconfig_take_value(LibconfigReader *r, LibconfigValue *v);

/* Adds an item, which the group or list @v owns. Returns NULL without memory. */
static LibconfigValue *libconfig_add(LibconfigReader *r, LibconfigValue *v) {
        if (!ARRAY_GROW(v->items, v->n_items))
                return NULL;

        v->items[v->n_items] = (LibconfigValue){ .line = r->line };
        return &v->items[v->n_items++];
}

/* Takes "name = value" with the optional semicolon or comma behind it. */
static int libconfig_take_setting(LibconfigReader *r, LibconfigValue *group) {
        LibconfigValue *v = libconfig_add(r, group);
        const char *begin = r->p;
        int k;

        if (!v)
                return -ENOMEM;

        while (libconfig_is_word(*r->p) && *r->p != '.' && *r->p != '+')
                r->p++;
        if (r->p == begin || (*begin >= '0' && *begin <= '9'))
                return libconfig_fail(r, *begin == '@' ? "@include is not followed; give the included file too."
                                                       : "The name of a setting is missing.");

        v->name = strndup(begin, (size_t) (r->p - begin));
        if (!v->name)
                return -ENOMEM;
        if (!libconfig_take(r, ':') && !libconfig_take(r, '='))
                return libconfig_fail(r, "There is no : or = behind the name of a setting.");

        k = libconfig_take_value(r, v);
        if (k == 0 && !libconfig_take(r, ';'))
                (void) libconfig_take(r, ',');
        return k;
}

/* Takes settings up to @end, which is not taken. */
static int libconfig_take_settings(LibconfigReader *r, LibconfigValue *group, char end) {
        int k = 0;

        group->type = LIBCONFIG_GROUP;
        for (libconfig_skip(r); k == 0 && *r->p != end; libconfig_skip(r))
                k = *r->p ? libconfig_take_setting(r, group) : libconfig_fail(r, "A group does not end.");

        return k;
}

/* Takes the elements of a list or array up to @end. A comma may follow the last one. */
static int libconfig_take_elements(LibconfigReader *r, LibconfigValue *list, char end) {
        list->type = LIBCONFIG_LIST;

        for (libconfig_skip(r); *r->p != end; libconfig_skip(r)) {
                LibconfigValue *v = libconfig_add(r, list);
                int k = v ? libconfig_take_value(r, v) : -ENOMEM;

                if (k != 0)
                        return k;
                if (!libconfig_take(r, ',') && *r->p != end)
                        return libconfig_fail(r, "A comma or the end of a list is missing.");
        }

        return 0;
}

static int libconfig_take_nested(LibconfigReader *r, LibconfigValue *v) {
        char end = *r->p == '{' ? '}' : *r->p == '(' ? ')' : ']';
        int k;

        if (++r->depth > DEPTH_MAX)
                return libconfig_fail(r, "Groups and lists are nested too deeply.");

        r->p++;
        k = end == '}' ? libconfig_take_settings(r, v, end) : libconfig_take_elements(r, v, end);
        r->depth--;
        if (k == 0)
                r->p++;
        return k;
}

static int libconfig_take_value(LibconfigReader *r, LibconfigValue *v) {
        libconfig_skip(r);
        v->line = r->line;
        if (*r->p == '"')
                return libconfig_take_string(r, v);
        if (*r->p && strchr("{([", *r->p))
                return libconfig_take_nested(r, v);
        if (!libconfig_is_word(*r->p))
                return libconfig_fail(r, "A value is missing.");

        return libconfig_take_word(r, v);
}

int libconfig_parse(const char *text, LibconfigValue *ret, LibconfigError *ret_error) {
        LibconfigReader r = { .p = text, .end = text + strlen(text), .line = 1, .error = ret_error };

        *ret = (LibconfigValue){ .line = 1 };
        return libconfig_take_settings(&r, ret, '\0');
}
