/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/live.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>

#include "basic/fd.h"
#include "broker/state/client-context.h"
#include "broker/state/watch.h"
#include "connections/fin-wait.h"
#include "connections/store.h"

/* Ports that clients of no listener may add: other servers hand them to the return socket. */
#define FOUND_PORTS_MAX 64

/*
 * Time for which reports are collected before they are read. A wake-up and recvmmsg(2) for each one would cost half as much
 * as a handoff. A connection's duration is longer by this at most.
 */
#define READ_PAUSE_USEC (5 * USEC_PER_MSEC)

/* Largest number of connections before the first configuration. Those of the last process are beside it. */
#define FIRST_MAX 1024

static bool live_has_port(const Live *l, uint16_t port) {
        for (size_t i = 0; i < l->n_ports; i++)
                if (l->ports[i] == port)
                        return true;

        return false;
}

static uint16_t live_port_of(const ClientAddress *address) {
        return address->sa.sa_family == AF_INET    ? ntohs(address->in.sin_port)
               : address->sa.sa_family == AF_INET6 ? ntohs(address->in6.sin6_port)
                                                   : 0;
}

/* The kernel reports sockets of TCP only. A listener of MPTCP has clients of both. */
static bool live_is_tcp(int fd) {
        return fd_option(fd, SO_PROTOCOL) == IPPROTO_TCP;
}

static void live_add_port(Live *l, uint16_t port) {
        if (port != 0 && !live_has_port(l, port) && l->n_ports < DIAG_PORTS_MAX)
                l->ports[l->n_ports++] = port;
}

/* Adds the listeners' ports. Their clients inherit TCP_LINGER2, without which the bytes in could be one too many. */
static void live_add_listeners(Live *l) {
        const int seconds = FIN_WAIT_LINGER_SECONDS;

        LIST_FOREACH(i, &l->broker->listeners) {
                const Listener *listener = CONTAINER_OF(i, Listener, link);
                uint16_t port = live_port_of(&listener->address);

                if (listener->is_return || port == 0)
                        continue;

                live_add_port(l, port);
                l->has_mptcp = l->has_mptcp || !live_is_tcp(listener->fd);
                (void) setsockopt(listener->fd, IPPROTO_TCP, TCP_LINGER2, &seconds, sizeof(seconds));
        }
}

static void live_go_on(Live *l) {
        timer_set(&l->timer, sweep_go_on(&l->sweep, loop_now(&l->broker->loop)));
}

static void live_on_timer(void *userdata) {
        live_go_on(userdata);
}

/* Logs the end. @report is NULL if it was not seen. */
static void live_log_end(Live *l, const Connection *c, const SockReport *report, usec_t duration) {
        ConnectionEnd end = {
                .connection = *c,
                .route = connection_route(l->table, c),
                .listener = connection_listener_name(l->table, c),
                .duration = duration,
                .is_seen = report != NULL,
        };
        const char *id;
        size_t n;

        if (report)
                end.report = *report;
        id = connection_id(l->table, c, &n);
        if (id)
                memcpy(end.id, id, n);
        end.route->n_ref++;
        live_log_add(&l->log, &end);
}

/* Forgets the connection. Clients that wait for its worker may have one now. */
static void live_remove(Live *l, Connection *c) {
        Broker *b = l->broker;
        Worker *w = list_is_empty(&b->generations.waiting)
                            ? NULL
                            : worker_find(&b->workers, connection_route(l->table, c)->worker->path);

        connection_remove(l->table, c);
        if (w)
                worker_serve_later(&b->workers, w);
}

/* Counts the bytes for the route, beyond those at the handoff by it. */
static void live_count_bytes(Live *l, const Connection *c, uint64_t n_in, uint64_t n_out) {
        const ConnectionPast none = {}, *past = c->n_handoffs > 1 ? &l->table->past[connection_number(l->table, c)] : &none;
        ConnectionRoute *route = connection_route(l->table, c);

        route->n_in += n_in - MIN(n_in, past->n_in);
        route->n_out += n_out - MIN(n_out, past->n_out);
}

static void live_end(Live *l, Connection *c, const SockReport *report) {
        usec_t now = loop_now(&l->broker->loop), begun_at = c->begun_at;
        usec_t duration = now - MIN(now, usec_add(begun_at, report->ended_before));
        ConnectionRoute *route = connection_route(l->table, c);

        route->n_ended++;
        connection_durations_add(&route->durations, duration);
        if (report->has_counts && !(c->flags & CONNECTION_IN_BROKER))
                live_count_bytes(l, c, report->n_in, report->n_out);
        if (l->is_logging)
                live_log_end(l, c, report, duration);
        live_remove(l, c);
}

/* The connection is gone, and nothing else is known. */
static void live_on_unseen(void *userdata, Connection *c) {
        Live *l = userdata;

        connection_route(l->table, c)->n_unseen++;
        if (l->is_logging)
                live_log_end(l, c, NULL, 0);
        live_remove(l, c);
}

static void live_on_report(void *userdata, const SockReport *report) {
        Live *l = userdata;
        Connection *c;

        if (report->kind != SOCK_REPORT_END) {
                sweep_on_report(&l->sweep, report);
                return;
        }

        c = connection_find(l->table, report->cookie);
        if (c)
                live_end(l, c, report);
}

void live_read(Broker *b) {
        Live *l = b->live;
        int r = diag_socket_read(&l->socket, live_on_report, l);

        if (l->read_at != USEC_INFINITY) {
                l->read_at = USEC_INFINITY;
                (void) watch_connections_again(&b->loop, l->fd); /* fails for no socket that is watched */
        }

        if (r == DIAG_LOST) {
                l->table->n_lost++;
                diag_reports_lost(&b->diag, &l->lost);
                sweep_need(&l->sweep, loop_now(&b->loop));
        }

        live_go_on(l);
}

void live_on_event(Broker *b) {
        Live *l = b->live;

        l->read_at = usec_add(loop_now(&b->loop), l->socket.is_listing ? 0 : READ_PAUSE_USEC);
}

usec_t live_is_due(const Broker *b) {
        usec_t at = b->live->read_at;

        return at - MIN(at, loop_now(&b->loop));
}

void live_turn(Broker *b) {
        if (b->live->read_at <= loop_now(&b->loop) || !list_is_empty(&b->generations.waiting))
                live_read(b);
}

static int live_init(Live *l, int fd, ConnectionStore *store) {
        Broker *b = l->broker;
        int r;

        held_line_init(&l->lost);
        live_add_listeners(l);
        r = live_log_init(&l->log, &b->diag, &b->loop);
        if (r >= 0)
                r = timer_init(&l->timer, &b->loop, live_on_timer, l);
        if (r >= 0)
                r = diag_socket_init(&l->socket, fd);
        if (r >= 0)
                r = diag_socket_filter(&l->socket, l->ports, l->n_ports);
        if (r >= 0)
                r = watch_connections(&b->loop, fd);
        if (r >= 0)
                r = connection_table_new(store, FIRST_MAX, source_of_connection, &l->table);

        return r;
}

int live_new(Broker *b, int fd, ConnectionStore *store) {
        Live *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;

        b->live = l;
        l->broker = b;
        l->fd = -EBADF;
        l->read_at = USEC_INFINITY;
        r = live_init(l, fd, store);
        if (r < 0) {
                unwatch_connection(&b->loop, fd);
                live_free(b);
                return r;
        }

        l->fd = fd; /* consumed */
        l->sweep = (Sweep){
                .table = l->table,
                .socket = &l->socket,
                .ports = l->ports,
                .n_ports = &l->n_ports,
                .handler = live_on_unseen,
                .userdata = l,
        };
        live_go_on(l); /* connections of the last process may have ended meanwhile */
        return 0;
}

void live_free(Broker *b) {
        Live *l = TAKE_PTR(b->live);

        if (!l)
                return;

        if (l->log.diag)
                live_log_done(&l->log);
        held_line_done(&l->lost);
        timer_done(&l->timer);
        diag_socket_done(&l->socket);
        connection_table_free(l->table);
        fd_close(l->fd);
        free(l);
}

/* A route without a number (CONNECTION_ROUTES_MAX) or without memory is not counted. */
static void live_link_route(Live *l, Route *route) {
        RouteStats *stats = route->stats;

        if (!stats->connections && connection_route_get(&l->table->routes, stats->unit, route->worker->path, &stats->connections) < 0)
                return;

        route->worker->connections = stats->connections->worker;
}

void live_configure(Broker *b) {
        const BrokerConfig *settings = &b->routing->config->broker;
        Live *l = b->live;
        int r;

        if (!l)
                return;

        l->is_logging = settings->log_connections;
        r = settings->max_tracked > 0 ? connection_table_set_max(l->table, settings->max_tracked) : 0;
        if (r < 0)
                diag_connections_failed(&b->diag, "make room for MaxTrackedConnections=", r);

        for (size_t i = 0; i < b->routing->n_routes; i++)
                live_link_route(l, &b->routing->routes[i]);
}

static uint64_t live_read_cookie(int fd) {
        uint64_t cookie = 0;

        /* Takes no lock of the socket (sk_getsockopt() in Linux), so it does not wait for its other holders. */
        (void) getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &(socklen_t){ sizeof(cookie) });
        return cookie;
}

static void live_set_address(Connection *model, const ClientAddress *address) {
        if (address->sa.sa_family == AF_INET) {
                model->address[10] = model->address[11] = 0xff;
                memcpy(model->address + 12, &address->in.sin_addr, 4);
        } else if (address->sa.sa_family == AF_INET6) {
                memcpy(model->address, &address->in6.sin6_addr, 16);
                model->scope_id = address->in6.sin6_scope_id;
        }

        model->port = live_port_of(address);
}

/* Adds a client that is no connection yet. Returns NULL if it can't be tracked. */
static Connection *live_add(Live *l, const Client *c, uint64_t cookie, ConnectionRoute *route) {
        Slice id = c->context ? c->context->unique_id : (Slice){};
        int listener = connection_listener(l->table, c->listener->name);
        Connection model = {
                .cookie = cookie,
                .origin = c->origin,
                .origin_id = c->origin_id,
                .begun_at = c->begun_at & ((UINT64_C(1) << 48) - 1),
                .listener = (uint16_t) listener,
        }, *added;

        if (c->was_returned && !live_has_port(l, live_port_of(&c->own)))
                return NULL; /* no report of its end would come */

        live_set_address(&model, &c->address);
        added = listener >= 0 ? connection_add_sent(l->table, &model, route) : NULL;
        if (added && id.n > 0)
                connection_set_id(l->table, added, id.p, id.n);
        return added;
}

/* False if the kernel reports no end of this client. */
static bool live_is_reported(const Live *l, const Client *c) {
        return client_is_ip(c) && !(l->has_mptcp && !live_is_tcp(c->fd));
}

void live_note_sent(Broker *b, Client *c) {
        ConnectionRoute *route = c->sent.route->stats->connections;
        Live *l = b->live;
        Connection *known;

        c->sent.connection = 0;
        if (!l || !route || !live_is_reported(l, c))
                return;

        if (c->cookie == 0)
                c->cookie = live_read_cookie(c->fd);
        known = connection_find(l->table, c->cookie);
        if (known)
                connection_mark_sent(l->table, known, route);
        else
                known = live_add(l, c, c->cookie, route);
        if (known)
                c->sent.connection = (uint32_t) connection_number(l->table, known) + 1;
}

/* Returns the connection of a client that was noted, and forgets the note. NULL: there is none. */
static Connection *live_take_noted(const Live *l, Client *c) {
        uint32_t i = c->sent.connection;
        Connection *noted = i != 0 ? &l->table->slots[i - 1] : NULL;

        c->sent.connection = 0;
        return noted && noted->cookie == c->cookie && noted->flags & CONNECTION_SENT ? noted : NULL;
}

void live_unsend(Broker *b, Client *c) {
        Connection *noted = b->live ? live_take_noted(b->live, c) : NULL;

        if (noted)
                connection_unsend(b->live->table, noted);
}

void live_note(Broker *b, Client *c) {
        Live *l = b->live;
        Connection *noted;

        if (!l)
                return;

        noted = live_take_noted(l, c);
        if (noted)
                connection_move(l->table, noted, c->sent.route->stats->connections);
        else if (live_is_reported(l, c))
                l->table->n_untracked++;
        else
                l->table->n_other++;
}

/* Reads reports of this port, too. Without it no end of such a client would be seen. */
static bool live_find_port(Live *l, uint16_t port) {
        if (live_has_port(l, port))
                return true;
        if (port == 0 || l->n_found_ports == FOUND_PORTS_MAX || l->n_ports == DIAG_PORTS_MAX)
                return false;

        l->n_found_ports++;
        live_add_port(l, port);
        return diag_socket_filter(&l->socket, l->ports, l->n_ports) >= 0;
}

void live_take_back(Broker *b, Client *c) {
        Live *l = b->live;
        ConnectionPast *past;
        Connection *known;

        if (!l || !client_is_ip(c))
                return;

        if (c->cookie == 0)
                c->cookie = live_read_cookie(c->fd);
        known = live_find_port(l, live_port_of(&c->own)) ? connection_find(l->table, c->cookie) : NULL;
        if (!known || known->flags & CONNECTION_IN_BROKER)
                return;

        if (c->baseline.n_read != UINT64_MAX)
                live_count_bytes(l, known, c->baseline.n_read, c->baseline.n_written);
        connection_take_back(l->table, known);
        if (c->baseline.n_read != UINT64_MAX) {
                past = &l->table->past[connection_number(l->table, known)];
                past->n_in = c->baseline.n_read;
                past->n_out = c->baseline.n_written;
        }
}

bool live_any(const Broker *b) {
        return b->live && b->live->table->n_tracked > 0;
}
