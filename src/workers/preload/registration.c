/* SPDX-License-Identifier: MIT-0 */

/* Wrappers of the functions that decide where the program waits for a client, and under which number it has it. */

#include <limits.h>
#include <stdarg.h>
#include <linux/close_range.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "workers/preload/idle.h"
#include "workers/preload/io.h"
#include "workers/preload/kept-watch.h"
#include "workers/preload/secure.h"

_public_ int registration_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event) __asm__("epoll_ctl");
_public_ int registration_close(int fd) __asm__("close");
_public_ int registration_dup(int fd) __asm__("dup");
_public_ int registration_dup2(int fd, int to) __asm__("dup2");
_public_ int registration_dup3(int fd, int to, int flags) __asm__("dup3");
_public_ int registration_fcntl(int fd, int command, ...) __asm__("fcntl");
_public_ int registration_fcntl64(int fd, int command, ...) __asm__("fcntl64");
_public_ int registration_epoll_wait(int epoll_fd, struct epoll_event *events, int max, int ms) __asm__("epoll_wait");
_public_ int registration_epoll_pwait(int epoll_fd, struct epoll_event *events, int max, int ms,
                                      const sigset_t *signals) __asm__("epoll_pwait");
_public_ int registration_epoll_pwait2(int epoll_fd, struct epoll_event *events, int max,
                                       const struct timespec *timeout, const sigset_t *signals) __asm__("epoll_pwait2");
_public_ int registration_close_range(unsigned first, unsigned last, int flags) __asm__("close_range");
_public_ void registration_closefrom(int first) __asm__("closefrom");
_public_ long registration_syscall(long number, long a, long b, long c, long d, long e, long f) __asm__("syscall");

static void registration_begin(void) {
        if (!atomic_load_explicit(&io_is_ready, memory_order_acquire))
                io_init();
}

/* The connections to the broker end if the program closes their descriptors. */
static void registration_before_close(unsigned first, unsigned last) {
        kept_watch_close(first, last);
        back_watch_close(first, last);
}

/* A client that was handed back is registered nowhere any more. A program that begins to wait for it gets its end. */
static int registration_of_gone(Follow *f, int epoll_fd, int op, int fd, struct epoll_event *event) {
        if (!f->is_replaced && (op == EPOLL_CTL_DEL || follow_replace(f, fd) < 0))
                return 0;
        if (io_real.epoll_ctl(epoll_fd, op, fd, event) == 0)
                return 0;

        return op == EPOLL_CTL_MOD && errno == ENOENT ? io_real.epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, event) : -1;
}

int registration_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event) {
        Follow *f;
        int r;

        registration_begin();
        f = follow_find(fd);
        if (f && ((op != EPOLL_CTL_DEL && idle_before_register(f, fd, event)) || follow_is_gone(f, fd)))
                return registration_of_gone(f, epoll_fd, op, fd, event);

        r = io_real.epoll_ctl(epoll_fd, op, fd, event);
        if (f && r == 0) {
                if (op != EPOLL_CTL_DEL)
                        f->event = *event;
                f->epoll_fd = op == EPOLL_CTL_DEL ? -EBADF : epoll_fd;
        } else if (r == 0)
                kept_watch_epoll(epoll_fd, op, fd, event);
        return r;
}

static int registration_before_wait(int epoll_fd, struct epoll_event *events, int max) {
        registration_begin();
        kept_watch_wait(epoll_fd);
        return idle_before_wait(epoll_fd, events, max);
}

int registration_epoll_wait(int epoll_fd, struct epoll_event *events, int max, int ms) {
        int n = registration_before_wait(epoll_fd, events, max);

        while (n == 0) {
                n = io_real.epoll_wait(epoll_fd, events, max, ms);
                if (!idle_after_wait(epoll_fd, events, max, &n))
                        break;
        }
        return n;
}

int registration_epoll_pwait(int epoll_fd, struct epoll_event *events, int max, int ms, const sigset_t *signals) {
        int n = registration_before_wait(epoll_fd, events, max);

        while (n == 0) {
                n = io_real.epoll_pwait(epoll_fd, events, max, ms, signals);
                if (!idle_after_wait(epoll_fd, events, max, &n))
                        break;
        }
        return n;
}

int registration_epoll_pwait2(int epoll_fd, struct epoll_event *events, int max, const struct timespec *timeout,
                              const sigset_t *signals) {
        int n = registration_before_wait(epoll_fd, events, max);

        while (n == 0) {
                n = io_real.epoll_pwait2(epoll_fd, events, max, timeout, signals);
                if (!idle_after_wait(epoll_fd, events, max, &n))
                        break;
        }
        return n;
}

/* The descriptor is closed in any case: a client that was handed back is open in the broker. */
int registration_close(int fd) {
        registration_begin();
        registration_before_close((unsigned) fd, (unsigned) fd);
        stopping_before_close(fd);
        secure_before_close(fd);
        return io_real.close(fd);
}

int registration_close_range(unsigned first, unsigned last, int flags) {
        registration_begin();
        if ((flags & ~(int) CLOSE_RANGE_UNSHARE) == 0)
                registration_before_close(first, last);
        return io_real.close_range(first, last, flags);
}

void registration_closefrom(int first) {
        registration_begin();
        registration_before_close(first < 0 ? 0 : (unsigned) first, UINT_MAX);
        io_real.closefrom(first);
}

/* Java puts another file under the number of a client instead of closing it. */
static void registration_before_dup(int fd, int to) {
        if (fd == to)
                return;

        follow_forget(to);
        registration_before_close((unsigned) to, (unsigned) to);
        if (secure_find(to) && io_real.fcntl(fd, F_GETFD) >= 0)
                secure_before_close(to);
        secure_note_shared(fd);
}

int registration_dup(int fd) {
        registration_begin();
        secure_note_shared(fd);
        return io_real.dup(fd);
}

static void registration_before_control(int fd, int command) {
        registration_begin();
        if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
                secure_note_shared(fd);
}

/* Each command has one argument, which has the size of a pointer at most, or none (fcntl(2)). */
int registration_fcntl(int fd, int command, ...) {
        va_list arguments;
        void *argument;

        registration_before_control(fd, command);
        va_start(arguments, command);
        argument = va_arg(arguments, void *);
        va_end(arguments);
        return io_real.fcntl(fd, command, argument);
}

int registration_fcntl64(int fd, int command, ...) {
        va_list arguments;
        void *argument;

        registration_before_control(fd, command);
        va_start(arguments, command);
        argument = va_arg(arguments, void *);
        va_end(arguments);
        return io_real.fcntl64(fd, command, argument);
}

int registration_dup2(int fd, int to) {
        registration_begin();
        registration_before_dup(fd, to);
        return io_real.dup2(fd, to);
}

int registration_dup3(int fd, int to, int flags) {
        registration_begin();
        registration_before_dup(fd, to);
        return io_real.dup3(fd, to, flags);
}

/*
 * libuv (Node 20, uvloop) adds to its epoll instance by io_uring, which no wrapper sees. A client that was handed back
 * would stay there, and libuv would spin. Without a ring libuv calls epoll_ctl(). UV_USE_IO_URING=0 does not help. An error
 * of the kernel stays what it is.
 */
long registration_syscall(long number, long a, long b, long c, long d, long e, long f) {
        long r;

        registration_begin();
        if (number == SYS_close) { /* libuv */
                registration_before_close((unsigned) a, (unsigned) a);
                stopping_before_close((int) a);
                secure_before_close((int) a);
        }
        r = io_real.syscall(number, a, b, c, d, e, f);
        if (number != SYS_io_uring_setup || r < 0 || !back_is_wanted() || !known_has_messages())
                return r;

        (void) close((int) r);
        errno = ENOSYS;
        return -1;
}
