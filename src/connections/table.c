/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "connections/table.h"

#include "basic/hash.h"
#include "connections/store.h"

static size_t table_home(const ConnectionTable *t, uint64_t cookie) {
        return mix64(cookie) & (t->n_index - 1);
}

/* Returns the place of @cookie in the index, or the free one where it belongs. */
static size_t table_find_place(const ConnectionTable *t, uint64_t cookie) {
        size_t i = table_home(t, cookie);

        while (t->index[i] != 0 && t->slots[t->index[i] - 1].cookie != cookie)
                i = (i + 1) & (t->n_index - 1);

        return i;
}

/* Moves entries behind the free place @i to it, until none is beyond its home any more. */
static void table_close_gap(ConnectionTable *t, size_t i) {
        size_t mask = t->n_index - 1;

        for (size_t k = (i + 1) & mask; t->index[k] != 0; k = (k + 1) & mask) {
                size_t home = table_home(t, t->slots[t->index[k] - 1].cookie);

                if (((k - home) & mask) < ((k - i) & mask))
                        continue;

                t->index[i] = t->index[k];
                t->index[k] = 0;
                i = k;
        }
}

Connection *connection_find(const ConnectionTable *t, uint64_t cookie) {
        uint32_t i = t->index[table_find_place(t, cookie)];

        return i != 0 ? &t->slots[i - 1] : NULL;
}

Connection *connection_next(const ConnectionTable *t, size_t *i) {
        while (*i < t->store->header->n_touched) {
                Connection *c = &t->slots[(*i)++];

                if (c->cookie != 0)
                        return c;
        }

        return NULL;
}

/* The source of a connection is counted while a worker has it. Without memory for a new source it is not counted. */
static void table_count(ConnectionTable *t, Connection *c) {
        ConnectionRoute *route = connection_route(t, c);

        route->n_live++;
        route->worker->n_live++;
        if (source_counts_add(&t->sources, t->source_of(c)) < 0)
                c->flags |= CONNECTION_NO_SOURCE;
}

static void table_uncount(ConnectionTable *t, Connection *c) {
        ConnectionRoute *route = connection_route(t, c);

        route->n_live--;
        route->worker->n_live--;
        if (!(c->flags & CONNECTION_NO_SOURCE))
                source_counts_remove(&t->sources, t->source_of(c));
        c->flags &= (uint8_t) ~CONNECTION_NO_SOURCE;
}

/* The next process finds the route by its unit and the path of its worker. */
static void table_store_route(ConnectionTable *t, ConnectionRoute *route) {
        StoreRoute *stored = &t->store->routes[route->number];

        if (route->is_stored)
                return;

        route->is_stored = true;
        *stored = (StoreRoute){};
        memcpy(stored->unit, route->unit, strnlen(route->unit, sizeof(stored->unit) - 1));
        memcpy(stored->path, route->worker->path, strnlen(route->worker->path, sizeof(stored->path) - 1));
}

static void table_take_route(ConnectionTable *t, Connection *c, ConnectionRoute *route) {
        route->n_ref++;
        table_store_route(t, route);
        c->route = route->number;
}

/* Returns a slot that is free, or NULL. */
static Connection *table_take_slot(ConnectionTable *t) {
        StoreHeader *header = t->store->header;
        Connection *c;

        if (t->first_free == 0)
                return header->n_touched < CONNECTION_TABLE_MAX ? &t->slots[header->n_touched++] : NULL;

        c = &t->slots[t->first_free - 1];
        t->first_free = (uint32_t) c->origin_id;
        return c;
}

static void table_free_slot(ConnectionTable *t, Connection *c) {
        *c = (Connection){ .origin_id = t->first_free };
        t->first_free = (uint32_t) (c - t->slots) + 1;
}

Connection *connection_add_sent(ConnectionTable *t, const Connection *model, ConnectionRoute *route) {
        bool has_room = model->cookie != 0 && t->n_tracked + t->n_sent < t->n_max;
        Connection *c = has_room ? table_take_slot(t) : NULL;
        uint64_t cookie = model->cookie;

        if (!c)
                return NULL;

        /* The cookie comes last, because a process that finds it takes the other members as valid. */
        *c = *model;
        c->cookie = 0;
        c->flags = CONNECTION_IN_BROKER | CONNECTION_SENT;
        c->pass = t->pass;
        c->n_handoffs = 0;
        table_take_route(t, c, route);
        __atomic_store_n(&c->cookie, cookie, __ATOMIC_RELEASE);

        t->index[table_find_place(t, cookie)] = (uint32_t) (c - t->slots) + 1;
        t->n_sent++;
        return c;
}

Connection *connection_add(ConnectionTable *t, const Connection *model, ConnectionRoute *route) {
        Connection *c = connection_add_sent(t, model, route);

        if (c)
                connection_move(t, c, route);
        return c;
}

void connection_mark_sent(ConnectionTable *t, Connection *c, ConnectionRoute *route) {
        connection_take_back(t, c);
        table_store_route(t, route);
        t->past[connection_number(t, c)].sent_to = route->number;
        c->flags |= CONNECTION_SENT;
}

void connection_unsend(ConnectionTable *t, Connection *c) {
        if (c->n_handoffs == 0)
                connection_remove(t, c);
        else
                c->flags &= (uint8_t) ~CONNECTION_SENT;
}

void connection_move(ConnectionTable *t, Connection *c, ConnectionRoute *route) {
        ConnectionRoute *before = connection_route(t, c);

        connection_take_back(t, c);
        if (route != before) {
                table_take_route(t, c, route);
                connection_route_put(before);
        }
        if (c->n_handoffs == 0) {
                t->n_sent--;
                t->n_tracked++;
        } else
                t->n_in_broker--;
        if (c->n_handoffs < UINT16_MAX)
                c->n_handoffs++;
        c->flags &= (uint8_t) ~(CONNECTION_IN_BROKER | CONNECTION_SENT);
        table_count(t, c);
}

void connection_take_back(ConnectionTable *t, Connection *c) {
        if (c->flags & CONNECTION_IN_BROKER)
                return;

        if (c->n_handoffs == 1) /* else the bytes of another connection, which had the slot before, are still there */
                t->past[connection_number(t, c)] = (ConnectionPast){};
        table_uncount(t, c);
        c->flags |= CONNECTION_IN_BROKER;
        t->n_in_broker++;
}

/* Removes the connection from the counts of the table. */
static void table_forget(ConnectionTable *t, Connection *c) {
        if (c->n_handoffs == 0) {
                t->n_sent--;
                return;
        }

        if (c->flags & CONNECTION_IN_BROKER)
                t->n_in_broker--;
        else
                table_uncount(t, c);
        t->n_tracked--;
}

void connection_remove(ConnectionTable *t, Connection *c) {
        ConnectionRoute *route = connection_route(t, c);
        size_t i = table_find_place(t, c->cookie);

        table_forget(t, c);
        t->index[i] = 0;
        table_close_gap(t, i);
        table_free_slot(t, c);
        connection_route_put(route);
}

void connection_set_id(ConnectionTable *t, Connection *c, const void *p, size_t n) {
        char *id = t->store->ids[c - t->slots];

        memset(id, 0, CONNECTION_ID_MAX);
        memcpy(id, p, MIN(n, (size_t) CONNECTION_ID_MAX));
        c->flags |= CONNECTION_HAS_ID;
}

const char *connection_id(const ConnectionTable *t, const Connection *c, size_t *ret_n) {
        const char *id = t->store->ids[c - t->slots];

        *ret_n = c->flags & CONNECTION_HAS_ID ? strnlen(id, CONNECTION_ID_MAX) : 0;
        return c->flags & CONNECTION_HAS_ID ? id : NULL;
}

int connection_listener(ConnectionTable *t, const char *name) {
        StoreHeader *header = t->store->header;
        uint32_t i;

        for (i = 0; i < header->n_listeners; i++)
                if (strncmp(t->store->listeners[i], name, STORE_LISTENER_SIZE - 1) == 0)
                        return (int) i;

        if (i == STORE_LISTENERS_MAX)
                return -ENOSPC;

        memset(t->store->listeners[i], 0, STORE_LISTENER_SIZE);
        memcpy(t->store->listeners[i], name, strnlen(name, STORE_LISTENER_SIZE - 1));
        header->n_listeners++;
        return (int) i;
}

const char *connection_listener_name(const ConnectionTable *t, const Connection *c) {
        return t->store->listeners[c->listener];
}

/* Makes an index for @max connections. Those that it has already are in the new one, too. */
int connection_table_set_max(ConnectionTable *t, size_t max) {
        size_t n_index = 64, i = 0;
        uint32_t *index;

        while (n_index < 2 * MAX(max, t->n_tracked + t->n_sent))
                n_index *= 2;

        index = calloc(n_index, sizeof(*index));
        if (!index)
                return -ENOMEM;

        t->n_max = max;
        t->n_index = n_index;
        free(t->index);
        t->index = index;
        for (Connection *c; t->n_tracked + t->n_sent > 0 && (c = connection_next(t, &i));)
                index[table_find_place(t, c->cookie)] = (uint32_t) (c - t->slots) + 1;
        return 0;
}

/*
 * Finds the route in slot @c of another process. Its worker has a client that was sent, or systemd keeps it in the worker's
 * backlog. Returns NULL if the slot is broken, or if there is no memory.
 */
static ConnectionRoute *table_restore_route(ConnectionTable *t, const Connection *c) {
        bool was_resent = c->flags & CONNECTION_SENT && c->n_handoffs > 0;
        uint16_t number = was_resent ? t->past[connection_number(t, c)].sent_to : c->route;
        ConnectionRoute *route;
        StoreRoute *stored;

        if (number >= CONNECTION_ROUTES_MAX || c->listener >= t->store->header->n_listeners)
                return NULL;

        stored = &t->store->routes[number];
        stored->unit[sizeof(stored->unit) - 1] = stored->path[sizeof(stored->path) - 1] = '\0';
        if (stored->unit[0] == '\0' || connection_route_restore(&t->routes, number, stored->unit, stored->path, &route) < 0)
                return NULL;

        return route;
}

/* Takes up the connection in slot @c of another process. Returns false if it is broken, or if there is no memory. */
static bool table_restore_one(ConnectionTable *t, Connection *c) {
        size_t place = table_find_place(t, c->cookie);
        ConnectionRoute *route = t->index[place] == 0 ? table_restore_route(t, c) : NULL;

        if (!route)
                return false;

        c->route = route->number;
        if ((c->flags & CONNECTION_SENT || c->n_handoffs == 0) && c->n_handoffs < UINT16_MAX)
                c->n_handoffs++;
        c->flags &= c->flags & CONNECTION_SENT ? CONNECTION_HAS_ID : CONNECTION_HAS_ID | CONNECTION_IN_BROKER;
        c->pass = t->pass;
        t->index[place] = (uint32_t) (c - t->slots) + 1;
        t->n_tracked++;
        if (c->flags & CONNECTION_IN_BROKER)
                t->n_in_broker++;
        else
                table_count(t, c);
        return true;
}

/*
 * Takes up the connections of another process. All were written by one process, so no cookie is there twice, unless
 * the memfd is broken.
 */
static void table_restore(ConnectionTable *t) {
        for (uint32_t i = t->store->header->n_touched; i > 0; i--) {
                Connection *c = &t->slots[i - 1];

                if (c->cookie != 0 && table_restore_one(t, c))
                        t->n_restored++;
                else
                        table_free_slot(t, c);
        }

        for (uint32_t i = 0; i < t->store->header->n_listeners; i++)
                t->store->listeners[i][STORE_LISTENER_SIZE - 1] = '\0';
}

int connection_table_new(ConnectionStore *store, size_t max, SourceOf *source_of, ConnectionTable **ret) {
        ConnectionTable *t = calloc(1, sizeof(*t));
        int r;

        if (!t)
                return -ENOMEM;

        t->source_of = source_of;
        /* A lower limit than the last process had ends nothing. */
        r = connection_table_set_max(t, MAX(max, (size_t) store->header->n_touched));
        if (r < 0) {
                free(t);
                return r;
        }

        t->store = store;
        t->slots = store->slots;
        t->past = store->past;
        table_restore(t);
        t->n_max = max;
        *ret = t;
        return 0;
}

ConnectionTable *connection_table_free(ConnectionTable *t) {
        if (!t)
                return NULL;

        connection_routes_done(&t->routes);
        source_counts_done(&t->sources);
        connection_store_free(t->store);
        free(t->index);
        free(t);
        return NULL;
}
