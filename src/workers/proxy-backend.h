/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Where clients go. On the command line:
 *
 *         HOST:PORT  [IPV6]:PORT     TCP. A name is looked up at the start, and again later, never by a client's wait
 *         HOST  [IPV6]               the port that the client connected to
 *         /PATH                      AF_UNIX
 *         @NAME                      AF_UNIX, abstract: only in the network namespace of the proxy's own
 *         vsock:CID:PORT             a virtual machine
 *         INLET=…                    one of these, for clients of the socket with FileDescriptorName=INLET
 */

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-event.h>

#include "basic/log.h"
#include "basic/macro.h"
#include "basic/time.h"

typedef struct Address {
        union {
                struct sockaddr sa;
                struct sockaddr_in in;
                struct sockaddr_in6 in6;
                struct sockaddr_un un;
                struct sockaddr_storage storage;
        };
        socklen_t length;
} Address;

typedef struct Backend {
        const char *text;       /* as it was given, for people */
        char *inlet;            /* NULL: for clients of every socket */
        char *host;             /* a name, to be looked up again; NULL: it was none */
        unsigned port;          /* 0: as the client's */
        Address *addresses;     /* in the order in which they are tried */
        unsigned n_addresses;
        usec_t resolved;        /* when the name was looked up */
        usec_t down_until;      /* 0: it is not known to be down */
} Backend;

typedef struct Resolver Resolver;

typedef struct Backends {
        Backend *items;
        unsigned n;
        unsigned next;          /* whose turn it is */
        Log *log;               /* borrowed */
        sd_event *event;        /* borrowed */
        Resolver *resolver;     /* while a name is looked up */
} Backends;

/* Adds one. Returns 0, -EINVAL for what is no address, or a negative errno. Does not look names up. */
int backends_add(Backends *b, const char *text);
void backends_done(Backends *b);

/* Looks all names up, and waits for it. BACKENDS_UNRESOLVED: that of *ret_which has no address; *ret_why says why. */
enum {
        BACKENDS_UNRESOLVED = 1,
};
int backends_resolve(Backends *b, const Backend **ret_which, const char **ret_why);

/* True where one of them is reached over TCP. */
bool backends_have_tcp(const Backends *b);

/* How many there are for clients of @inlet. */
unsigned backends_count(const Backends *b, const char *inlet);

/*
 * The one for the next client of @inlet; they take turns, and those that are down come last. backends_after() is the
 * next one to try for the same client.
 */
unsigned backends_choose(Backends *b, const char *inlet, usec_t now);
unsigned backends_after(const Backends *b, unsigned which, const char *inlet, usec_t now);

/* One could not be connected to, or could: the edges are logged. */
void backend_failed(Backends *b, unsigned which, int r, usec_t now);
void backend_works(Backends *b, unsigned which);

/* Has a name looked up again, where what is known is old; the answer is used once it is there (proxy-resolve.c). */
void backend_refresh(Backends *b, unsigned which, usec_t now);

/* The addresses of a name, in a new array. Returns 0, or what getaddrinfo(3) does (EAI_…). Waits. */
int resolve_name(const char *host, unsigned port, Address **ret, unsigned *ret_n);
void resolver_done(Backends *b);
