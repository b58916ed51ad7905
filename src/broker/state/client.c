/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/state/client.h"

#include <poll.h>
#include <sys/random.h>

#include "basic/fd.h"
#include "helper/helper.h"

int client_table_init(ClientTable *table, size_t n_slots) {
        *table = (ClientTable){ .n_slots = n_slots };
        list_init(&table->free);

        if (getrandom(&table->instance, sizeof(table->instance), 0) != sizeof(table->instance))
                return -errno;

        table->slots = calloc(n_slots, sizeof(*table->slots));
        return table->slots ? 0 : -ENOMEM;
}

void client_table_done(ClientTable *table) {
        for (size_t i = 0; i < table->n_touched; i++)
                if (table->slots[i].state != CLIENT_FREE)
                        client_free(table, &table->slots[i]);

        free(TAKE_PTR(table->slots));
}

static Client *client_take_slot(ClientTable *table) {
        List *l = list_first(&table->free);

        if (l) {
                list_remove(l);
                return CONTAINER_OF(l, Client, wait.link);
        }

        return table->n_touched < table->n_slots ? &table->slots[table->n_touched++] : NULL;
}

Client *client_new(ClientTable *table, Listener *listener, int fd) {
        Client *c = client_take_slot(table);

        if (!c)
                return NULL;

        *c = (Client){
                .state = CLIENT_NEW,
                .slot = (uint32_t) (c - table->slots),
                .generation = c->generation + 1,
                .fd = fd, /* consumed */
                .listener = listener,
                .id = ++table->n_ids,
                .origin_id = table->n_ids,
                .origin = table->instance,
                .inspect.slot = -1,
                .sent.conn_fd = -EBADF,
        };
        list_init(&c->wait.link);
        list_init(&c->second.link);

        table->n_used++;
        return c;
}

void client_close_connection(ClientTable *table, Client *c) {
        int fd = TAKE_FD(c->sent.conn_fd);

        if (fd < 0)
                return;

        /*
         * The receive queue may hold descriptors that the worker sent. Before Linux 6.9 close(2) of such an AF_UNIX
         * socket may close descriptors of other processes, too, because it collects garbage (unix_gc() in the kernel).
         * That may wait.
         */
        if (handoff_may_bring_rights())
                helper_close(table->helper, HELPER_CONNECTIONS, fd, c->last_worker);
        else
                fd_close(fd);
}

void client_close_socket(ClientTable *table, Client *c) {
        int fd = TAKE_FD(c->fd);

        if (client_is_ip(c) && c->ends_tls)
                helper_close_tls(table->helper, fd, c->last_worker);
        else if (client_is_ip(c) && c->is_told) /* its connection goes on */
                helper_close_later(table->helper, HELPER_CLIENTS, fd, c->last_worker);
        else if (client_is_ip(c) && c->is_shared)
                helper_close(table->helper, HELPER_CLIENTS, fd, c->last_worker);
        else if (!client_is_ip(c) && (c->is_shared || handoff_may_bring_rights()))
                helper_close(table->helper, HELPER_CONNECTIONS, fd, c->last_worker);
        else
                fd_close(fd);
}

void client_free(ClientTable *table, Client *c) {
        list_remove(&c->wait.link);
        list_remove(&c->second.link);

        client_close_connection(table, c);
        client_close_socket(table, c);
        free(TAKE_PTR(c->context));
        free(TAKE_PTR(c->request));
        free(TAKE_PTR(c->flush.unsent));
        free(TAKE_PTR(c->copy));

        c->state = CLIENT_FREE;
        list_prepend(&table->free, &c->wait.link);
        table->n_used--;
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
        /* poll(2) always reports POLLHUP. It changes nothing on the socket. */
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
        socklen_t len = sizeof(c->own); /* the kernel cuts a longer address off */

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
