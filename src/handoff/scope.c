/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "handoff/scope.h"

/* Flags and generation. */
#define SCOPE_HEADER_SIZE 5

/* Takes the next item off @items. Returns false at the end, and then @items is empty unless the last item is cut off. */
static bool scope_next(Reader *items, uint8_t *ret_kind, Slice *ret_text) {
        Reader rest = *items;
        uint8_t n;

        if (!reader_u8(&rest, ret_kind) || !reader_u8(&rest, &n) || !reader_take(&rest, n, ret_text))
                return false;

        *items = rest;
        return true;
}

/* Reads all items. Returns false if one is malformed. */
static bool scope_decode_items(Scope *scope) {
        Reader rest = scope->items;
        uint8_t kind;
        Slice text;

        while (scope_next(&rest, &kind, &text)) {
                switch (kind) {

                case FDPASS_SCOPE_HOST:
                        if (text.n == 0 || scope->host.n > 0)
                                return false;
                        scope->host = text;
                        break;

                case FDPASS_SCOPE_PREFIX:
                case FDPASS_SCOPE_EXCEPT:
                        if (text.n == 0 || text.p[0] != '/')
                                return false;
                        break;

                default:
                        scope->asks = true;
                }
        }

        return rest.n == 0;
}

bool scope_decode(Slice value, Scope *ret) {
        Reader r = value;
        uint8_t flags;

        *ret = (Scope){ .asks = true };

        if (value.n > FDPASS_SCOPE_MAX || !reader_u8(&r, &flags) || !reader_u32(&r, &ret->generation))
                return false;

        ret->items = r;
        ret->asks = flags != 0;
        ret->is_drained = (flags & FDPASS_SCOPE_DRAINED) != 0;

        if (!scope_decode_items(ret)) {
                *ret = (Scope){ .asks = true };
                return false;
        }

        return true;
}

/* True if clients may write @path in another way: it has an escape, or a byte that they may escape. */
static bool scope_is_escaped(Slice path) {
        for (size_t i = 0; i < path.n; i++)
                if (path.p[i] == '%' || path.p[i] >= 0x80)
                        return true;

        return false;
}

/* True if the route takes this path, and every other path of the host. */
static bool scope_has_path(const Scope *scope, Slice path) {
        bool is_own = false, is_escaped = scope_is_escaped(path);
        Reader rest = scope->items;
        size_t longest = 0;
        uint8_t kind;
        Slice text;

        while (scope_next(&rest, &kind, &text)) {
                if (kind == FDPASS_SCOPE_HOST)
                        continue;

                /* An escape may mean another prefix to a server than to the broker, unless there is no other. */
                if (is_escaped && (kind == FDPASS_SCOPE_EXCEPT || text.n > 1))
                        return false;

                if (text.n < longest || !http_path_has_prefix(path, text))
                        continue;

                /* Both kinds for one prefix: the exception counts. */
                is_own = kind == FDPASS_SCOPE_PREFIX && (is_own || text.n > longest);
                longest = text.n;
        }

        return is_own;
}

bool scope_covers_request(const Scope *scope, const HttpFacts *facts) {
        return !scope->asks && scope->host.n > 0 && facts->minor == 1 && facts->form == HTTP_FORM_ORIGIN &&
               slice_equal((Slice){ (const uint8_t *) facts->host.text, facts->host.n }, scope->host) &&
               !http_path_is_ambiguous(facts->path) && scope_has_path(scope, facts->path);
}

bool scope_covers(const Scope *scope, Slice bytes) {
        HttpFacts facts;

        return !scope->asks && probe_http1(bytes.p, bytes.n, FDPASS_CONSUMED_MAX, &facts) == PROBE_MATCH &&
               scope_covers_request(scope, &facts);
}

void scope_begin(ScopeWriter *w, uint32_t generation) {
        w->bytes[0] = 0;
        w->bytes[1] = (uint8_t) (generation >> 24);
        w->bytes[2] = (uint8_t) (generation >> 16);
        w->bytes[3] = (uint8_t) (generation >> 8);
        w->bytes[4] = (uint8_t) generation;
        w->n = SCOPE_HEADER_SIZE;
}

bool scope_add(ScopeWriter *w, uint8_t kind, Slice text) {
        if (text.n > UINT8_MAX || text.n + 2 > sizeof(w->bytes) - w->n)
                return false;

        w->bytes[w->n++] = kind;
        w->bytes[w->n++] = (uint8_t) text.n;
        if (text.n > 0)
                memcpy(w->bytes + w->n, text.p, text.n);
        w->n += text.n;
        return true;
}

void scope_ask(ScopeWriter *w, uint32_t generation) {
        scope_begin(w, generation);
        w->bytes[0] = FDPASS_SCOPE_ASK;
}
