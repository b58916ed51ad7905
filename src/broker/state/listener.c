/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/state/listener.h"

#include <arpa/inet.h>

#include "basic/fd.h"
#include "broker/state/source-rate.h"
#include "match/match.h"

/*
 * Shortest time between two lines about clients that are refused for what they do themselves. On a public port some
 * come all the time, and the log has one line a minute for each reason.
 */
#define CLIENT_LINE_USEC (60 * USEC_PER_SEC)

static void listener_init_line(Listener *l, RefusalLine *line, Refusal why, ProbeReason reason) {
        *line = (RefusalLine){ .listener = l, .why = why, .reason = reason };
        held_line_init(&line->held);
        if (!refusal_is_limit(why) && why != REFUSAL_NO_ROUTE)
                line->held.interval = CLIENT_LINE_USEC;
}

static void listener_init_lines(Listener *l) {
        for (unsigned i = 0; i < _REFUSAL_MAX; i++)
                listener_init_line(l, &l->refusals[i], (Refusal) i, PROBE_REASON_NONE);
        for (unsigned i = 0; i < _PROBE_REASON_MAX; i++)
                listener_init_line(l, &l->malformed[i], REFUSAL_MALFORMED, (ProbeReason) i);
}

static void listener_drop_lines(Listener *l) {
        for (size_t i = 0; i < _REFUSAL_MAX; i++)
                held_line_done(&l->refusals[i].held);
        for (size_t i = 0; i < _PROBE_REASON_MAX; i++)
                held_line_done(&l->malformed[i].held);
}

/* An address that does not fit, a long path, is not needed: only IP addresses are compared. */
static void listener_read_address(Listener *l) {
        struct sockaddr_storage ss = {};
        socklen_t len = sizeof(ss);

        if (getsockname(l->fd, (struct sockaddr *) &ss, &len) >= 0)
                memcpy(&l->address, &ss, MIN(sizeof(l->address), (size_t) len));
}

int listener_new(Loop *loop, const char *name, int fd, int type, const ListenerHandlers *handlers, void *userdata,
                 Listener **ret) {
        _cleanup_(listener_freep) Listener *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;

        l->userdata = userdata;
        l->on_ready = handlers->on_ready;
        l->fd = -EBADF;
        l->type = type;
        l->batch = 1;
        list_init(&l->link);
        listener_init_lines(l);
        waiting_init(&l->heads, &l->timer);
        waiting_init(&l->silent, &l->timer);

        l->name = strdup(name);
        if (!l->name)
                return -ENOMEM;

        /*
         * systemd passes listeners in blocking mode (NonBlocking=, systemd.service(5)). In that mode accept4(2) would
         * wait if the client left after its event.
         */
        r = fd_nonblock(fd, true);
        if (r < 0)
                return r;

        r = timer_init(&l->timer, loop, handlers->on_timer, l);
        if (r < 0)
                return r;

        l->fd = fd; /* consumed */
        listener_read_address(l);
        *ret = TAKE_PTR(l);
        return 0;
}

Listener *listener_free(Listener *l) {
        if (!l)
                return NULL;

        list_remove(&l->link);
        listener_drop_lines(l);
        timer_done(&l->timer);
        source_rates_free(l->rates);
        fd_close(l->fd);
        free(l->name);
        free(l);
        return NULL;
}

/* Returns 2 if @own is the address of @l, 1 if @l listens at all addresses and the port is the same, or else 0. */
static int listener_compare_address(const Listener *l, const ClientAddress *own) {
        const ClientAddress *a = &l->address;
        const struct in6_addr *in6 = &a->in6.sin6_addr;

        if (a->sa.sa_family != own->sa.sa_family)
                return 0;

        if (a->sa.sa_family == AF_INET && a->in.sin_port == own->in.sin_port)
                return a->in.sin_addr.s_addr == own->in.sin_addr.s_addr ? 2
                                                                        : a->in.sin_addr.s_addr == htonl(INADDR_ANY);

        if (a->sa.sa_family == AF_INET6 && a->in6.sin6_port == own->in6.sin6_port)
                return IN6_ARE_ADDR_EQUAL(in6, &own->in6.sin6_addr) ? 2 : IN6_IS_ADDR_UNSPECIFIED(in6);

        return 0;
}

Listener *listener_find_address(const List *listeners, const ClientAddress *own) {
        Listener *found = NULL;
        int best = 0;

        LIST_FOREACH(i, listeners) {
                Listener *l = CONTAINER_OF(i, Listener, link);
                int n = l->is_return ? 0 : listener_compare_address(l, own);

                if (n > best) {
                        best = n;
                        found = l;
                }
        }

        return found;
}

bool listener_trusts(const Listener *l, const ClientAddress *address) {
        const ListenerConfig *config = l->config;

        if (config->proxy_protocol == PROXY_PROTOCOL_NO)
                return false;

        for (size_t i = 0; i < config->n_trusted_proxies; i++)
                if (address_range_contains(&config->trusted_proxies[i], &address->sa))
                        return true;

        return false;
}

Listener *listener_find(const List *listeners, Slice name) {
        LIST_FOREACH(i, listeners) {
                Listener *l = CONTAINER_OF(i, Listener, link);

                if (slice_equal(slice_from_string(l->name), name))
                        return l;
        }

        return NULL;
}
