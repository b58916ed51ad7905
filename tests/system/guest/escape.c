/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A worker that was broken into: escape [confine] PORT
 *
 * It takes its clients as the service that it stands in the place of would. A client's request names a way out of the
 * sandbox ("GET /?connect"), which is tried with the client's own socket. A line on stderr says "escape: WAY: open", or the error.
 * PORT is that of a service on the host's 127.0.0.1. With "confine" it has called fdpass_confine() before.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <fdpass.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef MSG_FASTOPEN
#define MSG_FASTOPEN 0x20000000
#endif

static struct sockaddr_in6 service; /* as a socket for both families has it; one of IPv4 alone wants the end of it */

static int error_of(long r) {
        return r < 0 ? errno : 0;
}

static int disconnect(int fd) {
        struct sockaddr none = { .sa_family = AF_UNSPEC };

        return error_of(connect(fd, &none, sizeof(none)));
}

static socklen_t service_for(int fd, struct sockaddr_storage *ret) {
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = service.sin6_port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t length = sizeof(int);
        int domain = 0;

        /* Not getsockopt(3): the preload shows the family of the listener. */
        (void) syscall(__NR_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &length);
        if (domain == AF_INET)
                memcpy(ret, &in, sizeof(in));
        else
                memcpy(ret, &service, sizeof(service));
        return domain == AF_INET ? sizeof(in) : sizeof(service);
}

static int try_connect(int fd) {
        struct sockaddr_storage address;
        socklen_t length = service_for(fd, &address);

        return disconnect(fd) ?: error_of(connect(fd, (struct sockaddr *) &address, length));
}

static int try_bind(int fd) {
        struct sockaddr_in any = { .sin_family = AF_INET };
        struct sockaddr_in6 any6 = { .sin6_family = AF_INET6 };
        int r = disconnect(fd);

        if (r == 0)
                r = error_of(bind(fd, (struct sockaddr *) &any6, sizeof(any6)));
        if (r == EAFNOSUPPORT)
                r = error_of(bind(fd, (struct sockaddr *) &any, sizeof(any)));
        return r;
}

static int try_listen(int fd) {
        return disconnect(fd) ?: error_of(listen(fd, 5));
}

static int try_listen_alone(int fd) {
        return error_of(listen(fd, 5));
}

static int fast_open(int fd) {
        struct sockaddr_storage address;
        socklen_t length = service_for(fd, &address);

        return error_of(sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *) &address, length));
}

static int try_fastopen(int fd) {
        (void) disconnect(fd);
        return fast_open(fd);
}

/* The socket is shut down and read to its end before. */
static int try_closed(int fd) {
        char buffer[512];

        (void) shutdown(fd, SHUT_RDWR);
        while (recv(fd, buffer, sizeof(buffer), 0) > 0)
                ;
        return fast_open(fd);
}

static int try_io_uring(int fd) {
        struct io_uring_params parameters = {};

        (void) fd;
        return error_of(syscall(__NR_io_uring_setup, 4, &parameters));
}

static int try_fuse(int fd) {
        (void) fd;
        return error_of(open("/dev/fuse", O_RDWR | O_CLOEXEC));
}

static int try_userfaultfd(int fd) {
        (void) fd;
        return error_of(syscall(__NR_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */));
}

static int try_userns(int fd) {
        (void) fd;
        return error_of(unshare(CLONE_NEWUSER));
}

/* A service over AF_UNIX is no way out, and may stay. */
static int try_unix(int fd) {
        struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/stdout" };

        (void) fd;
        return error_of(connect(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), (struct sockaddr *) &name, sizeof(name)));
}

static const struct {
        const char *name;
        int (*try)(int fd);
} ways[] = {
        { "connect", try_connect },         { "bind", try_bind },           { "listen", try_listen },
        { "listen-alone", try_listen_alone }, { "fastopen", try_fastopen }, { "closed", try_closed },
        { "io_uring", try_io_uring },       { "fuse", try_fuse },           { "userfaultfd", try_userfaultfd },
        { "userns", try_userns },           { "unix", try_unix },
};

static void serve(int fd) {
        char request[4096] = "", *way;
        size_t n = 0;

        while (!strstr(request, "\r\n\r\n") && n < sizeof(request) - 1) {
                ssize_t r = recv(fd, request + n, sizeof(request) - 1 - n, 0);

                if (r <= 0)
                        break;
                n += (size_t) r;
        }

        way = strchr(request, '?') ?: request;
        way[strcspn(way, " ")] = '\0';
        for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
                if (*way == '?' && strcmp(way + 1, ways[i].name) == 0) {
                        int r = ways[i].try(fd);

                        dprintf(STDERR_FILENO, "escape: %s: %s\n", ways[i].name, r == 0 ? "open" : strerrorname_np(r));
                }
        close(fd);
}

/* As a server does that fdpass-preload.so is loaded into, with a listener for each family. */
static int open_port(int family, int port) {
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t) port) };
        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t) port) };
        int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int r = family == AF_INET ? bind(fd, (struct sockaddr *) &in, sizeof(in))
                                  : bind(fd, (struct sockaddr *) &in6, sizeof(in6));

        if (r < 0 || listen(fd, 5) < 0)
                perror("escape: no port");
        return fd;
}

static int next_client(int fd) {
        int client = fdpass_accept(fd, SOCK_CLOEXEC, NULL);

        /* The exporter's socket is one of TCP. */
        return client == -EOPNOTSUPP || client == -ENOTSOCK ? accept4(fd, NULL, NULL, SOCK_CLOEXEC) : client;
}

int main(int argc, char *argv[]) {
        const char *port = getenv("FDPASS_LISTEN");
        int fd = 3, is_confined = argc > 2;

        service = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons((uint16_t) atoi(argv[argc - 1])) };
        (void) inet_pton(AF_INET6, "::ffff:127.0.0.1", &service.sin6_addr);
        if (is_confined)
                dprintf(STDERR_FILENO, "escape: confined: %i\n", fdpass_confine(FDPASS_MAY_CONNECT));

        if (!getenv("LISTEN_FDS")) { /* run by fdpass-exec */
                serve(STDIN_FILENO);
                return 0;
        }

        if (port) {
                fd = open_port(AF_INET, atoi(port));
                (void) open_port(AF_INET6, atoi(port));
        }

        for (;;) {
                int client = port ? accept4(fd, NULL, NULL, SOCK_CLOEXEC) : next_client(fd);

                if (client >= 0)
                        serve(client);
        }
}
