/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "libfdpass/return-conn.h"

#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <unistd.h>

#include "basic/fd.h"
#include "handoff/handoff.h"
#include "handoff/scope.h"

/* The number that the connection gets if it is free, because programs expect low numbers for what they open. */
#define HIGH_FD 200

/* How long a new connection waits for the broker's word that it is ready. Until then a descriptor may be refused (EPERM). */
#define READY_MS 100

static struct {
        atomic_bool is_wanted;
        atomic_bool is_ready;     /* the broker takes clients on it */
        atomic_bool is_drained;   /* the broker has told so last */
        atomic_int fd;            /* 0: none */
        atomic_int pid;           /* of the process that keeps it; a child has no part in it; 0: it has ended */
        _Atomic uint64_t cookie;  /* the program may have closed it, and have another socket under its number */
        atomic_uint generation;   /* of the latest scope; another one may be of another process of the broker */
} return_conn;

void return_conn_want(void) {
        atomic_store(&return_conn.is_wanted, true);
}

static uint64_t return_conn_cookie(int fd) {
        uint64_t cookie = 0;
        socklen_t length = sizeof(cookie);

        return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) < 0 ? 0 : cookie;
}

/* The descriptor is still what it was. */
static bool return_conn_has_number(int fd) {
        return fd > 0 && return_conn_cookie(fd) == atomic_load(&return_conn.cookie);
}

/* Returns the connection, or 0. */
static int return_conn_get(void) {
        int fd = atomic_load(&return_conn.fd);

        return atomic_load(&return_conn.pid) == getpid() && return_conn_has_number(fd) ? fd : 0;
}

/*
 * Reads what the broker has sent. Nothing follows from answers, because a client that it refuses is closed there. Returns
 * false if the broker is gone.
 */
static bool return_conn_read(int fd) {
        uint8_t byte;
        ssize_t n;

        while ((n = recv(fd, &byte, sizeof(byte), MSG_DONTWAIT)) > 0) {
                atomic_store(&return_conn.is_ready, true); /* the first one says so */
                if (byte == FDPASS_TELL_DRAINED || byte == FDPASS_TELL_UNDRAINED)
                        atomic_store(&return_conn.is_drained, byte == FDPASS_TELL_DRAINED);
        }

        return n < 0 && errno == EAGAIN;
}

static bool return_conn_is_ready(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        return atomic_load(&return_conn.is_ready) ||
               (poll(&p, 1, READY_MS) > 0 && return_conn_read(fd) && atomic_load(&return_conn.is_ready));
}

/*
 * Makes a duplicate. It replaces the one of a connection that has ended, whose number another thread may be about to use.
 * The duplicate shares the flags of @fd, so all calls on it have MSG_DONTWAIT.
 */
static int return_conn_duplicate(int fd) {
        int old = atomic_load(&return_conn.fd);

        return return_conn_has_number(old) ? dup3(fd, old, O_CLOEXEC) : fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
}

static bool return_conn_adopt(int fd, uint32_t generation) {
        int duplicate = return_conn_duplicate(fd);

        if (duplicate < 0)
                return false;

        atomic_store(&return_conn.pid, 0);
        atomic_store(&return_conn.is_ready, false);
        atomic_store(&return_conn.is_drained, false);
        atomic_store(&return_conn.cookie, return_conn_cookie(duplicate));
        atomic_store(&return_conn.generation, generation);
        atomic_store(&return_conn.fd, duplicate);
        if (handoff_answer_return(duplicate) < 0)
                return false;

        atomic_store(&return_conn.pid, getpid());
        return true;
}

/* A thread that comes at the same time leaves it to the other one. */
bool return_conn_keep(int fd, const Message *m) {
        static atomic_flag is_busy = ATOMIC_FLAG_INIT;
        bool is_kept = false;
        Scope scope;
        int now;

        if (!atomic_load(&return_conn.is_wanted) || m->seal.n == 0 || !scope_decode(m->scope, &scope))
                return false;
        if (atomic_load(&return_conn.fd) > 0 && atomic_load(&return_conn.generation) == scope.generation &&
            atomic_load(&return_conn.pid) == getpid())
                return false;
        if (atomic_flag_test_and_set(&is_busy))
                return false;

        now = return_conn_get();
        if (now > 0 && return_conn_read(now))
                atomic_store(&return_conn.generation, scope.generation);
        else
                is_kept = return_conn_adopt(fd, scope.generation);
        atomic_flag_clear(&is_busy);
        return is_kept;
}

int return_conn_fd(uint64_t *ret_id) {
        int fd = atomic_load(&return_conn.pid) != 0 ? atomic_load(&return_conn.fd) : 0;

        *ret_id = atomic_load(&return_conn.cookie);
        return fd > 0 ? fd : -EBADF;
}

static void return_conn_end(void) {
        atomic_store(&return_conn.pid, 0); /* the next client brings another one */
        atomic_store(&return_conn.is_drained, false);
}

void return_conn_look(void) {
        int fd = return_conn_get();

        if (fd > 0 && !return_conn_read(fd))
                return_conn_end();
}

bool return_conn_is_drained(void) {
        return atomic_load(&return_conn.is_drained) && atomic_load(&return_conn.pid) == getpid();
}

int return_conn_send(Slice header, Slice consumed, int client_fd) {
        int fd = return_conn_get(), r;

        if (fd == 0 || !return_conn_is_ready(fd))
                return -ENOTCONN;

        r = return_conn_read(fd) ? handoff_send_message(fd, header, consumed, client_fd) : -EPIPE;
        if (r != -EPIPE && r != -ECONNRESET)
                return r;

        return_conn_end();
        return -ENOTCONN;
}
