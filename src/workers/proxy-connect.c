/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Connects a client with a backend: tries one address after the other, until one accepts or none is left. */

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "basic/error.h"
#include "handoff/ktls.h"
#include "workers/proxy.h"

static void connect_set_options(const Proxy *p, const Side *side) {
        int on = 1, idle = (int) MIN(p->keepalive_usec / USEC_PER_SEC, (usec_t) INT16_MAX);

        if (side->is_unix)
                return;

        /* The bytes come in the sender's pieces, and must not wait for more (Nagle). Fails if this is not TCP. */
        (void) setsockopt(side->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

        if (p->keepalive_usec > 0 && setsockopt(side->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) >= 0)
                (void) setsockopt(side->fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
}

/* Puts before the client's bytes: the header, and the bytes that came with the handoff. */
static int connect_prepend(ProxyConnection *c) {
        Proxy *p = c->proxy;
        const void *consumed;
        size_t n;
        int r;

        r = proxy_header_write(p->header, c->client.fd, c->info, p->scratch, &n);
        if (r >= 0)
                r = flow_prepend(&c->up, p->scratch, n);
        if (r < 0 || !c->info)
                return r;

        consumed = fdpass_consumed(c->info, &n);
        return flow_prepend(&c->up, consumed, n);
}

/* A backend has accepted. The client is taken from here on, because its bytes are read next. */
static void connect_finish(ProxyConnection *c) {
        Proxy *p = c->proxy;
        int r;

        backend_works(&p->backends, c->backend);

        r = connect_prepend(c);
        if (r >= 0)
                r = proxy_connection_watch(c, &c->server, c->server.is_watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD,
                                           SOCKET_EVENTS);
        if (r >= 0) /* last, because a client that is given up must not be in the epoll */
                r = proxy_connection_watch(c, &c->client, EPOLL_CTL_ADD, SOCKET_EVENTS);
        if (r < 0) {
                service_complain(&p->service, "Failed to begin with a client: %s.", strerror(-r));
                proxy_connection_give_up(c, true);
                return;
        }

        if (c->info)
                (void) fdpass_taken(c->info);
        if (c->info && p->is_http)
                proxy_http_start(c, TAKE_PTR(c->info));
        fdpass_free(TAKE_PTR(c->info));

        connect_set_options(p, &c->client);
        connect_set_options(p, &c->server);
        c->client.can_read = c->client.can_write = c->server.can_write = true;
        proxy_connection_set_phase(c, PHASE_OPEN);
        proxy_connection_pump(c);
}

/* Completes an address without a port by the port that the client connected to. */
static void connect_set_port(const ProxyConnection *c, BackendAddress *a) {
        if (a->sa.sa_family == AF_INET && a->in.sin_port == 0)
                a->in.sin_port = htons((uint16_t) client_port(c->client.fd, c->info));
        if (a->sa.sa_family == AF_INET6 && a->in6.sin6_port == 0)
                a->in6.sin6_port = htons((uint16_t) client_port(c->client.fd, c->info));
}

/* Returns 0 if the connection stands, -EINPROGRESS if there will be an event, or another negative errno. */
static int connect_to(ProxyConnection *c, const BackendAddress *address) {
        BackendAddress a = *address;

        connect_set_port(c, &a);

        c->server.fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (c->server.fd < 0)
                return -errno;
        c->server.is_nonblocking = true;
        c->server.is_unix = a.sa.sa_family == AF_UNIX;

        return connect(c->server.fd, &a.sa, a.length) < 0 ? -errno : 0;
}

static void connect_start_over(ProxyConnection *c) {
        Proxy *p = c->proxy;

        c->n_left = backends_count(&p->backends, c->from->name);
        c->backend = backends_choose(&p->backends, c->from->name, p->now);
        c->address = 0;
        c->error = -EADDRNOTAVAIL; /* for a name without addresses */
}

/* All addresses of a backend have failed. Returns true if another backend is to be tried at once. */
static bool connect_next_backend(ProxyConnection *c) {
        Proxy *p = c->proxy;

        backend_failed(&p->backends, c->backend, c->error, p->now);
        backend_refresh(&p->backends, c->backend, p->now);

        if (--c->n_left > 0) {
                c->backend = backends_after(&p->backends, c->backend, c->from->name, p->now);
                c->address = 0;
                return true;
        }

        if (p->now - c->begin < p->retry_usec && !p->service.is_stopping) {
                connect_start_over(c);
                proxy_connection_set_phase(c, PHASE_RETRY);
        } else
                proxy_connection_give_up(c, p->may_decline);
        return false;
}

/* Handles the result @r of a connect(2). Returns true if the next address is to be tried. */
static bool connect_result(ProxyConnection *c, int r) {
        Proxy *p = c->proxy;

        if (r == 0) {
                connect_finish(c);
                return false;
        }

        if (r == -EINPROGRESS &&
            proxy_connection_watch(c, &c->server, EPOLL_CTL_ADD, (uint32_t) EPOLLOUT | EPOLLET) >= 0) {
                proxy_connection_set_phase(c, PHASE_CONNECTING);
                return false;
        }

        proxy_connection_close_side(c, &c->server);

        /* The backlog of an AF_UNIX socket is full. No event tells of room in it (connect(2)), so try again soon. */
        if (r == -EAGAIN && p->now - c->begin < p->limits[PHASE_CONNECTING]) {
                c->address--;
                proxy_connection_set_phase(c, PHASE_RETRY);
                return false;
        }

        if (errno_is_resource(r)) {
                service_complain(&p->service, "Failed to connect: %s.", strerror(-r));
                proxy_connection_give_up(c, true);
                return false;
        }

        c->error = r;
        return true;
}

void proxy_connection_try(ProxyConnection *c) {
        Proxy *p = c->proxy;

        for (;;) {
                const Backend *b = &p->backends.items[c->backend];

                if (c->address < b->n_addresses) {
                        int r = connect_to(c, &b->addresses[c->address++]);

                        if (!connect_result(c, r))
                                return;
                } else if (!connect_next_backend(c))
                        return;
        }
}

void proxy_connection_on_connect(ProxyConnection *c) {
        socklen_t n = sizeof(int);
        int error = 0;

        (void) getsockopt(c->server.fd, SOL_SOCKET, SO_ERROR, &error, &n);
        if (connect_result(c, -error))
                proxy_connection_try(c);
}

void proxy_connection_start(Service *s, int client_fd, struct fdpass *info, const ServiceSocket *from) {
        Proxy *p = CONTAINER_OF(s, Proxy, service);
        ProxyConnection *c;

        if (backends_count(&p->backends, from->name) == 0) {
                service_complain(s, "There is no backend for the clients of the socket \"%s\".", from->name);
                service_turn_away(client_fd, info, false);
                return;
        }

        c = calloc(1, sizeof(*c));
        if (!c) {
                service_turn_away(client_fd, info, true);
                return;
        }

        p->now = usec_now();
        *c = (ProxyConnection){ .proxy = p, .begin = p->now, .from = from, .info = info };
        c->client = (Side){ .connection = c, .fd = client_fd, .is_ktls = ktls_is_on(client_fd, NULL) };
        c->server = (Side){ .connection = c, .fd = -EBADF };
        list_init(&c->link);
        list_init(&c->busy);
        service_begin(s);

        connect_start_over(c);
        backend_refresh(&p->backends, c->backend, p->now);
        proxy_connection_try(c);
}
