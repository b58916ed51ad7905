/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/stage/socket-options.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/in6.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "basic/fd.h"
#include "basic/macro.h"

/* Entries of the error queue that are thrown away. If a worker has queued more, no other worker gets the client. */
#define ERRORS_MAX 4096

#define WINDOW_CLAMP_MIN 65536

/* Size of the longest value in the table: struct timeval, or the name of a congestion control. */
#define VALUE_MAX 16

/* Linux has these options since 5.14 or earlier; glibc 2.36 lacks some of them. */
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif
#ifndef SO_TXREHASH
#define SO_TXREHASH 74
#endif
#ifndef TCP_TX_DELAY
#define TCP_TX_DELAY 37
#endif

typedef struct Option {
        int level;
        int name;
} Option;

/*
 * Every option that an unprivileged process can set on a connected TCP socket and that accept(2) inherits from the
 * listener. The kernel itself changes TCP_QUICKACK, TCP_MAXSEG, TCP_TIMESTAMP, SO_INCOMING_CPU and the buffer sizes, so
 * these are not in the table. TCP_DEFER_ACCEPT concerns listeners only. Options with one right value are in
 * socket_options_restore_reading().
 */
static const Option options[] = {
        { SOL_SOCKET, SO_OOBINLINE },
        { SOL_SOCKET, SO_KEEPALIVE },      { SOL_SOCKET, SO_PRIORITY },          { SOL_SOCKET, SO_TIMESTAMP },
        { SOL_SOCKET, SO_TIMESTAMPNS },    { SOL_SOCKET, SO_TIMESTAMPING },      { SOL_SOCKET, SO_ZEROCOPY },
        { SOL_SOCKET, SO_DONTROUTE },      { SOL_SOCKET, SO_BROADCAST },         { SOL_SOCKET, SO_REUSEADDR },
        { SOL_SOCKET, SO_REUSEPORT },      { SOL_SOCKET, SO_NO_CHECK },          { SOL_SOCKET, SO_RXQ_OVFL },
        { SOL_SOCKET, SO_WIFI_STATUS },    { SOL_SOCKET, SO_NOFCS },             { SOL_SOCKET, SO_SELECT_ERR_QUEUE },
        { SOL_SOCKET, SO_BUSY_POLL },      { SOL_SOCKET, SO_PREFER_BUSY_POLL },  { SOL_SOCKET, SO_BUSY_POLL_BUDGET },
        { SOL_SOCKET, SO_MAX_PACING_RATE },{ SOL_SOCKET, SO_BINDTOIFINDEX },     { SOL_SOCKET, SO_TXREHASH },
        { SOL_SOCKET, SO_MARK },           { SOL_SOCKET, SO_LOCK_FILTER },       { SOL_SOCKET, SO_RESERVE_MEM },

        { IPPROTO_TCP, TCP_NODELAY },      { IPPROTO_TCP, TCP_CORK },            { IPPROTO_TCP, TCP_KEEPIDLE },
        { IPPROTO_TCP, TCP_KEEPINTVL },    { IPPROTO_TCP, TCP_KEEPCNT },         { IPPROTO_TCP, TCP_SYNCNT },
        { IPPROTO_TCP, TCP_LINGER2 },      { IPPROTO_TCP, TCP_CONGESTION },      { IPPROTO_TCP, TCP_USER_TIMEOUT },
        { IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS }, { IPPROTO_TCP, TCP_THIN_DUPACK }, { IPPROTO_TCP, TCP_NOTSENT_LOWAT },
        { IPPROTO_TCP, TCP_INQ },          { IPPROTO_TCP, TCP_TX_DELAY },        { IPPROTO_TCP, TCP_ULP },

        { IPPROTO_IP, IP_TOS },            { IPPROTO_IP, IP_TTL },               { IPPROTO_IP, IP_OPTIONS },
        { IPPROTO_IP, IP_PKTINFO },        { IPPROTO_IP, IP_RECVTTL },           { IPPROTO_IP, IP_RECVTOS },
        { IPPROTO_IP, IP_RECVOPTS },       { IPPROTO_IP, IP_RETOPTS },           { IPPROTO_IP, IP_RECVERR },
        { IPPROTO_IP, IP_MTU_DISCOVER },   { IPPROTO_IP, IP_MINTTL },            { IPPROTO_IP, IP_FREEBIND },
        { IPPROTO_IP, IP_TRANSPARENT },    { IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT }, { IPPROTO_IP, IP_RECVORIGDSTADDR },
        { IPPROTO_IP, IP_PASSSEC },        { IPPROTO_IP, IP_CHECKSUM },          { IPPROTO_IP, IP_RECVFRAGSIZE },
        { IPPROTO_IP, IP_UNICAST_IF },

        { IPPROTO_IPV6, IPV6_TCLASS },     { IPPROTO_IPV6, IPV6_UNICAST_HOPS },  { IPPROTO_IPV6, IPV6_RECVPKTINFO },
        { IPPROTO_IPV6, IPV6_RECVHOPLIMIT }, { IPPROTO_IPV6, IPV6_RECVTCLASS },  { IPPROTO_IPV6, IPV6_RECVRTHDR },
        { IPPROTO_IPV6, IPV6_RECVHOPOPTS }, { IPPROTO_IPV6, IPV6_RECVDSTOPTS },  { IPPROTO_IPV6, IPV6_RECVERR },
        { IPPROTO_IPV6, IPV6_RECVPATHMTU }, { IPPROTO_IPV6, IPV6_DONTFRAG },     { IPPROTO_IPV6, IPV6_MTU_DISCOVER },
        { IPPROTO_IPV6, IPV6_MINHOPCOUNT }, { IPPROTO_IPV6, IPV6_AUTOFLOWLABEL },{ IPPROTO_IPV6, IPV6_FLOWINFO_SEND },
        { IPPROTO_IPV6, IPV6_ADDR_PREFERENCES }, { IPPROTO_IPV6, IPV6_FREEBIND },{ IPPROTO_IPV6, IPV6_TRANSPARENT },
        { IPPROTO_IPV6, IPV6_RTHDR },      { IPPROTO_IPV6, IPV6_UNICAST_IF },    { IPPROTO_IPV6, IPV6_RECVORIGDSTADDR },
};

typedef struct OptionValue {
        uint8_t bytes[VALUE_MAX];
        socklen_t n;
        bool is_unknown; /* to the kernel, for sockets of this family and protocol */
} OptionValue;

/* Returns the value of an option. Its n is 0 if the kernel or the socket's family does not know the option. */
static OptionValue socket_options_get(int fd, const Option *o) {
        OptionValue v = { .n = sizeof(v.bytes) };

        if (getsockopt(fd, o->level, o->name, v.bytes, &v.n) < 0) {
                v.n = 0;
                v.is_unknown = errno == ENOPROTOOPT || errno == EOPNOTSUPP; /* ip_getsockopt() has the latter for IPv6 */
        }

        return v;
}

static bool socket_options_equal(const OptionValue *a, const OptionValue *b) {
        return a->n == b->n && memcmp(a->bytes, b->bytes, a->n) == 0;
}

static bool socket_options_is_ulp(const Option *o) {
        return o->level == IPPROTO_TCP && o->name == TCP_ULP;
}

/*
 * Returns the values of the listener. Each thread keeps those of the last listener, because they do not change while
 * the broker runs.
 */
static const OptionValue *socket_options_of_listener(int listener_fd) {
        static _Thread_local OptionValue values[ELEMENTSOF(options)];
        static _Thread_local uint64_t known;
        uint64_t cookie = 0;

        if (getsockopt(listener_fd, SOL_SOCKET, SO_COOKIE, &cookie, &(socklen_t){ sizeof(cookie) }) >= 0 && cookie == known)
                return values;

        for (size_t i = 0; i < ELEMENTSOF(options); i++)
                values[i] = socket_options_get(listener_fd, &options[i]);

        known = cookie;
        return values;
}

static int socket_options_restore_one(int fd, const Option *o, const OptionValue *wanted) {
        OptionValue is = socket_options_get(fd, o);

        /* An option without a value is not known for this socket. */
        if (is.n == 0 || socket_options_equal(&is, wanted))
                return 0;

        if (setsockopt(fd, o->level, o->name, wanted->bytes, wanted->n) < 0)
                return -errno;

        is = socket_options_get(fd, o);
        return socket_options_equal(&is, wanted) ? 0 : -EPERM;
}

/*
 * Restores the sizes of both buffers if a process has set one. SO_BUF_LOCK tells that (Linux 5.14). Otherwise the
 * kernel adapts them. The sizes that getsockopt(2) returns are twice those to set (socket(7)).
 */
static int socket_options_restore_buffers(int fd, int listener_fd) {
        static const int names[] = { SO_SNDBUF, SO_RCVBUF };
        int lock = 0, wanted = 0, size, clamp;

        /* A new socket has at least this clamp, as far as its buffer allows. A smaller clamp keeps the window small. */
        if (getsockopt(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, &clamp, &(socklen_t){ sizeof(clamp) }) >= 0 && clamp < WINDOW_CLAMP_MIN &&
            setsockopt(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, &(int){ WINDOW_CLAMP_MIN }, sizeof(int)) < 0)
                return -errno;

        if (getsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &lock, &(socklen_t){ sizeof(lock) }) < 0)
                return 0;
        (void) getsockopt(listener_fd, SOL_SOCKET, SO_BUF_LOCK, &wanted, &(socklen_t){ sizeof(wanted) });
        if (lock == 0 && wanted == 0)
                return 0;

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                if (getsockopt(listener_fd, SOL_SOCKET, names[i], &size, &(socklen_t){ sizeof(size) }) < 0)
                        continue;
                size /= 2;
                if (setsockopt(fd, SOL_SOCKET, names[i], &size, sizeof(size)) < 0)
                        return -errno;
        }

        return setsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &wanted, sizeof(wanted)) < 0 ? -errno : 0;
}

/* Detaches a socket filter. Fails if a worker has locked the filter (SO_LOCK_FILTER, socket(7)). */
static int socket_options_drop_filter(int fd) {
        return setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){ 0 }, sizeof(int)) < 0 && errno != ENOENT ? -errno : 0;
}

static int socket_options_restore_flags(int fd) {
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0)
                return -errno;

        /* F_SETFL changes O_NONBLOCK, O_ASYNC and a few others. accept(2) returns a socket without any of these. */
        if (flags & ~(O_ACCMODE | O_LARGEFILE) && fcntl(fd, F_SETFL, 0) < 0)
                return -errno;
        if (fcntl(fd, F_GETOWN) != 0 && fcntl(fd, F_SETOWN, 0) < 0)
                return -errno;
        return fcntl(fd, F_GETSIG) != 0 && fcntl(fd, F_SETSIG, 0) < 0 ? -errno : 0;
}

/*
 * Empties the error queue. Entries of MSG_ZEROCOPY, timestamps or IP_RECVERR would raise EPOLLERR for the next worker.
 */
static int socket_options_drop_errors(int fd) {
        int n = 0;

        (void) getsockopt(fd, SOL_SOCKET, SO_ERROR, &(int){ 0 }, &(socklen_t){ sizeof(int) });
        while (recvmsg(fd, &(struct msghdr){}, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0)
                if (++n == ERRORS_MAX)
                        return -ENOBUFS;

        return 0;
}

/* Sets the options that have one right value for every client, whatever its listener has. */
static int socket_options_restore_reading(int fd) {
        static const struct { int name, value; } plain[] = { { SO_PEEK_OFF, -1 }, { SO_RCVLOWAT, 1 } };
        static const int timeouts[] = { SO_RCVTIMEO, SO_SNDTIMEO };
        const struct linger zero = { .l_onoff = 1 }, no_linger = {};
        const struct timeval forever = {};

        /* EOPNOTSUPP: the socket has no peek offset. */
        for (size_t i = 0; i < ELEMENTSOF(plain); i++)
                if (setsockopt(fd, SOL_SOCKET, plain[i].name, &plain[i].value, sizeof(int)) < 0 && errno != EOPNOTSUPP)
                        return -errno;
        for (size_t i = 0; i < ELEMENTSOF(timeouts); i++)
                if (setsockopt(fd, SOL_SOCKET, timeouts[i], &forever, sizeof(forever)) < 0)
                        return -errno;

        /* SO_LINGER keeps its time when it is turned off, so the time is set to zero first. */
        return setsockopt(fd, SOL_SOCKET, SO_LINGER, &zero, sizeof(zero)) < 0 ||
               setsockopt(fd, SOL_SOCKET, SO_LINGER, &no_linger, sizeof(no_linger)) < 0 ? -errno : 0;
}

/*
 * True if both sockets have the same value of @name, SO_DOMAIN or SO_PROTOCOL. The listener that is named for a client
 * that was handed back may have another one.
 */
static bool socket_options_are_alike(int a, int b, int name) {
        return fd_option(a, name) == fd_option(b, name);
}

/*
 * Restores the options of the table. A kernel that does not know an option for the listener does not know it for a socket
 * of the same family and protocol. On a socket of IPv4 that spares a quarter of the calls.
 */
static int socket_options_restore_table(int fd, int listener_fd, bool may_have_ulp) {
        const OptionValue *wanted = socket_options_of_listener(listener_fd);
        bool are_alike = socket_options_are_alike(fd, listener_fd, SO_PROTOCOL);
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(options); i++)
                if (!(may_have_ulp && socket_options_is_ulp(&options[i])) && !(are_alike && wanted[i].is_unknown))
                        r = socket_options_restore_one(fd, &options[i], &wanted[i]);

        return r;
}

int socket_options_restore(int fd, int listener_fd, bool may_have_ulp) {
        int r;

        if (listener_fd >= 0 && !socket_options_are_alike(fd, listener_fd, SO_DOMAIN))
                listener_fd = -EBADF;

        r = socket_options_restore_flags(fd);
        if (r >= 0)
                r = socket_options_drop_filter(fd);
        if (r >= 0)
                r = socket_options_drop_errors(fd);
        if (r >= 0)
                r = socket_options_restore_reading(fd);
        if (r < 0 || listener_fd < 0)
                return r;

        r = socket_options_restore_buffers(fd, listener_fd);
        return r < 0 ? r : socket_options_restore_table(fd, listener_fd, may_have_ulp);
}
