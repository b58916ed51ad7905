/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/client.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#include "basic/fd.h"
#include "helper/helper.h"

/* Ours: eight digits of the instance in hexadecimal, and the number. */
#define OWN_ID_MAX (8 + 1 + 20 + 1)

int client_table_init(ClientTable *table, size_t n_slots) {
        *table = (ClientTable){ .n_slots = n_slots };
        list_init(&table->free);

        table->slots = calloc(n_slots, sizeof(*table->slots));
        return table->slots ? 0 : -ENOMEM;
}

void client_table_done(ClientTable *table) {
        for (size_t i = 0; i < table->n_touched; i++)
                if (table->slots[i].state != CLIENT_FREE)
                        client_free(table, &table->slots[i]);

        free(TAKE_PTR(table->slots));
}

static Client *take_slot(ClientTable *table) {
        List *l = list_first(&table->free);

        if (l) {
                list_remove(l);
                return CONTAINER_OF(l, Client, link);
        }

        return table->n_touched < table->n_slots ? &table->slots[table->n_touched++] : NULL;
}

Client *client_new(ClientTable *table, Listener *listener, int fd) {
        Client *c = take_slot(table);

        if (!c)
                return NULL;

        *c = (Client){
                .state = CLIENT_NEW,
                .generation = c->generation + 1,
                .fd = fd, /* consumed */
                .conn_fd = -EBADF,
                .judge_slot = -1,
                .listener = listener,
                .id = ++table->n_ids,
                .origin_id = table->n_ids,
                .origin = table->instance,
        };
        list_init(&c->link);
        list_init(&c->second_link);

        table->n_used++;
        return c;
}

void client_close_connection(ClientTable *table, Client *c) {
        int fd = TAKE_FD(c->conn_fd);

        if (fd < 0)
                return;

        /* Its queue may hold descriptors of the worker. Before Linux 6.9 each close(2) of AF_UNIX may also collect garbage,
         * which is descriptors of others (unix_gc() in the kernel). */
        if (handoff_may_bring_rights())
                helper_close(table->helper, HELPER_CONNECTIONS, fd, c->last_worker);
        else
                fd_close(fd);
}

void client_close_socket(ClientTable *table, Client *c) {
        int fd = TAKE_FD(c->fd);

        if (client_is_ip(c) && c->is_shared)
                helper_close(table->helper, HELPER_CLIENTS, fd, c->last_worker);
        else if (!client_is_ip(c) && (c->is_shared || handoff_may_bring_rights()))
                helper_close(table->helper, HELPER_CONNECTIONS, fd, c->last_worker);
        else
                fd_close(fd);
}

void client_free(ClientTable *table, Client *c) {
        list_remove(&c->link);
        list_remove(&c->second_link);

        client_close_connection(table, c);
        client_close_socket(table, c);
        free(TAKE_PTR(c->baggage));
        free(TAKE_PTR(c->unsent));
        if (c->copy)
                free(TAKE_PTR(c->copy));

        c->state = CLIENT_FREE;
        list_prepend(&table->free, &c->link);
        table->n_used--;
}

void client_insert_by_deadline(List *list, Client *c) {
        List *before = list->prev;

        while (before != list && CONTAINER_OF(before, Client, link)->deadline > c->deadline)
                before = before->prev;

        list_append(before->next, &c->link);
}

static size_t put_text(char *p, Slice s) {
        if (s.n > 0)
                memcpy(p, s.p, s.n);
        p[s.n] = 0;
        return s.n;
}

static Slice put_aside(uint8_t **p, Slice s) {
        Slice copy = { *p, s.n };

        if (s.n > 0)
                memcpy(*p, s.p, s.n);
        *p += s.n;
        return copy;
}

/* By hand: this is done for each client, and printf() would be a tenth of all that is. */
static size_t format_id(char ret[static OWN_ID_MAX], uint32_t instance, uint64_t number) {
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

/* Ids of our own form are kept as two numbers. They have no other spelling, so they come out as they went in. */
static bool parse_id(Slice s, uint32_t *ret_instance, uint64_t *ret_number) {
        char text[32], again[OWN_ID_MAX];
        uint64_t number;
        uint32_t instance;

        if (s.n >= sizeof(text) || (s.n > 0 && memchr(s.p, 0, s.n)))
                return false;

        (void) put_text(text, s);
        if (sscanf(text, "%8" SCNx32 "-%20" SCNu64, &instance, &number) != 2)
                return false;

        (void) format_id(again, instance, number);
        if (!streq(text, again))
                return false;

        *ret_instance = instance;
        *ret_number = number;
        return true;
}

size_t client_id(const Client *c, char ret[static CLIENT_ID_MAX]) {
        if (c->baggage && c->baggage->unique_id.n > 0)
                return put_text(ret, c->baggage->unique_id);

        return format_id(ret, c->origin, c->origin_id);
}

/* With room for @more consumed bytes, which follow those of @m. */
static Baggage *baggage_new(const Message *m, size_t more) {
        size_t n = m->name.n + m->data.n + m->consumed.n + m->unique_id.n + m->ssl.n + m->alpn.n + m->authority.n + more;
        Baggage *baggage = malloc(sizeof(*baggage) + n + 1);
        uint8_t *p;

        if (!baggage)
                return NULL;

        p = baggage->bytes;
        baggage->name = m->name.n > 0 ? (char *) p : NULL;
        (void) put_aside(&p, m->name);
        *p++ = 0;
        baggage->data = put_aside(&p, m->data);
        baggage->consumed = put_aside(&p, m->consumed);
        p += more;
        baggage->unique_id = put_aside(&p, m->unique_id);
        baggage->ssl = put_aside(&p, m->ssl);
        baggage->alpn = put_aside(&p, m->alpn);
        baggage->authority = put_aside(&p, m->authority);
        return baggage;
}

int client_set_baggage(Client *c, const Message *m) {
        Message kept = {
                .name = m->name,
                .data = m->data,
                .consumed = m->consumed,
                .ssl = m->ssl,
        };

        c->status = m->status;
        c->head_length = m->head_length;

        if (m->unique_id.n > 0 && !parse_id(m->unique_id, &c->origin, &c->origin_id))
                kept.unique_id = m->unique_id;
        if (m->ssl.n > 0) { /* elsewhere these two are found out anew, from what the client says next */
                kept.alpn = m->alpn;
                kept.authority = m->authority;
        }

        if (kept.name.n + kept.data.n + kept.consumed.n + kept.unique_id.n + kept.ssl.n == 0)
                return 0;

        c->baggage = baggage_new(&kept, 0);
        return c->baggage ? 0 : -ENOMEM;
}

/* What it has, with room for @more consumed bytes. */
static Baggage *client_new_baggage(const Client *c, size_t more) {
        Message kept = {};

        if (c->baggage) {
                client_tell_baggage(c, &kept);
                kept.unique_id = c->baggage->unique_id;
        }

        return baggage_new(&kept, more);
}

int client_consume(Client *c, size_t n) {
        size_t has = c->baggage ? c->baggage->consumed.n : 0;
        Baggage *baggage;
        ssize_t k;

        if (n <= has)
                return 0;

        baggage = client_new_baggage(c, n - has);
        if (!baggage)
                return -ENOMEM;

        /* They were peeked at: whoever reads them a moment later gets all of them. */
        k = handoff_recv(c->fd, baggage->bytes + (baggage->consumed.p - baggage->bytes) + has, n - has, MSG_DONTWAIT);
        if (k > 0) {
                c->untouched.n_read += (uint64_t) k;
                baggage->consumed.n += (size_t) k;
        }

        free(c->baggage);
        c->baggage = baggage;
        return baggage->consumed.n == n ? 0 : k < 0 ? -errno : -EPIPE;
}

void client_tell_baggage(const Client *c, Message *m) {
        const Baggage *baggage = c->baggage;

        m->status = (uint16_t) c->status;
        m->head_length = c->status != 0 ? (uint32_t) c->head_length : 0;
        if (!baggage)
                return;

        m->name = baggage->name ? slice_from_string(baggage->name) : (Slice){};
        m->data = baggage->data;
        m->consumed = baggage->consumed;
        m->ssl = baggage->ssl;
        if (m->alpn.n == 0)
                m->alpn = baggage->alpn;
        if (m->authority.n == 0)
                m->authority = baggage->authority;
}

/* Returns bytes, 0 at its end, or a negative errno. */
static ssize_t client_peek_socket(const Client *c, uint8_t *buffer, size_t size) {
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

        if (c->baggage) {
                before = MIN(c->baggage->consumed.n, size);
                memcpy(buffer, c->baggage->consumed.p, before);
        }

        n = before < size ? client_peek_socket(c, buffer + before, size - before) : 0;
        if (n < 0 && before == 0)
                return n;

        return (ssize_t) before + MAX(n, (ssize_t) 0);
}

uint64_t client_token(const ClientTable *table, const Client *c) {
        return (uint64_t) (c - table->slots) << 32 | c->generation;
}

Client *client_by_token(const ClientTable *table, uint64_t token) {
        size_t i = (size_t) (token >> 32);
        Client *c;

        if (i >= table->n_touched)
                return NULL;

        c = &table->slots[i];
        return c->state != CLIENT_FREE && c->generation == (uint32_t) token ? c : NULL;
}

bool client_is_gone(const Client *c) {
        /* POLLHUP comes unasked, and nothing on the socket is changed by looking (poll(2)). */
        struct pollfd p = { .fd = c->fd };

        return poll(&p, 1, 0) > 0 && p.revents & POLLHUP;
}

bool client_address_equal(const ClientAddress *a, const ClientAddress *b) {
        if (a->sa.sa_family != b->sa.sa_family)
                return false;

        switch (a->sa.sa_family) {

        case AF_INET:
                return a->in.sin_port == b->in.sin_port && a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;

        case AF_INET6:
                return a->in6.sin6_port == b->in6.sin6_port &&
                       memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr)) == 0;

        default:
                return true;
        }
}

const ClientAddress *client_own_address(Client *c) {
        socklen_t len = sizeof(c->own); /* of a longer address the kernel writes the beginning */

        if (c->own.sa.sa_family == AF_UNSPEC && !c->is_shared && getsockname(c->fd, &c->own.sa, &len) < 0)
                c->own.sa.sa_family = AF_UNSPEC;

        return &c->own;
}

int client_set_copy(Client *c, const uint8_t *p, size_t n, bool is_end) {
        HeadCopy *copy = malloc(sizeof(*copy) + n);

        if (!copy)
                return -ENOMEM;

        *copy = (HeadCopy){ .n = n, .is_end = is_end };
        if (n > 0)
                memcpy(copy->bytes, p, n);
        free(c->copy);
        c->copy = copy;
        return 0;
}

int client_add_consumed(Client *c, const uint8_t *p, size_t n) {
        Baggage *baggage = client_new_baggage(c, n);

        if (!baggage)
                return -ENOMEM;

        memcpy(baggage->bytes + (baggage->consumed.p - baggage->bytes) + baggage->consumed.n, p, n);
        baggage->consumed.n += n;
        c->untouched.n_read += n;
        free(c->baggage);
        c->baggage = baggage;
        return 0;
}
