/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/state/client-context.h"

#include <limits.h>
#include <sys/socket.h>

#include "probe/proxy.h"

/* Digits of the first part of our own identifiers. */
#define INSTANCE_DIGITS 8

_Static_assert(PROXY_KEPT_MAX <= FDPASS_PROXY_MAX, "a message has room for the kept TLVs");

static size_t client_context_put_text(char *p, Slice s) {
        if (s.n > 0)
                memcpy(p, s.p, s.n);
        p[s.n] = 0;
        return s.n;
}

static Slice client_context_put(uint8_t **p, Slice s) {
        Slice copy = { *p, s.n };

        if (s.n > 0)
                memcpy(*p, s.p, s.n);
        *p += s.n;
        return copy;
}

/* It does not use printf(3), because that would be a tenth of the work for a client. */
size_t client_format_id(char ret[static CLIENT_OWN_ID_MAX], uint32_t instance, uint64_t number) {
        static const char digits[] = "0123456789abcdef";
        char decimal[20];
        size_t n = 0, k = sizeof(decimal);

        for (int shift = 28; shift >= 0; shift -= 4)
                ret[n++] = digits[instance >> shift & 0xf];
        ret[n++] = '-';

        do
                decimal[--k] = digits[number % 10];
        while (number /= 10);

        memcpy(ret + n, decimal + k, sizeof(decimal) - k);
        n += sizeof(decimal) - k;
        ret[n] = 0;
        return n;
}

/* Returns the value of a digit, or UINT_MAX. */
static unsigned client_context_digit(uint8_t c) {
        return c >= '0' && c <= '9' ? c - (unsigned) '0' : c >= 'a' && c <= 'f' ? c - (unsigned) 'a' + 10 : UINT_MAX;
}

/* Returns the digits that @s begins with as a number. Too many of them give some other number. */
static uint64_t client_context_parse_digits(Slice s, unsigned base) {
        uint64_t v = 0;

        for (size_t i = 0; i < s.n && client_context_digit(s.p[i]) < base; i++)
                v = v * base + client_context_digit(s.p[i]);

        return v;
}

/*
 * Reads a name in our own form, which is kept as two numbers. Returns false for any other spelling, because client_id()
 * could not write that again. That is what decides: the numbers are written, and compared with the name.
 */
static bool client_context_parse_id(Slice s, uint32_t *ret_instance, uint64_t *ret_number) {
        char again[CLIENT_OWN_ID_MAX];
        uint64_t number;
        uint32_t instance;

        if (s.n < INSTANCE_DIGITS + 2 || s.n >= sizeof(again))
                return false;

        instance = (uint32_t) client_context_parse_digits(slice_head(s, INSTANCE_DIGITS), 16);
        number = client_context_parse_digits(slice_skip(s, INSTANCE_DIGITS + 1), 10);
        if (!slice_equal(s, (Slice){ (const uint8_t *) again, client_format_id(again, instance, number) }))
                return false;

        *ret_instance = instance;
        *ret_number = number;
        return true;
}

size_t client_id_to_text(Slice unique_id, uint32_t origin, uint64_t origin_id, char ret[static CLIENT_ID_MAX]) {
        if (unique_id.n > 0)
                return client_context_put_text(ret, unique_id);

        return client_format_id(ret, origin, origin_id);
}

size_t client_id(const Client *c, char ret[static CLIENT_ID_MAX]) {
        return client_id_to_text(c->context ? c->context->unique_id : (Slice){}, c->origin, c->origin_id, ret);
}

/*
 * Copies the facts of @m. Behind the consumed bytes it leaves room for @more bytes. Returns NULL if there is no memory.
 */
static ClientContext *client_context_new(const Message *m, size_t more) {
        size_t n = m->name.n + m->data.n + m->consumed.n + m->unique_id.n + m->ssl.n + m->alpn.n + m->authority.n +
                   m->proxy.n + more;
        ClientContext *context = malloc(sizeof(*context) + n + 1);
        uint8_t *p;

        if (!context)
                return NULL;

        p = context->bytes;
        context->name = m->name.n > 0 ? (char *) p : NULL;
        (void) client_context_put(&p, m->name);
        *p++ = 0;
        context->data = client_context_put(&p, m->data);
        context->consumed = client_context_put(&p, m->consumed);
        p += more;
        context->unique_id = client_context_put(&p, m->unique_id);
        context->ssl = client_context_put(&p, m->ssl);
        context->alpn = client_context_put(&p, m->alpn);
        context->authority = client_context_put(&p, m->authority);
        context->proxy = client_context_put(&p, m->proxy);
        return context;
}

/* True if a TLS stage has sent @m. Otherwise its worker has passed on SSL of the PROXY header, as it got it. */
static bool client_context_is_of_stage(const Message *m) {
        return m->ssl.n > 0 && !slice_equal(m->ssl, slice_find_tlv(m->proxy, PROXY_TLV_SSL));
}

int client_set_context(Client *c, const Message *m) {
        Message kept = {
                .name = m->name,
                .data = m->data,
                .consumed = m->consumed,
                .proxy = m->proxy,
        };

        c->flush.status = m->status;
        c->flush.head_length = m->head_length;

        if (m->unique_id.n > 0 && !client_context_parse_id(m->unique_id, &c->origin, &c->origin_id))
                kept.unique_id = m->unique_id;
        if (client_context_is_of_stage(m)) { /* else the client's own bytes, or @proxy, say all three */
                kept.ssl = m->ssl;
                kept.alpn = m->alpn;
                kept.authority = m->authority;
        }

        if (kept.name.n + kept.data.n + kept.consumed.n + kept.unique_id.n + kept.ssl.n + kept.proxy.n == 0)
                return 0;

        c->context = client_context_new(&kept, 0);
        return c->context ? 0 : -ENOMEM;
}

int client_set_proxy_tlvs(Client *c, Slice tlvs) {
        uint8_t kept[PROXY_KEPT_MAX];
        Message m = { .proxy = { kept, proxy_keep_tlvs(tlvs, kept) } };
        Slice id = slice_find_tlv(m.proxy, PROXY_TLV_UNIQUE_ID);

        if (id.n <= FDPASS_UNIQUE_ID_MAX)
                m.unique_id = id;

        return client_set_context(c, &m);
}

void client_fill_message(const Client *c, Message *m) {
        const ClientContext *context = c->context;

        m->status = (uint16_t) c->flush.status;
        m->head_length = c->flush.status != 0 ? (uint32_t) c->flush.head_length : 0;
        if (!context)
                return;

        m->name = context->name ? slice_from_string(context->name) : (Slice){};
        m->data = context->data;
        m->consumed = context->consumed;
        m->ssl = context->ssl;
        m->proxy = context->proxy;
        if (m->alpn.n == 0)
                m->alpn = context->alpn;
        if (m->authority.n == 0)
                m->authority = context->authority;
}

/* Copies the facts that the client has. Behind the consumed bytes it leaves room for @more bytes. */
static ClientContext *client_context_copy(const Client *c, size_t more) {
        Message kept = {};

        if (c->context) {
                client_fill_message(c, &kept);
                kept.unique_id = c->context->unique_id;
        }

        return client_context_new(&kept, more);
}

int client_set_unknown_tls(Client *c) {
        static const uint8_t ssl[] = { PROXY_SSL_CLIENT, 0, 0, 0, /* verified: */ 1, FDPASS_SSL_TLV_NAME, 0, 0 };
        ClientContext *context;
        Message kept = {};

        if (c->context) {
                client_fill_message(c, &kept);
                kept.unique_id = c->context->unique_id;
        }
        kept.ssl = (Slice){ ssl, sizeof(ssl) };

        context = client_context_new(&kept, 0);
        if (!context)
                return -ENOMEM;

        free(c->context);
        c->context = context;
        return 0;
}

int client_consume(Client *c, size_t n) {
        size_t has = c->context ? c->context->consumed.n : 0;
        ClientContext *context;
        ssize_t k;

        if (n <= has)
                return 0;

        context = client_context_copy(c, n - has);
        if (!context)
                return -ENOMEM;

        /* The bytes were peeked at before, so all of them are in the socket. */
        k = handoff_recv(c->fd, context->bytes + (context->consumed.p - context->bytes) + has, n - has, MSG_DONTWAIT);
        if (k > 0) {
                c->baseline.n_read += (uint64_t) k;
                context->consumed.n += (size_t) k;
        }

        free(c->context);
        c->context = context;
        return context->consumed.n == n ? 0 : k < 0 ? -errno : -EPIPE;
}

int client_add_consumed(Client *c, const uint8_t *p, size_t n) {
        ClientContext *context = client_context_copy(c, n);

        if (!context)
                return -ENOMEM;

        memcpy(context->bytes + (context->consumed.p - context->bytes) + context->consumed.n, p, n);
        context->consumed.n += n;
        if (!c->is_ktls) /* its mark was taken anew */
                c->baseline.n_read += n;
        free(c->context);
        c->context = context;
        return 0;
}

/*
 * Copies bytes of the socket, or of Client.copy if the socket is shared. Returns their number, 0 at the client's end,
 * or a negative errno: -EAGAIN if there are none yet.
 */
static ssize_t client_context_peek_socket(const Client *c, uint8_t *buffer, size_t size) {
        ssize_t n;

        if (!c->is_shared) {
                n = recv(c->fd, buffer, size, MSG_PEEK | MSG_DONTWAIT);
                return n < 0 ? -errno : n;
        }

        if (!c->copy || (c->copy->n == 0 && !c->copy->is_end))
                return -EAGAIN;

        size = MIN(size, c->copy->n);
        memcpy(buffer, c->copy->bytes, size);
        return (ssize_t) size;
}

ssize_t client_peek(const Client *c, uint8_t *buffer, size_t size) {
        size_t before = 0;
        ssize_t n;

        if (c->context) {
                before = MIN(c->context->consumed.n, size);
                memcpy(buffer, c->context->consumed.p, before);
        }

        n = before < size ? client_context_peek_socket(c, buffer + before, size - before) : 0;
        if (n < 0 && before == 0)
                return n;

        return (ssize_t) before + MAX(n, (ssize_t) 0);
}
