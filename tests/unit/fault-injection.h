/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * System calls and allocations that fail on demand. The linker sends every call of them, from any object of the program,
 * to __wrap_NAME() in here (ld(1), --wrap). The option is in meson.build, for the programs that include this. The
 * function epoll_ctl() is defined under its own name, so that sd-event gets it as well.
 *
 * Only calls between fault_enter() and fault_leave() fail or count: those of the code under test, not of the test.
 */

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Each with what it may fail with for want of something, or for a moment. EAGAIN: see NEVER_FOR_LONG. */
#define FOR_EACH_CALL(X)                                                             \
        X(accept4, EMFILE, ENFILE, ENOBUFS, ENOMEM, EINTR, ECONNABORTED, EAGAIN)     \
        X(recv, ENOMEM, ENOBUFS, EINTR, EAGAIN)                                      \
        X(recvmsg, ENOMEM, ENOBUFS, EINTR, EAGAIN)                                   \
        X(recvmmsg, ENOMEM, ENOBUFS, EINTR, EAGAIN)                                  \
        X(send, ENOBUFS, ENOMEM, EINTR, EAGAIN)                                      \
        X(sendmsg, ETOOMANYREFS, ENOBUFS, ENOMEM, EMFILE, EINTR, EAGAIN)             \
        X(connect, EAGAIN, EINTR, ENOMEM, ENOBUFS)                                   \
        X(socket, EMFILE, ENFILE, ENOBUFS, ENOMEM)                                   \
        X(epoll_ctl, ENOMEM, ENOSPC)                                                 \
        X(epoll_wait, EINTR)                                                         \
        X(poll, EINTR, ENOMEM, EAGAIN)                                               \
        X(fcntl, EMFILE, EINTR, ENOMEM)                                              \
        X(ioctl, ENOMEM, EINTR)                                                      \
        X(getsockopt, ENOBUFS, ENOMEM)                                               \
        X(setsockopt, ENOBUFS, ENOMEM, ENOPROTOOPT)                                  \
        X(getsockname, ENOBUFS)                                                      \
        X(getpeername, ENOBUFS, ENOTCONN)                                            \
        X(shutdown, ENOTCONN, ENOBUFS)                                               \
        X(stat, ENOMEM, EACCES)                                                      \
        X(openat, EMFILE, ENFILE, ENOMEM, EINTR)                                     \
        X(malloc, ENOMEM)                                                            \
        X(calloc, ENOMEM)                                                            \
        X(realloc, ENOMEM)                                                           \
        X(reallocarray, ENOMEM)                                                      \
        X(strdup, ENOMEM)                                                            \
        X(epoll_create1, EMFILE, ENFILE, ENOMEM)                                     \
        X(getrandom, EINTR, EAGAIN)

typedef enum Call {
#define X(name, ...) CALL_##name,
        FOR_EACH_CALL(X)
#undef X
        _CALL_MAX,
} Call;

static const struct {
        const char *name;
        int errors[8];
} calls[_CALL_MAX] = {
#define X(name, ...) [CALL_##name] = { #name, { __VA_ARGS__ } },
        FOR_EACH_CALL(X)
#undef X
};

static struct {
        bool inside;
        Call call;            /* this one fails */
        int error;            /* with this */
        unsigned first, last; /* from this time on, counted from 1, to that; 0: never */
        unsigned n[_CALL_MAX];
        unsigned n_failed;
} fault;

static inline void fault_enter(void) {
        fault.inside = true;
}

static inline void fault_leave(void) {
        fault.inside = false;
}

static inline void fault_set(Call call, int error, unsigned first, unsigned last) {
        memset(&fault, 0, sizeof(fault));
        fault.call = call;
        fault.error = error;
        fault.first = first;
        fault.last = last;
}

static inline void fault_end(void) {
        fault.first = fault.last = 0;
}

static inline bool fault_hits(Call call) {
        if (!fault.inside)
                return false;

        fault.n[call]++;
        if (call != fault.call || fault.n[call] < fault.first || fault.n[call] > fault.last)
                return false;

        fault.n_failed++;
        errno = fault.error;
        return true;
}

#define WRAP(type, failure, name, parameters, arguments)                             \
        type __real_##name parameters;                                               \
        type __wrap_##name parameters;                                               \
        type __wrap_##name parameters {                                              \
                return fault_hits(CALL_##name) ? failure : __real_##name arguments;  \
        }                                                                            \
        struct name##_wants_a_semicolon

WRAP(int, -1, accept4, (int fd, struct sockaddr *a, socklen_t *n, int flags), (fd, a, n, flags));
WRAP(ssize_t, -1, recv, (int fd, void *p, size_t n, int flags), (fd, p, n, flags));
WRAP(ssize_t, -1, recvmsg, (int fd, struct msghdr *m, int flags), (fd, m, flags));
WRAP(int, -1, recvmmsg, (int fd, struct mmsghdr *m, unsigned n, int flags, struct timespec *ts), (fd, m, n, flags, ts));
WRAP(ssize_t, -1, send, (int fd, const void *p, size_t n, int flags), (fd, p, n, flags));
WRAP(ssize_t, -1, sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags));
WRAP(int, -1, connect, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n));
WRAP(int, -1, socket, (int domain, int type, int protocol), (domain, type, protocol));
WRAP(int, -1, epoll_wait, (int fd, struct epoll_event *e, int n, int timeout), (fd, e, n, timeout));
WRAP(int, -1, poll, (struct pollfd *p, nfds_t n, int timeout), (p, n, timeout));
WRAP(int, -1, getsockopt, (int fd, int level, int o, void *p, socklen_t *n), (fd, level, o, p, n));
WRAP(int, -1, setsockopt, (int fd, int level, int o, const void *p, socklen_t n), (fd, level, o, p, n));
WRAP(int, -1, getsockname, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n));
WRAP(int, -1, getpeername, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n));
WRAP(int, -1, shutdown, (int fd, int how), (fd, how));

#define CALL_stat64 CALL_stat
WRAP(int, -1, stat, (const char *path, struct stat *st), (path, st));
WRAP(int, -1, stat64, (const char *path, struct stat *st), (path, st));

WRAP(int, -1, epoll_create1, (int flags), (flags));
WRAP(ssize_t, -1, getrandom, (void *p, size_t n, unsigned flags), (p, n, flags));
WRAP(void *, NULL, malloc, (size_t n), (n));
WRAP(void *, NULL, calloc, (size_t n, size_t m), (n, m));
WRAP(void *, NULL, realloc, (void *p, size_t n), (p, n));
WRAP(void *, NULL, reallocarray, (void *p, size_t n, size_t m), (p, n, m));
WRAP(char *, NULL, strdup, (const char *s), (s));

/* Whatever the third argument is, it is a word. With large files (meson sets that) the first is called by the second's name. */
#define WRAP_FCNTL(name)                                                             \
        int __real_##name(int fd, int what, ...);                                    \
        int __wrap_##name(int fd, int what, ...);                                    \
        int __wrap_##name(int fd, int what, ...) {                                   \
                va_list ap;                                                          \
                long argument;                                                       \
                                                                                     \
                va_start(ap, what);                                                  \
                argument = va_arg(ap, long);                                         \
                va_end(ap);                                                          \
                return fault_hits(CALL_fcntl) ? -1 : __real_##name(fd, what, argument); \
        }                                                                            \
        struct name##_wants_a_semicolon

WRAP_FCNTL(fcntl);
WRAP_FCNTL(fcntl64);

/* Without O_CREAT there is no fourth argument. */
#define WRAP_OPENAT(name)                                                            \
        int __real_##name(int fd, const char *path, int flags, ...);                 \
        int __wrap_##name(int fd, const char *path, int flags, ...);                 \
        int __wrap_##name(int fd, const char *path, int flags, ...) {                \
                return fault_hits(CALL_openat) ? -1 : __real_##name(fd, path, flags); \
        }                                                                            \
        struct name##_wants_a_semicolon

WRAP_OPENAT(openat);
WRAP_OPENAT(openat64);

int __real_ioctl(int fd, unsigned long what, ...);
int __wrap_ioctl(int fd, unsigned long what, ...);
int __wrap_ioctl(int fd, unsigned long what, ...) {
        va_list ap;
        long argument;

        va_start(ap, what);
        argument = va_arg(ap, long);
        va_end(ap);
        return fault_hits(CALL_ioctl) ? -1 : __real_ioctl(fd, what, argument);
}

__attribute__((visibility("default"))) int epoll_ctl(int fd, int what, int about, struct epoll_event *event) {
        /* Taking one out needs nothing. */
        if (what != EPOLL_CTL_DEL && fault_hits(CALL_epoll_ctl))
                return -1;

        return (int) syscall(SYS_epoll_ctl, fd, what, about, event);
}
