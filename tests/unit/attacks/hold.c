/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Holds the lock of a socket or an epoll that another process needs, by a page on which faults wait (hold.h).
 *
 *   hold SOCKET DIRECTORY PAGE ACT
 *
 * PAGE is fuse, userfaultfd, memfd or memfd-short. ACT says what to do with the descriptor that comes on SOCKET, an AF_UNIX stream:
 *
 *   send   send(2) from the page: holds the socket's lock
 *   epoll  epoll_wait(2) into the page, and this process closes its copy: the last close(2) waits for the epoll's lock
 *   file   a byte comes, and no descriptor: that of a FUSE file goes out on SOCKET, whose every close(2) waits
 *
 * It says "r" when it is ready and "h" when the lock is held (memfd: about to be). With memfd, whose page is given in the
 * end, it takes one descriptor after the other. It ends when SOCKET does.
 */

#include "hold.h"

#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/param.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define NOBODY 65534

/* Processes for hold_memfd(). */
#define LONG_HOLE 3
#define SHORT_HOLE 1

#define WANTED_MSEC 5000
#define HOLE_BEGINS_USEC 2000

static HoldPage page;
static int held_fd, epoll_fd;
static atomic_bool is_punching;
static atomic_int sender_id;

void hold_become_nobody(void) {
        if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
                err(HOLD_SKIPPED, "nobody");

        /* After the change of the user, which clears it. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
}

typedef union Control {
        struct cmsghdr header;
        char p[CMSG_SPACE(sizeof(int))];
} Control;

static void hold_say(int fd, const char *word, int with_fd) {
        struct iovec iov = { (void *) (uintptr_t) word, 1 };
        Control control = {};
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (with_fd >= 0) {
                m.msg_control = &control;
                m.msg_controllen = sizeof(control);
                control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET,
                                                   .cmsg_type = SCM_RIGHTS };
                memcpy(CMSG_DATA(&control.header), &with_fd, sizeof(int));
        }
        if (sendmsg(fd, &m, MSG_NOSIGNAL) != 1)
                err(EXIT_FAILURE, "sendmsg");
}

static int hold_receive(int fd) {
        char byte;
        int r;
        struct iovec iov = { &byte, 1 };
        Control control = {};
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };

        if (recvmsg(fd, &m, 0) != 1 || !CMSG_FIRSTHDR(&m))
                _exit(EXIT_SUCCESS); /* the other side has ended */
        memcpy(&r, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
        return r;
}

static void *hold_send(void *unused) {
        sender_id = gettid();
        (void) !send(held_fd, page.address, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        return NULL;
}

static void *hold_epoll(void *unused) {
        (void) epoll_wait(epoll_fd, (struct epoll_event *) page.address, 1, -1);
        return NULL;
}

static void *hold_punch(void *unused) {
        page.punch();
        is_punching = false;
        return NULL;
}

static pthread_t hold_thread(void *(*function)(void *)) {
        pthread_t thread;
        int r = pthread_create(&thread, NULL, function, NULL);

        if (r != 0)
                errx(EXIT_FAILURE, "pthread_create: %s", strerror(r));
        return thread;
}

static void hold_add_to_epoll(void) {
        epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, held_fd, &(struct epoll_event){ .events = EPOLLIN | EPOLLOUT }) < 0)
                err(EXIT_FAILURE, "epoll");
}

/* Returns when the page is wanted. */
static void hold_begin(void *(*act)(void *)) {
        struct pollfd p = { .fd = page.wanted_fd, .events = POLLIN };

        (void) hold_thread(act);
        if (poll(&p, 1, WANTED_MSEC) <= 0)
                errx(EXIT_FAILURE, "nothing wants the page");
}

/* State D is that of a fault that waits for the end of a hole. */
static bool hold_waits(pid_t thread) {
        char path[64], text[256];
        int fd, n;

        snprintf(path, sizeof(path), "/proc/self/task/%i/stat", thread);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? 0 : (int) read(fd, text, sizeof(text) - 1);
        close(fd);
        text[MAX(n, 0)] = 0;
        return strstr(text, ") D ");
}

/* Returns false where the fault came too early or too late. The hole is slow because of its first page. */
static bool hold_in_hole(int socket_fd) {
        pthread_t hole, sender;
        bool r = false;

        is_punching = true;
        sender_id = 0;
        hole = hold_thread(hold_punch);
        usleep(HOLE_BEGINS_USEC);
        sender = hold_thread(hold_send);

        while (is_punching && !r)
                r = sender_id > 0 && hold_waits(sender_id);
        if (r)
                hold_say(socket_fd, "h", -1);

        pthread_join(hole, NULL);
        pthread_join(sender, NULL);
        page.punch(); /* the page was given in the end */
        return r;
}

static void hold_through_holes(int socket_fd) {
        for (;;) {
                held_fd = hold_receive(socket_fd);
                while (!hold_in_hole(socket_fd))
                        ;
                close(held_fd);
        }
}

static void hold_descriptor(int socket_fd, bool in_epoll) {
        if (page.punch)
                hold_through_holes(socket_fd);

        held_fd = hold_receive(socket_fd);
        if (in_epoll)
                hold_add_to_epoll();
        hold_begin(in_epoll ? hold_epoll : hold_send);
        if (in_epoll)
                close(held_fd);
        hold_say(socket_fd, "h", -1);
}

/* Only the process that asks for it has the file then: the end of any other one would wait as well. */
static void hold_send_file(int socket_fd, int file_fd) {
        if (read(socket_fd, &(char){ 0 }, 1) == 1)
                hold_say(socket_fd, "f", file_fd);
}

static void hold_prepare(int socket_fd, const char *directory, const char *kind, bool flush, int *ret_file_fd) {
        if (strcmp(kind, "fuse") == 0)
                hold_fuse(directory, flush, socket_fd, &page, ret_file_fd);
        else if (strcmp(kind, "userfaultfd") == 0)
                hold_userfaultfd(&page);
        else if (strcmp(kind, "memfd") == 0)
                hold_memfd(LONG_HOLE, &page);
        else
                hold_memfd(SHORT_HOLE, &page);

        hold_become_nobody();
}

int main(int argc, char **argv) {
        int socket_fd, file_fd = -1;
        bool is_file;

        if (argc != 5)
                errx(EXIT_FAILURE, "usage: hold SOCKET DIRECTORY PAGE ACT");
        socket_fd = atoi(argv[1]);
        is_file = strcmp(argv[4], "file") == 0;

        hold_prepare(socket_fd, argv[2], argv[3], is_file, &file_fd);
        hold_say(socket_fd, "r", -1);
        if (is_file)
                hold_send_file(socket_fd, file_fd);
        else
                hold_descriptor(socket_fd, strcmp(argv[4], "epoll") == 0);

        /* Nothing more comes: this waits for the end of the other side. */
        (void) !read(socket_fd, &(char){ 0 }, 1);
        _exit(EXIT_SUCCESS);
}
