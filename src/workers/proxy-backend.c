/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/proxy-backend.h"

#include <arpa/inet.h>
#include <linux/vm_sockets.h>
#include <stdio.h>

#include "basic/address.h"
#include "basic/array.h"
#include "basic/parse.h"

/* Time after a failed attempt in which other backends are preferred. */
#define DOWN_USEC (5 * USEC_PER_SEC)

static int backend_set_address(Backend *b, const void *sa, socklen_t length) {
        b->addresses = calloc(1, sizeof(*b->addresses));
        if (!b->addresses)
                return -ENOMEM;

        memcpy(&b->addresses[0].storage, sa, length);
        b->addresses[0].length = length;
        b->n_addresses = 1;
        return 0;
}

static int backend_parse_path(Backend *b, const char *text) {
        struct sockaddr_un un;
        socklen_t length;
        int r;

        r = address_from_path(text, &un, &length);
        if (r < 0)
                return r;

        if (*text == '@') {
                if (!text[1])
                        return -EINVAL;
                un.sun_path[0] = 0;
                length--; /* an abstract name has no NUL at its end (unix(7)) */
        }

        return backend_set_address(b, &un, length);
}

static int backend_parse_port(const char *text, unsigned *ret) {
        unsigned port;

        if (parse_unsigned(text, &port) < 0 || port == 0 || port > UINT16_MAX)
                return -EINVAL;

        *ret = port;
        return 0;
}

static int backend_parse_vsock(Backend *b, const char *text) {
        struct sockaddr_vm vm = { .svm_family = AF_VSOCK };
        const char *colon = strchr(text, ':');
        _cleanup_free_ char *cid = NULL;

        if (!colon)
                return -EINVAL;

        cid = strndup(text, (size_t) (colon - text));
        if (!cid)
                return -ENOMEM;
        if (parse_unsigned(cid, &vm.svm_cid) < 0 || parse_unsigned(colon + 1, &vm.svm_port) < 0)
                return -EINVAL;

        return backend_set_address(b, &vm, sizeof(vm));
}

/* Stores a numeric address, or a name to look up. @bracketed: only a numeric IPv6 address is allowed. */
static int backend_set_host(Backend *b, const char *host, size_t n, bool bracketed) {
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t) b->port) };
        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t) b->port) };
        _cleanup_free_ char *copy = strndup(host, n);

        if (!copy)
                return -ENOMEM;

        if (inet_pton(AF_INET6, copy, &in6.sin6_addr) == 1)
                return backend_set_address(b, &in6, sizeof(in6));
        if (bracketed || n == 0 || n > 253 || strpbrk(copy, " \t:/@[]"))
                return -EINVAL;
        if (inet_pton(AF_INET, copy, &in.sin_addr) == 1)
                return backend_set_address(b, &in, sizeof(in));

        b->host = TAKE_PTR(copy);
        return 0;
}

static int backend_parse_host(Backend *b, const char *text) {
        bool bracketed = *text == '[';
        const char *end, *colon = NULL;

        if (bracketed) {
                end = strchr(++text, ']');
                if (!end || (end[1] != ':' && end[1]))
                        return -EINVAL;
                if (end[1])
                        colon = end + 1;
        } else {
                /* Two colons without brackets are an IPv6 address without a port. */
                colon = strchr(text, ':');
                if (colon && strchr(colon + 1, ':'))
                        colon = NULL;
                end = colon ?: text + strlen(text);
        }

        if (colon && backend_parse_port(colon + 1, &b->port) < 0)
                return -EINVAL;

        return backend_set_host(b, text, (size_t) (end - text), bracketed);
}

static int backend_parse(Backend *b, const char *text) {
        const char *equals = strchr(text, '='), *vsock;

        if (equals && equals != text && *text != '/' && *text != '@') {
                b->socket_name = strndup(text, (size_t) (equals - text));
                if (!b->socket_name)
                        return -ENOMEM;
                text = equals + 1;
        }

        if (*text == '/' || *text == '@')
                return backend_parse_path(b, text);

        vsock = startswith(text, "vsock:");
        return vsock ? backend_parse_vsock(b, vsock) : backend_parse_host(b, text);
}

static void backend_done(Backend *b) {
        free(b->socket_name);
        free(b->host);
        free(b->addresses);
}

int backends_add(Backends *b, const char *text) {
        Backend new = { .text = text };
        int r;

        r = backend_parse(&new, text);
        if (r >= 0 && !ARRAY_GROW(b->items, b->n))
                r = -ENOMEM;
        if (r < 0) {
                backend_done(&new);
                return r;
        }

        b->items[b->n++] = new;
        return 0;
}

void backends_done(Backends *b) {
        for (unsigned i = 0; i < b->n; i++)
                backend_done(&b->items[i]);
        free(b->items);
        *b = (Backends){};
}

bool backends_have_tcp(const Backends *b) {
        for (unsigned i = 0; i < b->n; i++) {
                const Backend *k = &b->items[i];

                if (k->host || k->addresses[0].sa.sa_family == AF_INET || k->addresses[0].sa.sa_family == AF_INET6)
                        return true;
        }

        return false;
}

static bool backend_is_for(const Backend *b, const char *socket_name) {
        return !b->socket_name || streq(b->socket_name, socket_name);
}

unsigned backends_count(const Backends *b, const char *socket_name) {
        unsigned n = 0;

        for (unsigned i = 0; i < b->n; i++)
                n += backend_is_for(&b->items[i], socket_name);

        return n;
}

/* Returns the first backend from @start on that is not down, or the first one if all are. */
static unsigned backend_find(const Backends *b, unsigned start, const char *socket_name, usec_t now) {
        unsigned first = UINT32_MAX;

        for (unsigned i = 0; i < b->n; i++) {
                unsigned k = (start + i) % b->n;

                if (!backend_is_for(&b->items[k], socket_name))
                        continue;
                if (b->items[k].down_until <= now)
                        return k;
                if (first == UINT32_MAX)
                        first = k;
        }

        return first;
}

unsigned backends_choose(Backends *b, const char *socket_name, usec_t now) {
        unsigned k = backend_find(b, b->next, socket_name, now);

        b->next = (k + 1) % b->n;
        return k;
}

unsigned backends_after(const Backends *b, unsigned which, const char *socket_name, usec_t now) {
        return backend_find(b, (which + 1) % b->n, socket_name, now);
}

void backend_failed(Backends *b, unsigned which, int r, usec_t now) {
        Backend *k = &b->items[which];

        if (k->down_until == 0)
                log_line(b->log, LOG_WARNING, "Backend %s can't be reached: %s.", k->text, strerror(-r));

        k->down_until = now + DOWN_USEC;
}

void backend_works(Backends *b, unsigned which) {
        Backend *k = &b->items[which];

        if (k->down_until == 0)
                return;

        k->down_until = 0;
        log_line(b->log, LOG_NOTICE, "Backend %s is reached again.", k->text);
}
