/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/tls/renewal.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "basic/address.h"
#include "basic/fd.h"
#include "handoff/handoff.h"

/* Longest name of a file with its NUL (NAME_MAX). systemd makes no longer one of a path, either. */
#define RENEWAL_NAME_SIZE 256

/* Files of one renewal. The sender is root, and more than that would only be a mistake. */
#define RENEWAL_FILES_MAX 10000

#define RENEWAL_RECEIVE_SEC 1
#define RENEWAL_SEND_SEC 10

/* The supervisor waits for each process in turn, and root for the supervisor. */
#define RENEWAL_FORWARD_SEC 3

int renewal_listen(const char *path) {
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        struct sockaddr_un address;
        socklen_t n;
        int r;

        if (fd < 0)
                return -errno;

        r = address_from_path(path, &address, &n);
        if (r < 0)
                return r;

        (void) unlink(path);
        if (bind(fd, (const struct sockaddr *) &address, n) < 0 || listen(fd, 4) < 0)
                return -errno;

        return TAKE_FD(fd);
}

static bool renewal_is_root(int conn_fd) {
        struct ucred sender;

        return getsockopt(conn_fd, SOL_SOCKET, SO_PEERCRED, &sender, &(socklen_t){ sizeof(sender) }) >= 0 && sender.uid == 0;
}

/* Limits the time of each call on the socket. */
static int renewal_set_timeout(int fd, time_t sec) {
        const struct timeval t = { .tv_sec = sec };

        return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) < 0 ||
               setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)) < 0 ? -errno : 0;
}

/* Takes one file. Returns 0, HANDOFF_CLOSED behind the last one, or a negative errno. */
static int renewal_receive_one(int conn_fd, CertificateFiles *files) {
        _cleanup_close_ int fd = -EBADF;
        char name[RENEWAL_NAME_SIZE];
        size_t n;
        int r;

        r = handoff_receive_message(conn_fd, 0, (uint8_t *) name, sizeof(name) - 1, &n, &fd);
        if (r != 0)
                return r == HANDOFF_CLOSED || r < 0 ? r : -EPROTO;

        name[n] = 0;
        return certificate_files_add(files, fd, name);
}

int renewal_receive_files(int conn_fd, CertificateFiles *ret) {
        int r;

        *ret = (CertificateFiles){};
        r = renewal_set_timeout(conn_fd, RENEWAL_RECEIVE_SEC);
        while (r == 0)
                r = ret->n_items < RENEWAL_FILES_MAX ? renewal_receive_one(conn_fd, ret) : -E2BIG;
        if (r < 0) {
                certificate_files_done(ret);
                return r;
        }

        certificate_files_sort(ret);
        return 0;
}

int renewal_receive(int listen_fd, CertificateFiles *ret, int *ret_conn_fd) {
        _cleanup_close_ int conn_fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
        int r;

        *ret = (CertificateFiles){};
        if (conn_fd < 0)
                return -errno;
        if (!renewal_is_root(conn_fd))
                return -EPERM;

        r = renewal_receive_files(conn_fd, ret);
        if (r < 0)
                return r;

        *ret_conn_fd = TAKE_FD(conn_fd);
        return 0;
}

void renewal_answer(int conn_fd) {
        (void) handoff_answer(conn_fd, FDPASS_ANSWER_TAKEN);
        fd_close(conn_fd);
}

static int renewal_send_one(void *userdata, int fd, const char *name) {
        int conn_fd = *(const int *) userdata, r;

        if (fd < 0)
                return fd == -ELOOP ? 0 : fd; /* systemd reads no symbolic links either */
        if (strlen(name) >= RENEWAL_NAME_SIZE)
                return -ENAMETOOLONG;

        do
                r = handoff_send_message(conn_fd, slice_from_string(name), (Slice){}, fd);
        while (r == -EAGAIN && poll(&(struct pollfd){ .fd = conn_fd, .events = POLLOUT }, 1, RENEWAL_FORWARD_SEC * 1000) > 0);
        return r;
}

/* Waits for the answer. */
static int renewal_wait(int conn_fd) {
        uint8_t answer = 0;

        if (shutdown(conn_fd, SHUT_WR) < 0 || recv(conn_fd, &answer, 1, 0) < 0)
                return -errno;

        return answer == FDPASS_ANSWER_TAKEN ? 0 : -ECONNABORTED;
}

int renewal_send(const char *path, const char *directory) {
        _cleanup_close_ int conn_fd = fd_connect_unix(path, SOCK_SEQPACKET);
        int r;

        r = conn_fd < 0 ? conn_fd : renewal_set_timeout(conn_fd, RENEWAL_SEND_SEC);
        if (r >= 0)
                r = certificate_files_walk(directory, renewal_send_one, &conn_fd);

        return r < 0 ? r : renewal_wait(conn_fd);
}

static int renewal_forward_one(int conn_fd, const CertificateFile *f) {
        _cleanup_close_ int fd = memfd_create("certificate", MFD_CLOEXEC);
        ssize_t n;

        if (fd < 0)
                return -errno;

        n = write(fd, f->bytes, f->n);
        if (n < 0 || lseek(fd, 0, SEEK_SET) < 0)
                return -errno;

        return (size_t) n < f->n ? -ENOSPC : renewal_send_one(&conn_fd, fd, f->name);
}

int renewal_forward(int control_fd, const CertificateFiles *files) {
        _cleanup_close_ int own_fd = -EBADF, other_fd = -EBADF;
        int fds[2], r;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;

        own_fd = fds[0];
        other_fd = fds[1];
        r = renewal_set_timeout(own_fd, RENEWAL_FORWARD_SEC);
        if (r >= 0)
                r = handoff_send_message(control_fd, SLICE_LITERAL("r"), (Slice){}, other_fd);

        other_fd = fd_close(other_fd);
        for (size_t i = 0; r >= 0 && i < files->n_items; i++)
                r = renewal_forward_one(own_fd, &files->items[i]);

        return r < 0 ? r : renewal_wait(own_fd);
}
