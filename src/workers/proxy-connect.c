/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A client on its way to a backend: one address after the other, until one answers or none is left. */

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "basic/error.h"
#include "workers/proxy.h"

static void set_options(const Proxy *p, const Side *side) {
        int on = 1, idle = (int) MIN(p->keepalive_usec / USEC_PER_SEC, (usec_t) INT16_MAX);

        if (side->is_unix)
                return;

        /* Whoever sent it has chosen the size of what comes here: it is not to wait for more. Fails but for TCP. */
        (void) setsockopt(side->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

        if (p->keepalive_usec > 0 && setsockopt(side->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) >= 0)
                (void) setsockopt(side->fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
}

/* What the server gets before anything else: who the client is, and what was read from it already. */
static int prepend(Connection *c) {
        Proxy *p = c->proxy;
        const void *consumed;
        size_t n;
        int r;

        r = proxy_header_write(p->header, c->client.fd, c->told, p->scratch, &n);
        if (r >= 0)
                r = flow_prepend(&c->up, p->scratch, n);
        if (r < 0 || !c->told)
                return r;

        consumed = fdpass_consumed(c->told, &n);
        return flow_prepend(&c->up, consumed, n);
}

static void connected(Connection *c) {
        Proxy *p = c->proxy;
        int r;

        backend_works(&p->backends, c->backend);

        r = prepend(c);
        if (r >= 0)
                r = connection_watch(c, &c->server, c->server.is_watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, SOCKET_EVENTS);
        if (r >= 0) /* last: it must not stay there when it is given up */
                r = connection_watch(c, &c->client, EPOLL_CTL_ADD, SOCKET_EVENTS);
        if (r < 0) {
                service_complain(&p->service, "Failed to begin with a client: %s.", strerror(-r));
                connection_give_up(c, true);
                return;
        }

        /* From here on it is ours: the next call reads from it. */
        if (c->told)
                (void) fdpass_taken(c->told);
        fdpass_free(TAKE_PTR(c->told));

        set_options(p, &c->client);
        set_options(p, &c->server);
        c->client.can_read = c->client.can_write = c->server.can_write = true;
        connection_set_phase(c, PHASE_OPEN);
        connection_pump(c);
}

/* An address without a port stands for the one that the client connected to. */
static void set_port(const Connection *c, Address *a) {
        if (a->sa.sa_family == AF_INET && a->in.sin_port == 0)
                a->in.sin_port = htons((uint16_t) client_port(c->client.fd, c->told));
        if (a->sa.sa_family == AF_INET6 && a->in6.sin6_port == 0)
                a->in6.sin6_port = htons((uint16_t) client_port(c->client.fd, c->told));
}

/* Returns 0 where it stands, -EINPROGRESS where that is to come, or why there is none. */
static int connect_to(Connection *c, const Address *address) {
        Address a = *address;

        set_port(c, &a);

        c->server.fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (c->server.fd < 0)
                return -errno;
        c->server.is_nonblocking = true;
        c->server.is_unix = a.sa.sa_family == AF_UNIX;

        return connect(c->server.fd, &a.sa, a.length) < 0 ? -errno : 0;
}

static void start_over(Connection *c) {
        Proxy *p = c->proxy;

        c->n_left = backends_count(&p->backends, c->inlet->name);
        c->backend = backends_choose(&p->backends, c->inlet->name, p->now);
        c->address = 0;
        c->error = -EADDRNOTAVAIL; /* of a name without addresses */
}

/* All addresses of a backend were tried. Returns whether there is something else to do than to wait. */
static bool backend_is_done(Connection *c) {
        Proxy *p = c->proxy;

        backend_failed(&p->backends, c->backend, c->error, p->now);
        backend_refresh(&p->backends, c->backend, p->now);

        if (--c->n_left > 0) {
                c->backend = backends_after(&p->backends, c->backend, c->inlet->name, p->now);
                c->address = 0;
                return true;
        }

        if (p->now - c->begin < p->retry_usec && !p->service.is_stopping) {
                start_over(c);
                connection_set_phase(c, PHASE_RETRY);
        } else
                connection_give_up(c, p->refuse_on_failure);
        return false;
}

/* What connect() said. Returns whether the next address is to be tried. */
static bool connect_result(Connection *c, int r) {
        Proxy *p = c->proxy;

        if (r == 0) {
                connected(c);
                return false;
        }

        if (r == -EINPROGRESS && connection_watch(c, &c->server, EPOLL_CTL_ADD, (uint32_t) EPOLLOUT | EPOLLET) >= 0) {
                connection_set_phase(c, PHASE_CONNECTING);
                return false;
        }

        connection_close_side(c, &c->server);

        /* The backlog of an AF_UNIX socket is full: it lives, and nothing tells of a free place (connect(2)). */
        if (r == -EAGAIN && p->now - c->begin < p->limits[PHASE_CONNECTING]) {
                c->address--;
                connection_set_phase(c, PHASE_RETRY);
                return false;
        }

        if (errno_is_resource(r)) {
                service_complain(&p->service, "Failed to connect: %s.", strerror(-r));
                service_pause(&p->service);
                connection_give_up(c, true);
                return false;
        }

        c->error = r;
        return true;
}

void connection_try(Connection *c) {
        Proxy *p = c->proxy;

        for (;;) {
                const Backend *b = &p->backends.items[c->backend];

                if (c->address < b->n_addresses) {
                        int r = connect_to(c, &b->addresses[c->address++]);

                        if (!connect_result(c, r))
                                return;
                } else if (!backend_is_done(c))
                        return;
        }
}

void connection_on_connect(Connection *c) {
        socklen_t n = sizeof(int);
        int error = 0;

        (void) getsockopt(c->server.fd, SOL_SOCKET, SO_ERROR, &error, &n);
        if (connect_result(c, -error))
                connection_try(c);
}

void connection_start(Service *s, int client_fd, struct fdpass *told, const Inlet *inlet) {
        Proxy *p = CONTAINER_OF(s, Proxy, service);
        Connection *c;

        if (backends_count(&p->backends, inlet->name) == 0) {
                service_complain(s, "There is no backend for the clients of the socket \"%s\".", inlet->name);
                service_turn_away(client_fd, told, false);
                return;
        }

        c = calloc(1, sizeof(*c));
        if (!c) {
                service_turn_away(client_fd, told, true);
                return;
        }

        p->now = usec_now();
        *c = (Connection){ .proxy = p, .begin = p->now, .inlet = inlet, .told = told };
        c->client = (Side){ .connection = c, .fd = client_fd };
        c->server = (Side){ .connection = c, .fd = -EBADF };
        list_init(&c->link);
        list_init(&c->busy);
        service_begin(s);

        start_over(c);
        backend_refresh(&p->backends, c->backend, p->now);
        connection_try(c);
}
