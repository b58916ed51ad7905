/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A server of HTTP/1.1 that knows nothing of fdpass, for test-follow.c. It keeps connections open, and answers each
 * request with its method, its target and the length of its body.
 *
 *      preload-keeper WAIT [FLAGS]
 *
 * WAIT:    epoll, edge, poll, or threads, in which each client has a thread that blocks
 * FLAGS:   r            reads by read(), writes by write(); otherwise recv(), and writev() for the head and the body
 *          m            recvmsg() and sendmsg()
 *          s            sends bodies by sendfile()
 *          c            answers in chunks
 *          d            closes with delay: shutdown() first, after a request for "last"
 *          e            answers before it reads the body
 *          h, y         after /own/quit: shuts clients down before it closes them, or closes them by syscall(2)
 *          x            after /own/quit: calls exit()
 *          a            looks ahead for the next request, takes an end for none, and begins to wait anew, as Apache does
 *          w            waits anew for each request, as gunicorn does
 *          f, p         at /own/quit: forks, or passes clients to another process that have not said anything
 *          t            tells how the reads from a client ended
 *          z            closes descriptors by close_range(2), o puts its input in their place by dup2(2)
 *          v            has had a second descriptor of each client
 *          n, k, l      sets TCP_NODELAY, SO_KEEPALIVE, SO_LINGER of each client
 *
 * After a request for /own/quit it closes the listener and all clients, as servers do that restart gracefully. After one for
 * /own/tired it closes the other clients only, after a time-out. After one for /own/bye it closes that client,
 * and after one for /own/refuse all that come, before it reads from them.
 *
 * After one for /own/clean it closes all descriptors that it does not know.
 *
 * It looks at the last segment of the path. "upgrade" is answered by 101, and "endless" by a response without a length,
 * whose end is the end of the connection. "empty" gets 204, "same" gets 304, and "events" an event stream of three.
 */

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLIENTS_MAX 1024
#define BUFFER 8192
#define TIMEOUT_USEC 700000 /* the shortest that servers have is about 1 s */

static const char *letters = "";
static int epoll_fd = -1, is_edge, is_quitting, is_tired, is_refusing;

typedef struct Client {
        int fd;
        char head[BUFFER];
        size_t n;    /* bytes in @head */
        size_t left; /* bytes of the body that are to come */
        size_t body; /* bytes of the body */
        int in_body, is_chunked, is_answered, is_new, is_leaving, is_quitting;
} Client;

static Client *clients[CLIENTS_MAX];

static void fail(const char *what) {
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
        exit(1);
}

static int has(char letter) {
        return strchr(letters, letter) != NULL;
}

static ssize_t get(int fd, void *p, size_t n) {
        struct iovec iov = { .iov_base = p, .iov_len = n };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

        return has('r') ? read(fd, p, n) : has('m') ? recvmsg(fd, &m, 0) : recv(fd, p, n, 0);
}

static void send_file(int fd, const char *p, size_t n) {
        int file = memfd_create("body", MFD_CLOEXEC);
        off_t offset = 0;

        if (file < 0 || write(file, p, n) != (ssize_t) n || sendfile(fd, file, &offset, n) != (ssize_t) n)
                fail("sendfile");
        close(file);
}

static void put(int fd, const char *head, const char *body) {
        struct iovec iov[] = { { (void *) (size_t) head, strlen(head) }, { (void *) (size_t) body, strlen(body) } };
        struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };

        if (has('s') && *body) {
                (void) !send(fd, head, strlen(head), MSG_NOSIGNAL | MSG_MORE);
                send_file(fd, body, strlen(body));
        } else if (has('r')) {
                (void) !write(fd, head, strlen(head));
                if (*body)
                        (void) !write(fd, body, strlen(body));
        } else if (has('m'))
                (void) !sendmsg(fd, &m, MSG_NOSIGNAL);
        else
                (void) !writev(fd, iov, 2);
}

/* True if the last segment of the target is @what. */
static int asks_for(const char *target, const char *what) {
        const char *last = strrchr(target, '/');

        return last && strcmp(last + 1, what) == 0;
}

/* Server-sent events: chunks, each when it is due. */
static void put_events(int fd) {
        put(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n", "");
        for (int i = 0; i < 3; i++) {
                (void) usleep(1000);
                put(fd, "9\r\ndata: 1\n\n\r\n", "");
        }
        put(fd, "0\r\n\r\n", "");
}

/* As daemons do, because a descriptor may have been inherited. */
static void clean(void) {
        for (int fd = 4; fd < CLIENTS_MAX; fd++) {
                if (fd == epoll_fd || clients[fd] || fcntl(fd, F_GETFD) < 0)
                        continue;
                if (has('y'))
                        (void) syscall(SYS_close, fd);
                else if (has('z'))
                        (void) close_range((unsigned) fd, (unsigned) fd, 0);
                else if (has('o'))
                        (void) dup2(0, fd);
                else
                        (void) close(fd);
        }
}

static void answer(Client *c) {
        char method[16] = "", target[256] = "", head[256], body[600];
        size_t n;

        sscanf(c->head, "%15s %255s", method, target);
        n = (size_t) snprintf(body, sizeof(body), "%s %s %zu\n", method, target, has('e') ? 0 : c->body);
        if (has('c')) {
                char text[512];

                snprintf(text, sizeof(text), "%.500s", body);
                snprintf(body, sizeof(body), "%zx\r\n%s\r\n0\r\n\r\n", n, text);
                snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        } else
                snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", n);
        if (asks_for(target, "upgrade"))
                snprintf(head, sizeof(head), "HTTP/1.1 101 Switching Protocols\r\n\r\n");
        if (asks_for(target, "endless"))
                snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\n\r\n");

        if (asks_for(target, "empty"))
                snprintf(head, sizeof(head), "HTTP/1.1 204 No Content\r\n\r\n");
        if (asks_for(target, "same"))
                snprintf(head, sizeof(head), "HTTP/1.1 304 Not Modified\r\nContent-Length: 700\r\n\r\n");
        if (asks_for(target, "empty") || asks_for(target, "same"))
                body[0] = '\0';
        if (asks_for(target, "events"))
                put_events(c->fd);
        else
                put(c->fd, head, strcmp(method, "HEAD") == 0 ? "" : body);
        if (has('d') && asks_for(target, "last"))
                (void) shutdown(c->fd, SHUT_WR);
        c->is_answered = 1;
        if (asks_for(target, "clean"))
                clean();
        is_refusing |= asks_for(target, "refuse");
        c->is_leaving = asks_for(target, "bye");
        c->is_quitting = is_quitting = asks_for(target, "quit");
        is_tired = asks_for(target, "tired");
}

static void on_request(Client *c, size_t behind) {
        if (!c->is_answered)
                answer(c);
        memmove(c->head, c->head + behind, c->n - behind);
        c->n -= behind;
        c->in_body = c->is_answered = 0;
        c->body = 0;
}

static void on_head(Client *c) {
        char *length;

        c->head[c->n] = '\0';
        length = strcasestr(c->head, "content-length:");
        c->left = length ? strtoul(length + 15, NULL, 10) : 0;
        c->is_chunked = strcasestr(c->head, "transfer-encoding: chunked") != NULL;
        c->in_body = 1;
        if (strcasestr(c->head, "expect: 100-continue"))
                put(c->fd, "HTTP/1.1 100 Continue\r\n\r\n", "");
        if (has('e') && (c->left > 0 || c->is_chunked))
                answer(c);
}

/* Handles what is in the buffer. A body is dropped, except for its length. */
static void work(Client *c) {
        for (;;) {
                char *end = memmem(c->head, c->n, "\r\n\r\n", 4);
                size_t n_head, k;

                if (!end)
                        return;
                n_head = (size_t) (end + 4 - c->head);
                if (!c->in_body)
                        on_head(c);

                if (c->is_chunked) {
                        char *last = memmem(c->head + n_head, c->n - n_head, "0\r\n\r\n", 5);

                        if (!last)
                                return;
                        c->body = (size_t) (last - c->head) - n_head;
                        on_request(c, n_head + c->body + 5);
                        continue;
                }

                k = c->n - n_head < c->left ? c->n - n_head : c->left;
                memmove(c->head + n_head, c->head + n_head + k, c->n - n_head - k);
                c->n -= k;
                c->left -= k;
                c->body += k;
                if (c->left > 0)
                        return;
                on_request(c, n_head);
        }
}

/* Returns 0 if the client is to be closed, 1 if nothing is there, 2 if something was. */
static int serve(Client *c) {
        ssize_t n = get(c->fd, c->head + c->n, sizeof(c->head) - 1 - c->n);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 1;
        if (n <= 0 && has('t')) {
                puts(n == 0 ? "end" : strerror(errno));
                fflush(stdout);
        }
        if (n <= 0)
                return 0;

        c->n += (size_t) n;
        c->is_new = 0;
        work(c);
        return 2;
}

static void drop(Client *c) {
        close(c->fd);
        free(c);
}

static void *serve_thread(void *p) {
        Client *c = p;

        while (serve(c))
                if (c->is_quitting)
                        exit(0);
        drop(c);
        return NULL;
}

static void set_options(int fd) {
        const struct linger linger = { 1, 1 };
        int on = 1;

        if (has('v'))
                (void) close(dup(fd));
        if (has('n'))
                (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if (has('k'))
                (void) setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
        if (has('l'))
                (void) setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

static Client *new_client(int fd) {
        Client *c = calloc(1, sizeof(*c));

        if (!c)
                fail("calloc");
        c->fd = fd;
        c->is_new = 1;
        set_options(fd);
        return c;
}

static void serve_by_threads(int listener) {
        for (;;) {
                pthread_t thread;
                int fd = accept(listener, NULL, NULL);

                if (fd < 0)
                        continue;
                if (pthread_create(&thread, NULL, serve_thread, new_client(fd)) != 0)
                        fail("pthread_create");
                pthread_detach(thread);
        }
}

static void close_client(int fd) {
        if (has('h'))
                (void) shutdown(fd, SHUT_WR);
        if (has('y'))
                (void) syscall(SYS_close, fd);
        else
                (void) close(fd);
        free(clients[fd]);
        clients[fd] = NULL;
}

/* A child, or a process that has the other end of a pair, might serve the clients. */
static void share(void) {
        int pair[2], status;

        if (has('f')) {
                pid_t pid = fork();

                if (pid == 0)
                        _exit(0);
                if (waitpid(pid, &status, 0) != pid)
                        fail("fork");
        }
        if (has('p') && socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
                fail("socketpair");

        for (int fd = 0; has('p') && fd < CLIENTS_MAX; fd++) {
                union {
                        struct cmsghdr header;
                        char buffer[CMSG_SPACE(sizeof(int))];
                } control = { .header = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
                                          .cmsg_len = CMSG_LEN(sizeof(int)) } };
                struct iovec iov = { .iov_base = (char[]){ 0 }, .iov_len = 1 };
                struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                                    .msg_controllen = sizeof(control) };

                memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
                if (clients[fd] && clients[fd]->is_new && sendmsg(pair[0], &m, 0) < 0)
                        fail("sendmsg");
        }
        if (has('p')) {
                (void) close(pair[0]);
                (void) close(pair[1]);
        }
}

static void quit(void) {
        share();
        if (has('x'))
                exit(0);

        (void) close(3);
        for (int fd = 0; fd < CLIENTS_MAX; fd++)
                if (clients[fd])
                        close_client(fd);
        puts("quit");
        fflush(stdout);
        for (;;)
                (void) pause();
}

static void wait_anew(int fd) {
        struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

        (void) epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, &event);
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
                fail("epoll_ctl");
}

/* The next request has come before the look. */
static void look_ahead(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        char byte;

        if (poll(&p, 1, -1) < 0 || recv(fd, &byte, 1, 0) != 0)
                fail("recv");
        wait_anew(fd);
}

static void serve_event(int fd) {
        int r;

        do
                r = serve(clients[fd]);
        while (r == 2 && is_edge);
        if (r == 2 && has('a'))
                look_ahead(fd);
        if (r == 2 && has('w'))
                wait_anew(fd);

        if (r == 0) {
                drop(clients[fd]);
                clients[fd] = NULL;
                if (has('a')) {
                        puts("dropped");
                        fflush(stdout);
                }
        }
        if (is_quitting)
                quit();
        if (is_tired)
                (void) usleep(TIMEOUT_USEC);
        for (int i = 0; is_tired && i < CLIENTS_MAX; i++)
                if (clients[i] && i != fd)
                        close_client(i);
        is_tired = 0;
        if (clients[fd] && clients[fd]->is_leaving)
                close_client(fd);
}

static void serve_by_epoll(int listener) {
        struct epoll_event event = { .events = EPOLLIN, .data.fd = listener };

        epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) < 0)
                fail("epoll_ctl");

        for (;;) {
                int fd, n = epoll_wait(epoll_fd, &event, 1, -1);

                if (n < 0 && errno != EINTR)
                        fail("epoll_wait");
                if (n <= 0)
                        continue;

                if (event.data.fd != listener) {
                        if (!clients[event.data.fd]) {
                                fprintf(stderr, "an event of a client that is closed\n");
                                exit(1);
                        }
                        serve_event(event.data.fd);
                        continue;
                }

                fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                if (fd < 0)
                        continue;
                if (is_refusing) {
                        (void) close(fd);
                        continue;
                }
                clients[fd] = new_client(fd);
                event = (struct epoll_event){ .events = EPOLLIN | (is_edge ? EPOLLET : 0), .data.fd = fd };
                if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
                        fail("epoll_ctl");
        }
}

static void serve_by_poll(int listener) {
        for (;;) {
                struct pollfd p[CLIENTS_MAX] = { { .fd = listener, .events = POLLIN } };
                nfds_t n = 1;

                for (int fd = 0; fd < CLIENTS_MAX; fd++)
                        if (clients[fd])
                                p[n++] = (struct pollfd){ .fd = fd, .events = POLLIN };
                if (poll(p, n, -1) < 0)
                        continue;

                for (nfds_t i = 1; i < n; i++)
                        if (p[i].revents)
                                serve_event(p[i].fd);
                if (p[0].revents) {
                        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

                        if (fd >= 0)
                                clients[fd] = new_client(fd);
                }
        }
}

int main(int argc, char *argv[]) {
        if (argc < 2)
                return 2;
        if (argc > 2)
                letters = argv[2];

        (void) signal(SIGPIPE, SIG_IGN);
        puts("ready");
        fflush(stdout);

        is_edge = strcmp(argv[1], "edge") == 0;
        if (strcmp(argv[1], "threads") == 0)
                serve_by_threads(3);
        if (strcmp(argv[1], "poll") == 0) {
                (void) fcntl(3, F_SETFL, O_NONBLOCK);
                serve_by_poll(3);
        }
        (void) fcntl(3, F_SETFL, O_NONBLOCK);
        serve_by_epoll(3);
        return 1;
}
