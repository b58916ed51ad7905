/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Backends: the services that clients are connected to. On the command line:
 *
 *         HOST:PORT  [IPV6]:PORT     TCP. HOST is looked up at the start, and again later: proxy-resolve.c
 *         HOST  [IPV6]               TCP, with the port that the client connected to
 *         /PATH                      AF_UNIX
 *         @NAME                      AF_UNIX, abstract: in the network namespace of the proxy only
 *         vsock:CID:PORT             a virtual machine: vsock(7)
 *         SOCKET=…                   one of these, for clients of the socket with FileDescriptorName=SOCKET only
 */

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-event.h>

#include "basic/log.h"
#include "basic/macro.h"
#include "basic/time.h"

typedef struct BackendAddress {
        union {
                struct sockaddr sa;
                struct sockaddr_in in;
                struct sockaddr_in6 in6;
                struct sockaddr_un un;
                struct sockaddr_storage storage;
        };
        socklen_t length;
} BackendAddress;

typedef struct Backend {
        const char *text;          /* as on the command line, for messages; borrowed */
        char *socket_name;         /* FileDescriptorName= of its clients' socket; NULL: all sockets */
        char *host;                /* name to look up; NULL: the address was numeric */
        unsigned port;             /* 0: the client's */
        BackendAddress *addresses; /* in the order of the attempts */
        unsigned n_addresses;
        usec_t resolved;           /* when @host was looked up; CLOCK_MONOTONIC */
        usec_t down_until;         /* no attempt before, if there is another backend; CLOCK_MONOTONIC, 0: it works */
} Backend;

typedef struct Resolver Resolver;

typedef struct Backends {
        Backend *items;
        unsigned n;
        unsigned next;          /* index of the backend for the next client */
        Log *log;               /* borrowed */
        sd_event *event;        /* borrowed */
        Resolver *resolver;     /* the running lookup; NULL: none */
} Backends;

/* Adds a backend, and borrows @text. Looks no name up. Returns 0, -EINVAL for a syntax error, or a negative errno. */
int backends_add(Backends *b, const char *text);
void backends_done(Backends *b);

/* Returns true if a backend is reached over TCP. */
bool backends_have_tcp(const Backends *b);

/* Returns the number of backends for clients of a socket. */
unsigned backends_count(const Backends *b, const char *socket_name);

/*
 * Returns the index of the backend for the next client of a socket. Backends take turns. One that is down is chosen if
 * all are. There has to be one: see backends_count().
 */
unsigned backends_choose(Backends *b, const char *socket_name, usec_t now);

/* Returns the backend to try after the backend @which has failed for a client. */
unsigned backends_after(const Backends *b, unsigned which, const char *socket_name, usec_t now);

/* Records that a backend can't be reached because of the errno @r, or is reached. Logs when that changes. */
void backend_failed(Backends *b, unsigned which, int r, usec_t now);
void backend_works(Backends *b, unsigned which);

/* proxy-resolve.c */

/*
 * Looks all names up, and waits for the result. Returns 0, or BACKENDS_UNRESOLVED if one failed: then *ret_which is its
 * backend, and *ret_why a constant string.
 */
enum {
        BACKENDS_UNRESOLVED = 1,
};
int backends_resolve(Backends *b, const Backend **ret_which, const char **ret_why);

/* Starts a lookup in a thread if the known addresses are old. The addresses are replaced when it ends. */
void backend_refresh(Backends *b, unsigned which, usec_t now);

/* Gives up the running lookup, if there is one. Call it before backends_done(). */
void resolver_done(Backends *b);
