/* SPDX-License-Identifier: MIT-0 */
#pragma once

/*
 * fdpass-preload.so runs inside of a server that is started with LD_PRELOAD. There, accept() on a worker's socket of
 * fdpass returns the client itself, and bind() to a port of FDPASS_LISTEN= takes the socket that systemd passed. See
 * fdpass-preload(8).
 *
 *     wrappers.c, options.c, transfer.c, registration.c ── what the program calls; init.c
 *        ├── passed.c ── bind(): the sockets that systemd passed ── assign.c: which of them is which port
 *        └── accept.c ── accept(): connection and sender
 *               ├── inherited.c ── a descriptor that the program takes in addition to the port that it bound
 *               ├── family.c ── a client for the program's listener of the other family
 *               ├── kept.c ── connections that bring several clients ── kept-receive.c, place.c
 *               └── receive.c ── the message ── message.c
 *     follow.c ── whose request is next ── framing.c; back.c ── the way back to the broker; io.c; forks.c
 *     stopping.c ── a server that ends hands clients back; idle.c ── one that is drained does
 *     secure.c ── clients whose TLS the kernel does
 *     worker-socket.c, override.c ── what is known of a descriptor
 *     real.c, environment.c, log.c, address.c ── used by all of these
 *
 * The library shares a process with a program that knows nothing of it. So it takes memory from mmap() only, takes no
 * lock, changes no signal, and keeps no state that fork() would break. It does not see each close(), nor dup(). So it
 * files its knowledge of a socket under SO_COOKIE (Linux 4.12), a number that no other socket has until the next boot.
 *
 * Functions return 0 or more, or a negative errno, as everywhere in fdpass. Those in wrappers.c and options.c return
 * what libc's do.
 */

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "handoff/protocol.h"
#include "workers/choice.h"

#define _public_ __attribute__((visibility("default")))
#define _cleanup_close_ __attribute__((cleanup(close_at)))

/* Closes the descriptor in a variable, if there is one. Keeps errno. */
static inline void close_at(int *fd) {
        int saved_errno = errno;

        if (*fd >= 0)
                (void) close(*fd);
        errno = saved_errno;
}

/* Returns the descriptor in a variable, which no longer owns it. */
static inline int take_fd(int *fd) {
        int taken = *fd;

        *fd = -EBADF;
        return taken;
}

/* The numbers that our descriptors get if they are free, because programs expect low ones for what they open. */
#define HIGH_FD 256

/* Returns a duplicate of @fd with a high number, and closes @fd; or @fd if there is none. */
static inline int move_up_fd(int fd) {
        int up = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD) : -1;

        if (up < 0)
                return fd;

        (void) close(fd);
        return up;
}

static inline bool is_nonblocking(int fd) {
        int flags = fcntl(fd, F_GETFL);

        return flags >= 0 && flags & O_NONBLOCK;
}

static inline bool is_ip(int family) {
        return family == AF_INET || family == AF_INET6;
}

/* init.c */

/* Initializes the library. Each wrapper calls it first, because other libraries may call us before our constructor. */
void preload_init(void);

/* real.c */

/* The functions behind our wrappers: libc's, or those of the next library that wraps them. */
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

/* Stores the function @name behind our wrapper in *ret, a pointer to a function. Ends the process if there is none. */
void real_find(const char *name, void *ret);

/* Finds the functions in @real. */
void real_init(void);

/* Returns the value of an option of SOL_SOCKET that is an int, or a negative errno. */
int socket_option(int fd, int option);

/* Returns SO_COOKIE, the kernel's number of this socket, the same for all its descriptors. 0: @fd is no socket. */
uint64_t socket_cookie(int fd);

/* log.c */

/* Subjects of warnings. A process logs one warning of each. */
typedef enum LogTopic {
        TOPIC_CLOSED_PAIR,
        TOPIC_CONSUMED,
        TOPIC_FAMILY,
        TOPIC_INHERITED,
        TOPIC_LOST_FD,
        TOPIC_MESSAGE,
        TOPIC_PORT,
        TOPIC_RETURN,
        TOPIC_SENDER,
        TOPIC_SILENT,
        TOPIC_UNUSED,
        _TOPIC_MAX,
} LogTopic;

void log_init(void);

/* Writes a line to stderr, unless the program has replaced that since its start. */
__attribute__((format(printf, 2, 3))) void log_once(LogTopic topic, const char *format, ...);

/* Writes a line and ends the process with EX_CONFIG, because a restart would change nothing. */
__attribute__((format(printf, 1, 2), noreturn)) void log_fatal(const char *format, ...);

/* address.c */

typedef union IpAddress {
        struct sockaddr_in6 in6; /* first, because an initializer clears the first member and this is the longest */
        struct sockaddr_in in;
        struct sockaddr sa;      /* AF_UNSPEC: none */
} IpAddress;

socklen_t address_length(const IpAddress *a);

/* @port is in network order. */
void address_set_port(IpAddress *a, in_port_t port);

/*
 * Converts an IPv4 address to the form of a socket for both families (::ffff:192.0.2.1, RFC 4291 section 2.5.5.2) if
 * @mapped, otherwise from that form. Leaves other IPv6 addresses alone.
 */
void address_present(IpAddress *a, bool mapped);

/* Replaces an IPv6 address by 0.0.0.0 and its port, for a listener of IPv4. Returns true if it was one. */
bool address_hide(IpAddress *a);

/*
 * Stores an address as the kernel does: truncated to *@to_len, which then has the full length (accept(2)). A caller
 * with room for exactly IPv4 gets 0.0.0.0 for an IPv6 address, because half an address would be wrong.
 */
void address_give(const IpAddress *a, struct sockaddr *to, socklen_t *to_len);

/* environment.c */

#define PORTS_MAX 16
#define FD_NAME_MAX 255 /* FDNAME_MAX of systemd, whose limit for FileDescriptorName= this is */

/* A port of FDPASS_LISTEN=. */
typedef struct ListenPort {
        in_port_t port;   /* network order */
        const char *name; /* name of its socket; NULL: none was given */
        int socket;       /* index of its socket among those passed; -ENOENT: none (assign.c) */
} ListenPort;

/* Variables of the environment, as they were when the process began. */
typedef struct Environment {
        size_t n_ports;
        ListenPort ports[PORTS_MAX]; /* FDPASS_LISTEN= */
        char sockets[4096];          /* FDPASS_SOCKET= */
        int n_listen_fds;            /* LISTEN_FDS= */
        ConfineMode confine;         /* FDPASS_CONFINE= */
} Environment;

extern Environment environment;

void environment_init(void);

/* Copies the name of the @i-th descriptor of LISTEN_FDS= from LISTEN_FDNAMES=. "": it has none. */
void environment_read_name(size_t i, char ret[static FD_NAME_MAX + 1]);

/* Returns true if @path is below /run/fdpass or in FDPASS_SOCKET=. */
bool environment_has_path(const char *path);

/* forks.c */

void forks_init(void);

/* A number that this process does not share with its parent. */
unsigned forks_process(void);

/* How often this process, and its parents before it, have forked, or have started a program by posix_spawn(3). */
unsigned forks_count(void);

/* message.c */

/* Facts of a client, from its message. */
typedef struct ClientInfo {
        IpAddress peer;       /* AF_UNSPEC: as the client's socket has it */
        IpAddress local;      /* AF_UNSPEC: as the client's socket has it */
        uint64_t cookie;      /* of the client's socket, SO_COOKIE */
        bool may_persist;     /* the sender lets us keep the connection */
        bool is_late;         /* the deadline is over: the sender no longer waits for us */
        bool is_unseen;       /* the broker has not looked at its first request (NEXT) */
        bool is_secure;       /* it speaks TLS, which a stage before us has ended (SSL) */
        bool has_consumed;    /* bytes of the client came in the message; its socket no longer has them */
} ClientInfo;

/*
 * Parses the first @n_read bytes of a message. FDPASS_HEADER_MAX bytes are enough to read; @is_cut: there were more.
 * @now_usec is in CLOCK_MONOTONIC. Returns 0, or the answer for the sender (FDPASS_ANSWER_…).
 */
int message_read(const uint8_t *p, size_t n_read, bool is_cut, uint64_t now_usec, ClientInfo *ret);

/* worker-socket.c */

/* Options of a TCP listener that the kernel copies to accepted sockets. Programs rely on them; AF_UNIX has none. */
enum {
        OPTION_NODELAY = 1 << 0,   /* TCP_NODELAY */
        OPTION_KEEPALIVE = 1 << 1, /* SO_KEEPALIVE */
};

/* A socket that clients come from: the one that systemd passed, or the program's end of a pair (family.c). */
typedef struct WorkerSocket {
        uint64_t cookie;         /* 0: unknown */
        int type;                /* SOCK_STREAM or SOCK_SEQPACKET */
        bool trusts_all;         /* the mode of its file keeps other users away */
        uid_t owner;             /* of its file, whose clients are accepted too; (uid_t) -1: unknown */
        in_port_t port;          /* port of FDPASS_LISTEN= that it stands for, network order; 0: none */
        int passed_fd;           /* descriptor by which systemd passed it; 0: it did not */
        sa_family_t family;      /* family that the program bound; AF_UNSPEC: the program inherited the socket */
        unsigned options;        /* OPTION_… for accepted clients */
        bool is_pair;            /* it is the program's end of a pair */
        int sender_fd;           /* our end of the pair for the other family; 0: there is no pair */
        uint64_t sender_cookie;  /* of that end */
        struct sockaddr_un name;
} WorkerSocket;

/* A worker's socket in the table. Entries are never removed. Threads read and write them without a lock. */
typedef struct KnownSocket {
        _Atomic uint64_t cookie;        /* set last; 0: not filled in yet */
        WorkerSocket socket;            /* constant, except for the members below */
        atomic_uint family;
        atomic_uint options;
        atomic_int bound_fd;            /* latest descriptor that took its place in bind(); 0: none */
        atomic_int listener_fd;         /* the same after listen() */
        atomic_bool has_parent_listener; /* the parent had such a listener when it forked this process */
        _Atomic uint64_t sender_cookie; /* set before sender_fd */
        atomic_int sender_fd;
} KnownSocket;

/* Returns true and fills in @ret if @fd is a worker's socket. */
bool worker_socket_find(int fd, WorkerSocket *ret);

/* The same without the table. Its result has what never changes. */
bool worker_socket_inspect(int fd, WorkerSocket *ret);

/* Reads the path of a socket of AF_UNIX. Returns false for all others. */
bool worker_socket_name(int fd, struct sockaddr_un *ret);

/* Sets and clears options of the clients that @fd will bring. */
void worker_socket_set_options(int fd, unsigned on, unsigned off);

/* Returns the entry of a socket, or NULL. */
KnownSocket *known_find(uint64_t cookie);

/* True if clients of one of these sockets come with messages, so that they may have a scope. */
bool known_has_messages(void);

/* Adds an entry. Returns NULL if the table is full. */
KnownSocket *known_add(uint64_t cookie, const WorkerSocket *w);

/* assign.c */

/*
 * Finds the socket of each port of FDPASS_LISTEN=. @names are those of the @n sockets passed. @is_ours: systemd passed
 * them to this process. Ends the process if there is more than one answer, or if a name is missing from those passed.
 */
void assign_sockets(const char *const *names, size_t n, bool is_ours);

/* passed.c */

/* Records the sockets that systemd passed. Ends the process if one of them can't be accepted on. */
void passed_init(void);

/*
 * Replaces @fd by the passed socket for the port of @wanted, or for @path. @options are the OPTION_… that @fd had.
 * Returns 1, 0 if there is none, or a negative errno.
 */
int passed_replace_port(int fd, const IpAddress *wanted, unsigned options);
int passed_replace_path(int fd, const char *path);

/*
 * Returns the descriptor of the program's listener of the other family for the passed socket @cookie, and its own
 * cookie; or -ENOENT.
 */
int passed_find_second(uint64_t cookie, uint64_t *ret);

/* Returns the descriptor of the listener for which @cookie is that of the second one, or -ENOENT. */
int passed_find_first(uint64_t cookie);

/* override.c */

typedef enum OverrideKind {
        OVERRIDE_CLIENT = 1,
        OVERRIDE_LISTENER, /* a worker's socket that the program takes for its own TCP listener */
        OVERRIDE_FUTURE,   /* a socket of AF_UNIX, made instead of one of IP, before bind() */
} OverrideKind;

/* Answers about a socket that the program gets instead of the kernel's. */
typedef struct Override {
        OverrideKind kind;
        unsigned options; /* OPTION_…; OVERRIDE_FUTURE only */
        IpAddress local;
        IpAddress peer;
} Override;

/* Files an override under a descriptor. Without memory for it, the program gets the kernel's answers. */
void override_set(int fd, const Override *override);
bool override_get(int fd, Override *ret);

/* The same for a caller that has the socket's cookie. */
void override_set_known(int fd, uint64_t cookie, const Override *override);

/* Returns a descriptor of the socket @cookie with OVERRIDE_LISTENER, or -ENOENT. */
int override_find_listener(uint64_t cookie, Override *ret);

/* options.c */

/* Returns the OPTION_… that the kernel would copy from @fd to accepted sockets. */
unsigned options_of(int fd);

/* accept.c */

/*
 * Accepts the next client of the worker's socket @fd. @flags are those of accept4(2). Returns the client, which the
 * caller owns, or a negative errno. *@ret_peer has AF_UNSPEC for a client over AF_UNIX.
 */
int accept_client(int fd, const WorkerSocket *w, int flags, IpAddress *ret_peer);

/* inherited.c */

/*
 * Returns true if @fd is a descriptor that systemd passed, and the program also listens on a port or path that is the
 * same socket. No client is given out on @fd then, because the program may speak another protocol there.
 */
bool inherited_is_spare(int fd, const WorkerSocket *w);

/* Has to be called in listen(). */
void inherited_note_listen(int fd);

/* Logs this and returns the error of accept() without a client. Waits for one if @fd blocks. */
int inherited_refuse(int fd, const WorkerSocket *w);

/* Has to be called for each client that the program gets. */
void inherited_note_client(void);

/* receive.c */

/* Results of a connection that brought no client. */
enum {
        RECEIVE_SKIP = 1, /* the sender left, or was answered that its message is refused */
        RECEIVE_SILENT,   /* no message came in time */
};

/*
 * Receives the client of the connection *@conn_fd. That is the way back from here on if *@conn_fd is -EBADF then.
 * Closes *@place before, so that the client gets that number. How long it waits depends on whether @listener_fd has O_NONBLOCK. The client has FD_CLOEXEC if @flags, those of
 * accept4(2), have SOCK_CLOEXEC. Returns 0, RECEIVE_…, or a negative errno.
 */
int receive_client(int *conn_fd, int *place, int listener_fd, const WorkerSocket *w, int flags, ClientInfo *ret_info,
                   int *ret_fd);

/*
 * Reads the message of the client @fd. @is_cut: there were more than these @n bytes. Returns 0, or the answer for the
 * sender.
 */
int receive_read(const uint8_t *bytes, size_t n, bool is_cut, int fd, const WorkerSocket *w, ClientInfo *ret);

struct msghdr;

/* Stores the first @max descriptors of @message, and closes all others. Returns their number. */
size_t receive_take_fds(struct msghdr *message, int *ret, size_t max);

/* Returns the family of a client that was received: that of its message or of its socket. AF_UNSPEC: it is unknown. */
sa_family_t receive_client_family(int fd, const ClientInfo *info);

/* Returns the family of the client in a connection, without receiving it. AF_UNSPEC: no client, or unknown. */
sa_family_t receive_family(int conn_fd, int listener_fd);

/*
 * Receives a connection over @fd, an end of a pair. Waits unless @fd has O_NONBLOCK. Returns 1, 0 if no process has the
 * other end, or a negative errno. *@ret is owned by the caller, and -ECONNABORTED if the message had no descriptor.
 */
int receive_connection(int fd, int *ret);

void send_answer(int conn_fd, uint8_t answer);

/* family.c */

/* Makes a pair. Returns the program's end, or a negative errno; *@ret_sender is ours. */
int family_open(int *ret_sender);

/*
 * Sends a connection to the program's listener of the other family. Returns 1 if @conn_fd was consumed, 0 if it was
 * not, because there is no such listener any more.
 */
int family_send(int conn_fd, const WorkerSocket *w);

/* Returns the next connection from @fd, the program's end, or a negative errno. Waits unless @fd has O_NONBLOCK. */
int family_receive(int fd);
