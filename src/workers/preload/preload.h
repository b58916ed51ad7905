/* SPDX-License-Identifier: MIT-0 */
#pragma once

/*
 * fdpass-preload.so: in a server that is started with it (LD_PRELOAD), accept() on a worker's socket of fdpass
 * returns the client itself, and bind() to a port of FDPASS_LISTEN= takes the socket that systemd has passed.
 * See fdpass-preload(8).
 *
 *     calls.c ── which socket is it? listener.c, claim.c
 *        └── accept.c ── connection, sender ── receive.c ── the message: told.c
 *               └── other.c ── a client for the program's listener of the other family
 *
 * It lives in somebody else's process. So it allocates no memory but what mmap() gives, takes no lock, changes no
 * signal, and keeps nothing that fork() would break. It sees neither close() nor dup(): what it knows of a
 * socket is filed under SO_COOKIE (Linux 4.12), a number that no other socket has until the next boot.
 *
 * Functions return 0 or more, or a negative errno, as everywhere in fdpass; those in calls.c as libc's do.
 */

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "handoff/protocol.h"

#define _cleanup_close_ __attribute__((cleanup(close_at)))

/* Closes what a variable holds, and keeps errno. */
static inline void close_at(int *fd) {
        int saved_errno = errno;

        if (*fd >= 0)
                (void) close(*fd);
        errno = saved_errno;
}

static inline int take_fd(int *fd) {
        int taken = *fd;

        *fd = -EBADF;
        return taken;
}

/* libc's own functions, or those of the next library that stands in their place. */
typedef struct Real {
        int (*accept4)(int, struct sockaddr *, socklen_t *, int);
        int (*bind)(int, const struct sockaddr *, socklen_t);
        int (*connect)(int, const struct sockaddr *, socklen_t);
        int (*getpeername)(int, struct sockaddr *, socklen_t *);
        int (*getsockname)(int, struct sockaddr *, socklen_t *);
        int (*getsockopt)(int, int, int, void *, socklen_t *);
        int (*listen)(int, int);
        int (*setsockopt)(int, int, int, const void *, socklen_t);
        int (*shutdown)(int, int);
        int (*socket)(int, int, int);
} Real;

extern Real real;

/* Has to come before any use of real: other libraries may call us before our constructor has run. */
void preload_init(void);

/* An option of SOL_SOCKET that is an int; a negative errno where there is none. */
int socket_option(int fd, int option);

/* The number that the kernel has for this socket, whatever its descriptors; 0 where @fd is no socket. */
uint64_t socket_cookie(int fd);

/* say.c */

/* What there is to say; each is said once by a process. */
typedef enum Saying {
        SAY_CONFIG,
        SAY_FORM,
        SAY_MISSING,
        SAY_OTHER_PORT,
        SAY_FAMILY,
        SAY_OTHER,
        SAY_SENDER,
        SAY_SILENT,
        SAY_MESSAGE,
        SAY_CONSUMED,
        SAY_ROOM,
        _SAYINGS,
} Saying;

void say_init(void);

/* A line to stderr, if that is still what it was when the program was started. */
__attribute__((format(printf, 2, 3))) void say(Saying what, const char *format, ...);

/* The same, and the end of the process with EX_CONFIG: starting it again would change nothing. */
__attribute__((format(printf, 1, 2), noreturn)) void give_up(const char *format, ...);

/* address.c */

typedef union Address {
        struct sockaddr_in6 in6; /* first: it is the longest */
        struct sockaddr_in in;
        struct sockaddr sa;      /* AF_UNSPEC: none */
} Address;

socklen_t address_length(const Address *a);
void address_set_port(Address *a, in_port_t port); /* in network order */

/* An IPv4 address as a socket for both families shows it (::ffff:192.0.2.1), or as itself. IPv6 stays what it is. */
void address_present(Address *a, bool mapped);

/* A listener for IPv4 has no form for an address of IPv6: 0.0.0.0 and the port. Whether that was needed. */
bool address_hide(Address *a);

/*
 * As the kernel gives an address to a caller: cut to the caller's room, with its true length. But who has room for
 * IPv4 only is told 0.0.0.0 of a client over IPv6, and not the half of an address.
 */
void address_give(const Address *a, struct sockaddr *to, socklen_t *to_len);

/* settings.c: the environment, as it was when the process began */

#define PORTS_MAX 16

/* Whether the program may lead its clients' sockets into the host's network, see basic/confine.h. */
typedef enum Confine {
        CONFINE_AUTO, /* not where the service has no network of its own either */
        CONFINE_NO,
        CONFINE_YES,
} Confine;

typedef struct Settings {
        size_t n_ports;
        in_port_t ports[PORTS_MAX]; /* FDPASS_LISTEN=, in network order: the n-th is the n-th socket passed */
        char sockets[4096];         /* FDPASS_SOCKET= */
        int n_listen_fds;           /* LISTEN_FDS= */
        Confine confine;            /* FDPASS_CONFINE= */
} Settings;

extern Settings settings;

void settings_init(void);
bool settings_has_path(const char *path);

/* told.c */

/* What the message says of the client. */
typedef struct Told {
        Address peer, local;  /* AF_UNSPEC: as the socket itself has them */
        bool is_late;         /* the sender has given the client up */
        bool has_consumed;    /* bytes that the socket doesn't hold any more */
} Told;

/*
 * Reads the @n_read bytes that there was room for of a message. @now_usec is the time of CLOCK_MONOTONIC. Returns
 * 0, or the answer that the sender gets. FDPASS_HEADER_MAX bytes are enough.
 */
int told_read(const uint8_t *p, size_t n_read, bool is_cut, uint64_t now_usec, Told *ret);

/* listener.c: worker's sockets of fdpass */

/* What a socket of TCP passes on to those that it accepts, and ours doesn't: the program may count on it. */
enum {
        OPTION_NODELAY = 1 << 0,   /* TCP_NODELAY */
        OPTION_KEEPALIVE = 1 << 1, /* SO_KEEPALIVE */
};

typedef struct Listener {
        int type;
        bool trusts_all;         /* its file's mode has kept others away */
        uid_t owner;             /* of the file; its clients are believed too */
        in_port_t claimed_port;  /* FDPASS_LISTEN= says that it is this port, in network order; 0: it is what it is */
        sa_family_t family;      /* the program has bound it for; AF_UNSPEC: it has found it open */
        unsigned options;        /* OPTION_… */
        struct sockaddr_un name;

        /* Where the program has bound the port for both families: see other.c. */
        bool is_other;           /* clients come from the process that has accepted them */
        int other_fd;            /* our end of the pair; 0: it has not */
        uint64_t other_cookie;   /* of that end */
} Listener;

/* The sockets that systemd has passed: puts them where listener_find() knows them. */
void listeners_init(void);

/* Whether @fd is a worker's socket that clients come from. */
bool listener_find(int fd, Listener *ret);

/* Its clients are to have the options @on, and not those @off. */
void listener_set_options(int fd, unsigned on, unsigned off);

/*
 * Puts the socket that systemd has passed in the place of @fd, which had the OPTION_… @options. Returns 1, or 0 where
 * none is for it.
 */
int listener_replace(int fd, const Address *wanted, unsigned options);
int listener_replace_named(int fd, const char *path);

/* claim.c: what the program is told of a socket, in the place of what the kernel says */

typedef enum ClaimKind {
        CLAIM_CLIENT = 1,
        CLAIM_LISTENER,   /* a worker's socket that the program takes for its own TCP listener */
        CLAIM_FUTURE,     /* a socket of AF_UNIX that was to be one of IP: waits for bind() */
} ClaimKind;

typedef struct Claim {
        ClaimKind kind;
        unsigned options; /* OPTION_…, of CLAIM_FUTURE */
        Address local;
        Address peer;
} Claim;

/* Without room for it the truth is told. */
void claim_set(int fd, const Claim *claim);
bool claim_get(int fd, Claim *ret);

/* A descriptor of the socket @cookie that the program takes for its listener, or -ENOENT. */
int claim_find_listener(uint64_t cookie, Claim *ret);

/* accept.c, receive.c */

/* The next client of a worker's socket @fd, and its address: AF_UNSPEC for a client over AF_UNIX. */
int accept_client(int fd, const Listener *l, int flags, Address *ret_peer);

/* What becomes of a connection. */
enum {
        RECEIVE_SKIP = 1, /* nothing of use came over it */
        RECEIVE_SILENT,   /* nothing came */
};

/*
 * Receives the client from a connection, which is consumed. @place is closed before: its number is the client's.
 * @listener_fd tells how long to wait. Returns 0, a condition, or a negative errno.
 */
int receive_client(int conn_fd, int *place, int listener_fd, const Listener *l, Told *ret_told, int *ret_fd);

/* Of the client that is in a connection, which keeps it. AF_UNSPEC: there is none, or it can't be told. */
sa_family_t receive_family(int conn_fd, int listener_fd);

/*
 * The descriptor that comes next over @fd, a pair's end, or -ECONNABORTED where there was none in a message.
 * Waits unless @fd has O_NONBLOCK. Returns 1, 0 where no other end is open, or a negative errno.
 */
int receive_connection(int fd, int *ret);

void send_answer(int conn_fd, uint8_t answer);

/* other.c */

/* The program's end of a pair. Ours goes to *@ret_sender. */
int other_open(int *ret_sender);

/* Gives the connection to the program's listener of the other family. 0: it stays; 1: it is gone, and was consumed. */
int other_send(int conn_fd, const Listener *l);

/* The next connection that the program's end @fd of a pair brings, or a negative errno. Waits unless it has O_NONBLOCK. */
int other_receive(int fd);
