/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The yardstick of persistent connections, as bare.c is of the others: one connection to a worker, all clients
 * that are there in one message, and each copy closed with the worker's receipt.
 *
 *         bare-persistent WORKER
 *
 * The worker is one with fdpass_receive() (server.c). The TCP listener is inherited as file 3.
 */

#include <fcntl.h>
#include <stdbool.h>
#include <sys/epoll.h>

#include "bare.h"

#define COPIES 65536 /* clients have numbers, which wrap here */

static int worker_fd;
static int copies[COPIES];
static uint16_t n_sent, limit;

static int next_client(struct sockaddr_in *ret) {
        socklen_t length = sizeof(*ret);
        int fd = accept4(LISTENER_FD, (struct sockaddr *) ret, &length, SOCK_CLOEXEC);

        if (fd < 0 && errno != EAGAIN)
                err(EXIT_FAILURE, "accept4");
        if (fd >= 0)
                look_at(fd);
        return fd;
}

static uint16_t read_u16(const uint8_t *p) {
        return (uint16_t) (p[0] << 8 | p[1]);
}

/* Returns false if there is no answer. */
static bool take_receipts(int flags) {
        uint8_t answer[8];
        ssize_t n = recv(worker_fd, answer, sizeof(answer), flags);

        if (n < 0 && errno == EAGAIN)
                return false;
        if (n != sizeof(answer) || answer[1] != 1)
                errx(EXIT_FAILURE, "The worker does not take its clients.");

        for (uint16_t i = 0; i < read_u16(answer + 4); i++)
                close(copies[(uint16_t) (read_u16(answer + 2) + i)]);
        limit = read_u16(answer + 6);
        return true;
}

static void begin(const struct sockaddr_un *worker) {
        char header[256];
        struct sockaddr_in address;

        worker_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        if (worker_fd < 0 || connect(worker_fd, (const struct sockaddr *) worker, sizeof(*worker)) < 0)
                err(EXIT_FAILURE, "connect %s", worker->sun_path);

        copies[n_sent++] = next_client(&address);
        send_fds(worker_fd, header, write_header(header, &address, /* is_persistent= */ true), copies, 1);
        (void) take_receipts(/* flags= */ 0);
}

/* Sends all clients that wait, up to FDS_MAX, in one message. */
static void hand_out(void) {
        int fds[FDS_MAX];
        char headers[FDS_MAX * 256];
        size_t n = 0, size = 0;

        while ((int16_t) (limit - n_sent) <= FDS_MAX)
                (void) take_receipts(/* flags= */ 0);

        while (n < FDS_MAX) {
                struct sockaddr_in address;
                int fd = next_client(&address);

                if (fd < 0)
                        break;
                size += write_header(headers + size, &address, /* is_persistent= */ false);
                fds[n++] = copies[n_sent++] = fd;
        }

        if (n > 0)
                send_fds(worker_fd, headers, size, fds, n);
}

int main(int argc, char *argv[]) {
        struct epoll_event event = { .events = EPOLLIN }, events[2];
        struct sockaddr_un worker;
        int epoll_fd;

        if (argc != 2)
                errx(EXIT_FAILURE, "Usage: bare-persistent WORKER");

        set_address(&worker, argv[1]);
        begin(&worker);

        epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        event.data.fd = LISTENER_FD;
        if (fcntl(LISTENER_FD, F_SETFL, O_NONBLOCK) < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, LISTENER_FD, &event) < 0)
                err(EXIT_FAILURE, "epoll");
        event.data.fd = worker_fd;
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, worker_fd, &event) < 0)
                err(EXIT_FAILURE, "epoll");

        for (;;) {
                int n = epoll_wait(epoll_fd, events, 2, -1);

                for (int i = 0; i < n; i++)
                        if (events[i].data.fd == LISTENER_FD)
                                hand_out();
                        else
                                while (take_receipts(MSG_DONTWAIT))
                                        ;
        }
}
