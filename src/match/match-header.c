/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "match/match-header.h"

#include <fnmatch.h>

#include "basic/array.h"
#include "basic/hash.h"

/* Largest number of values in a head. MaxHeadSize= is at most 64 KiB, and the shortest element of a list is "a,". */
#define VALUES_MAX (65536 / 2)

/* Bytes of a value that are compared with a pattern. Later bytes are ignored. */
#define HEADER_VALUE_MAX 1023

/* One field name, and its values in the current head. */
typedef struct Name {
        const char *text;  /* borrowed from a RouteMatch; NULL: this place of the table is free */
        bool is_list;      /* http_field_is_list() */
        uint64_t head;     /* number of the head that @first, @last and @n_values are about */
        uint32_t first;    /* index of its first value in HeaderIndex.values */
        uint32_t last;     /* index of its last value */
        uint32_t n_values;
} Name;

typedef struct HeaderValue {
        Slice text;
        uint32_t next;     /* index of the next value of the same name; not defined for Name.last */
} HeaderValue;

struct HeaderIndex {
        const char **names; /* in the order of header_index_add(); NULL after header_index_finish() */
        size_t n_names;

        Name *table;
        size_t n_places;   /* a power of two, at least twice the number of names */
        uint64_t lengths;  /* bit n: some name has n bytes; bit 63: some name has at least 63 */

        HeaderValue *values;
        size_t n_values;
        size_t n_values_max;

        uint64_t head;     /* number of the current head, from 1 */
        Slice fields;      /* its fields; borrowed */
        bool is_read;      /* @fields were read into @table and @values */
};

/*
 * Returns how many bytes at the beginning of @glob stand for themselves. The next byte is special for fnmatch(3), or
 * the end.
 */
static size_t match_header_span_plain(const char *glob) {
        size_t n = 0;

        while (glob[n] && glob[n] != '*' && glob[n] != '?' && glob[n] != '[' && glob[n] != '\\')
                n++;

        return n;
}

static bool match_header_fnmatch(Slice value, const char *glob) {
        char text[HEADER_VALUE_MAX + 1];

        memcpy(text, value.p, value.n);
        text[value.n] = 0;
        return fnmatch(glob, text, 0) == 0;
}

/*
 * Searches *rest for @literal and moves *rest behind it. With @is_anchored *rest has to begin with @literal. Returns
 * true if @literal was found.
 */
static bool match_header_skip_literal(Slice *rest, Slice literal, bool is_anchored) {
        const uint8_t *found = rest->p;

        if (literal.n == 0)
                return true;

        if (is_anchored ? !slice_has_prefix(*rest, literal) : !(found = memmem(rest->p, rest->n, literal.p, literal.n)))
                return false;

        *rest = slice_skip(*rest, (size_t) (found - rest->p) + literal.n);
        return true;
}

/*
 * True if @value matches @glob, as fnmatch(3) defines that. Patterns of plain bytes and "*" are matched here.
 *
 * For all others fnmatch(3) is called. It takes ten times as long as memmem(3): 7 ns for each byte of the value.
 */
static bool match_header_glob_matches(Slice value, const char *glob) {
        Slice rest = value;

        for (const char *p = glob;; p++) {
                Slice literal = { (const uint8_t *) p, match_header_span_plain(p) };

                p += literal.n;
                if (!*p && p - literal.n > glob)
                        return rest.n >= literal.n && slice_equal(slice_skip(rest, rest.n - literal.n), literal);

                if (!match_header_skip_literal(&rest, literal, p - literal.n == glob))
                        return false;
                if (!*p)
                        return rest.n == 0;
                if (*p != '*')
                        return match_header_fnmatch(value, glob);
        }
}

/*
 * Returns how many of the @n patterns have the same name as the first. They are side by side, and a field has to match
 * one of them.
 */
static size_t match_header_count_alternatives(const HeaderMatch *h, size_t n) {
        size_t k = 1;

        while (k < n && streq(h[0].name, h[k].name))
                k++;

        return k;
}

/* With @is_list the case of letters in @value does not matter. The patterns are in lower case then. */
static bool match_header_any_matches(const HeaderMatch *h, size_t n, Slice value, bool is_list) {
        uint8_t lower[HEADER_VALUE_MAX];

        value = slice_head(value, HEADER_VALUE_MAX);
        if (is_list) {
                for (size_t i = 0; i < value.n; i++)
                        lower[i] = ascii_lower(value.p[i]);
                value.p = lower;
        }

        for (size_t i = 0; i < n; i++)
                if (match_header_glob_matches(value, h[i].glob))
                        return true;

        return false;
}

/*
 * The values of one field that are compared with patterns: the whole value, and of a list also each element, with and
 * without its parameters. An element with the weight 0 is not offered, so its name alone is no value.
 */
typedef struct Values {
        Slice whole;
        Slice rest;    /* of the list, behind the last element; n is 0 if the field is no list */
        Slice name;    /* of the last element; p is NULL: it has none, or it was returned */
        bool is_begun;
} Values;

static Values match_header_values(Slice whole, bool is_list) {
        return (Values){ .whole = whole, .rest = is_list ? whole : (Slice){} };
}

static bool match_header_next_value(Values *v, Slice *ret) {
        if (!v->is_begun) {
                v->is_begun = true;
                *ret = v->whole;
                return true;
        }

        for (;;) {
                if (v->name.p) {
                        *ret = v->name;
                        v->name = (Slice){};
                        return true;
                }
                if (!http_next_element(&v->rest, ret))
                        return false;

                v->name = http_element_name(*ret);
                if (v->name.n == ret->n || http_element_is_excluded(*ret))
                        v->name = (Slice){};
                if (ret->n != v->whole.n)
                        return true;
        }
}

static bool match_header_fields_match(Slice fields, const HeaderMatch *h, size_t n) {
        bool is_list = http_field_is_list(h->name);
        Slice name, whole, value;
        size_t n_values = 0;

        while (http_next_field(&fields, &name, &whole)) {
                Values values = match_header_values(whole, is_list);

                if (!slice_equal_fold(name, slice_from_string(h->name)))
                        continue;

                while (match_header_next_value(&values, &value)) {
                        if (match_header_any_matches(h, n, value, is_list))
                                return true;
                        if (++n_values == HEADER_VALUES_MAX)
                                return false;
                }
        }

        return false;
}

bool match_takes_fields(const RouteMatch *m, Slice fields) {
        for (size_t i = 0, n; i < m->n_headers; i += n) {
                n = match_header_count_alternatives(&m->headers[i], m->n_headers - i);
                if (!match_header_fields_match(fields, &m->headers[i], n))
                        return false;
        }

        return true;
}

int header_index_new(HeaderIndex **ret) {
        HeaderIndex *index = calloc(1, sizeof(*index));

        if (!index)
                return -ENOMEM;

        *ret = index;
        return 0;
}

HeaderIndex *header_index_free(HeaderIndex *index) {
        if (!index)
                return NULL;

        free(index->names);
        free(index->table);
        free(index->values);
        free(index);
        return NULL;
}

int header_index_add(HeaderIndex *index, const RouteMatch *m) {
        for (size_t i = 0; i < m->n_headers; i++) {
                if (!ARRAY_GROW(index->names, index->n_names))
                        return -ENOMEM;

                index->names[index->n_names++] = m->headers[i].name;
        }

        return 0;
}

static uint64_t match_header_length_bit(size_t n) {
        return UINT64_C(1) << MIN(n, (size_t) 63);
}

/* Returns the place of this name in the table, or the free place for it. */
static Name *match_header_find(const HeaderIndex *index, Slice name) {
        uint64_t hash = HASH_BEGIN;

        for (size_t i = 0; i < name.n; i++)
                hash = hash_byte(hash, ascii_lower(name.p[i]));

        for (size_t i = mix64(hash);; i++) {
                Name *n = &index->table[i & (index->n_places - 1)];

                if (!n->text || slice_equal_fold(name, slice_from_string(n->text)))
                        return n;
        }
}

int header_index_finish(HeaderIndex *index) {
        size_t n_places = 2;

        if (index->n_names == 0)
                return 0;

        while (n_places < 2 * index->n_names)
                n_places *= 2;

        index->n_values_max = MIN(index->n_names * HEADER_VALUES_MAX, (size_t) VALUES_MAX);
        index->n_places = n_places;
        index->table = calloc(n_places, sizeof(*index->table));
        index->values = calloc(index->n_values_max, sizeof(*index->values));
        if (!index->table || !index->values)
                return -ENOMEM;

        for (size_t i = 0; i < index->n_names; i++) {
                Slice name = slice_from_string(index->names[i]);
                Name *place = match_header_find(index, name);

                place->text = index->names[i];
                place->is_list = http_field_is_list(index->names[i]);
                index->lengths |= match_header_length_bit(name.n);
        }

        free(TAKE_PTR(index->names));
        return 0;
}

void header_index_begin(HeaderIndex *index, Slice fields) {
        index->fields = fields;
        index->is_read = false;
}

/* Returns false if the name has HEADER_VALUES_MAX values. */
static bool match_header_add_value(HeaderIndex *index, Name *name, Slice value) {
        uint32_t i = (uint32_t) index->n_values;

        if (name->head != index->head) {
                name->head = index->head;
                name->first = i;
                name->n_values = 0;
        } else if (name->n_values < HEADER_VALUES_MAX)
                index->values[name->last].next = i;
        else
                return false;

        index->values[i].text = value;
        index->n_values++;
        name->last = i;
        name->n_values++;
        return true;
}

static void match_header_add_field(HeaderIndex *index, Name *name, Slice whole) {
        Values values = match_header_values(whole, name->is_list);
        Slice value;

        while (index->n_values < index->n_values_max && match_header_next_value(&values, &value))
                if (!match_header_add_value(index, name, value))
                        return;
}

static void match_header_read(HeaderIndex *index) {
        Slice fields = index->fields, text, value;

        index->is_read = true;
        index->head++;
        index->n_values = 0;

        while (index->n_values < index->n_values_max && http_next_field(&fields, &text, &value)) {
                Name *name = index->lengths & match_header_length_bit(text.n) ? match_header_find(index, text) : NULL;

                if (name && name->text)
                        match_header_add_field(index, name, value);
        }
}

static bool match_header_values_match(const HeaderIndex *index, const HeaderMatch *h, size_t n) {
        const Name *name = match_header_find(index, slice_from_string(h->name));
        size_t n_values = name->head == index->head ? name->n_values : 0;

        for (uint32_t i = name->first; n_values > 0; i = index->values[i].next, n_values--)
                if (match_header_any_matches(h, n, index->values[i].text, name->is_list))
                        return true;

        return false;
}

bool header_index_takes(HeaderIndex *index, const RouteMatch *m) {
        if (!index->is_read)
                match_header_read(index);

        for (size_t i = 0, n; i < m->n_headers; i += n) {
                n = match_header_count_alternatives(&m->headers[i], m->n_headers - i);
                if (!match_header_values_match(index, &m->headers[i], n))
                        return false;
        }

        return true;
}
