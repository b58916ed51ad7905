/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Lookups of names. The first one is before the first client is taken. If it fails, the start fails: systemd tries
 * again, and clients wait in its queue.
 *
 * Later, a client that needs an old address starts a lookup in a thread, because getaddrinfo(3) blocks. The client does
 * not wait for it and uses the known addresses. So a slow name server delays no client, and a host may move.
 */

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "basic/fd.h"
#include "workers/proxy-backend.h"

#define FRESH_USEC (30 * USEC_PER_SEC) /* age up to which addresses are not looked up again */

/* Shared by two threads. That of the lookup writes the results, then to done_fd, and does not use it afterwards. */
struct Resolver {
        Backends *backends;
        unsigned which;
        pthread_t thread;
        sd_event_source *io;
        int done_fd;

        char *host;
        unsigned port;
        int result;
        BackendAddress *addresses;
        unsigned n_addresses;
};

/* Looks a name up, and waits. *@ret is owned by the caller. Returns 0 or an EAI_… of getaddrinfo(3). */
static int resolve_name(const char *host, unsigned port, BackendAddress **ret, unsigned *ret_n) {
        const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
        struct addrinfo *list;
        unsigned n = 0;
        char service[8];
        int r;

        (void) snprintf(service, sizeof(service), "%u", port);
        r = getaddrinfo(host, service, &hints, &list);
        if (r != 0)
                return r;

        for (struct addrinfo *i = list; i; i = i->ai_next)
                n++;

        *ret = calloc(MAX(n, 1U), sizeof(**ret));
        *ret_n = 0;
        for (struct addrinfo *i = list; *ret && i; i = i->ai_next) {
                memcpy(&(*ret)[*ret_n].storage, i->ai_addr, i->ai_addrlen);
                (*ret)[(*ret_n)++].length = i->ai_addrlen;
        }

        freeaddrinfo(list);
        return *ret ? 0 : EAI_MEMORY;
}

int backends_resolve(Backends *b, const Backend **ret_which, const char **ret_why) {
        for (unsigned i = 0; i < b->n; i++) {
                Backend *k = &b->items[i];
                int r;

                if (!k->host)
                        continue;

                r = resolve_name(k->host, k->port, &k->addresses, &k->n_addresses);
                if (r != 0) {
                        *ret_which = k;
                        *ret_why = gai_strerror(r);
                        return BACKENDS_UNRESOLVED;
                }
                k->resolved = usec_now();
        }

        return 0;
}

static void *resolver_look_up(void *userdata) {
        Resolver *r = userdata;
        uint64_t one = 1;

        r->result = resolve_name(r->host, r->port, &r->addresses, &r->n_addresses);
        (void) !write(r->done_fd, &one, sizeof(one));
        return NULL;
}

static void resolver_free(Resolver *r) {
        sd_event_source_disable_unref(r->io);
        fd_close(r->done_fd);
        free(r->addresses);
        free(r->host);
        free(r);
}

void resolver_done(Backends *b) {
        Resolver *r = TAKE_PTR(b->resolver);

        if (!r)
                return;

        /* A thread that still waits for a name server can't be stopped. It keeps its memory until the process exits. */
        r->io = sd_event_source_disable_unref(r->io);
        if (pthread_tryjoin_np(r->thread, NULL) == 0)
                resolver_free(r);
}

/* Replaces the addresses of the backend. After a failed lookup it keeps the old ones, which may still be right. */
static void resolver_use(Backends *b, Resolver *r) {
        Backend *k = &b->items[r->which];

        k->resolved = usec_now();
        if (r->result != 0) {
                log_line(b->log, LOG_WARNING, "Failed to look up %s: %s. Its old addresses are used.", k->host,
                         gai_strerror(r->result));
                return;
        }

        free(k->addresses);
        k->addresses = TAKE_PTR(r->addresses);
        k->n_addresses = r->n_addresses;
}

static int resolver_on_done(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Resolver *r = userdata;
        Backends *b = r->backends;

        (void) pthread_join(r->thread, NULL);
        resolver_use(b, r);
        b->resolver = NULL;
        resolver_free(r);
        return 0;
}

/* The thread blocks all signals, because the event loop handles them. */
static int resolver_start(Resolver *r) {
        sigset_t all, old;
        int error;

        sigfillset(&all);
        (void) pthread_sigmask(SIG_SETMASK, &all, &old);
        error = pthread_create(&r->thread, NULL, resolver_look_up, r);
        (void) pthread_sigmask(SIG_SETMASK, &old, NULL);
        return -error;
}

void backend_refresh(Backends *b, unsigned which, usec_t now) {
        Backend *k = &b->items[which];
        Resolver *r;

        /* One lookup at a time. A later client starts the next one. */
        if (!k->host || b->resolver || now < k->resolved + FRESH_USEC)
                return;

        r = calloc(1, sizeof(*r));
        if (!r)
                return;

        *r = (Resolver){ .backends = b, .which = which, .host = strdup(k->host), .port = k->port };
        r->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (!r->host || r->done_fd < 0 ||
            sd_event_add_io(b->event, &r->io, r->done_fd, EPOLLIN, resolver_on_done, r) < 0 || resolver_start(r) < 0) {
                resolver_free(r);
                return;
        }

        b->resolver = r;
}
