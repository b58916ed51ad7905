/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The yardstick of fdpassd: the same system calls on the same sockets, with nothing around them.
 *
 *         bare plain FORM WORKER      accept4, socket, connect, sendmsg, close, close
 *         bare receipt FORM WORKER    the same, but the client is kept until the worker has closed the connection
 *
 * "plain" is what mod_proxy_fdpass does, and as fast as a connection per client gets; a client whose worker
 * dies is lost. "receipt" loses none: it is the cheapest loop that keeps the promise that fdpassd makes. It
 * has no queue, no limits, no routes and no log, and it ends at the first call that fails.
 *
 * FORM is that of the worker's socket: stream or seqpacket. With seqpacket it peeks at each request, looks for the one
 * host that it knows, and sends a header with the same facts as the broker's.
 *
 * It shares no code with fdpassd, so that a change there does not move the yardstick too. The TCP listener
 * is inherited as file 3.
 */

#include <fcntl.h>
#include <stdbool.h>
#include <sys/epoll.h>

#include "bare.h"

#define EVENTS_MAX 64

/* The epoll data of a connection are its two descriptors, which are never 0. */
#define LISTENER_TOKEN UINT64_C(0)

static struct sockaddr_un worker;
static int type = SOCK_STREAM;

static uint64_t make_token(int conn_fd, int client_fd) {
        return (uint64_t) (uint32_t) conn_fd << 32 | (uint32_t) client_fd;
}

static int connect_worker(int flags) {
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | flags, 0);

        if (fd < 0)
                err(EXIT_FAILURE, "socket");
        if (connect(fd, (const struct sockaddr *) &worker, sizeof(worker)) < 0)
                err(EXIT_FAILURE, "connect %s", worker.sun_path);

        return fd;
}

static int next_client(struct sockaddr_in *ret) {
        socklen_t length = sizeof(*ret);

        return accept4(LISTENER_FD, (struct sockaddr *) ret, &length, SOCK_CLOEXEC);
}

static void send_client(int conn_fd, int client_fd, const struct sockaddr_in *address) {
        char header[256] = { 0x00 };
        size_t n = 1;

        if (type != SOCK_STREAM) {
                look_at(client_fd);
                n = write_header(header, address, /* is_persistent= */ false);
        }
        send_fds(conn_fd, header, n, &client_fd, 1);
}

_Noreturn static void run_plain(void) {
        for (;;) {
                struct sockaddr_in address;
                int client_fd = next_client(&address), conn_fd;

                if (client_fd < 0)
                        err(EXIT_FAILURE, "accept4");

                conn_fd = connect_worker(/* flags= */ 0);
                send_client(conn_fd, client_fd, &address);
                close(conn_fd);
                close(client_fd);
        }
}

static void hand_out(int epoll_fd, int client_fd, const struct sockaddr_in *address) {
        int conn_fd = connect_worker(SOCK_NONBLOCK);
        struct epoll_event event = { .events = EPOLLIN, .data.u64 = make_token(conn_fd, client_fd) };

        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, conn_fd, &event) < 0)
                err(EXIT_FAILURE, "epoll_ctl");

        send_client(conn_fd, client_fd, address);
}

static void take_receipt(int epoll_fd, uint64_t token) {
        int conn_fd = (int) (token >> 32), client_fd = (int) (uint32_t) token;
        char byte;

        /* The event's EPOLLERR would save this call, but poll looks at error and end without the lock. */
        ssize_t n = recv(conn_fd, &byte, sizeof(byte), MSG_DONTWAIT);

        if (n < 0 && errno == EAGAIN)
                return;

        if (n < 0)
                errx(EXIT_FAILURE, "The worker left a client unread.");

        close(conn_fd); /* the last copy, so this ends the watch too (epoll(7)) */
        close(client_fd);
}

/* Accepts one client a turn, because a second accept4() that fails costs as much as one that succeeds. */
static void take_client(int epoll_fd) {
        struct sockaddr_in address;
        int client_fd = next_client(&address);

        if (client_fd >= 0)
                hand_out(epoll_fd, client_fd, &address);
        else if (errno != EAGAIN && errno != ECONNABORTED)
                err(EXIT_FAILURE, "accept4");
}

_Noreturn static void run_receipt(void) {
        int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event event = { .events = EPOLLIN, .data.u64 = LISTENER_TOKEN };

        if (epoll_fd < 0 || fcntl(LISTENER_FD, F_SETFL, O_NONBLOCK) < 0 ||
            epoll_ctl(epoll_fd, EPOLL_CTL_ADD, LISTENER_FD, &event) < 0)
                err(EXIT_FAILURE, "epoll");

        for (;;) {
                struct epoll_event events[EVENTS_MAX];
                int n = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);

                for (int i = 0; i < n; i++)
                        if (events[i].data.u64 == LISTENER_TOKEN)
                                take_client(epoll_fd);
                        else
                                take_receipt(epoll_fd, events[i].data.u64);
        }
}

int main(int argc, char *argv[]) {
        if (argc != 4)
                errx(EXIT_FAILURE, "Usage: bare plain|receipt stream|seqpacket WORKER");

        set_address(&worker, argv[3]);

        if (strcmp(argv[2], "seqpacket") == 0)
                type = SOCK_SEQPACKET;
        else if (strcmp(argv[2], "stream") != 0)
                errx(EXIT_FAILURE, "No such form: %s", argv[2]);

        if (strcmp(argv[1], "plain") == 0)
                run_plain();
        if (strcmp(argv[1], "receipt") == 0)
                run_receipt();

        errx(EXIT_FAILURE, "No such loop: %s", argv[1]);
}
