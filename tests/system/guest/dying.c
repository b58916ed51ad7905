/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A worker that kills itself in the midst of its work, on purpose: at the moment, and as often, as the file says that
 * it is given. It writes down what it does with each client, before it may die, so that it is known afterwards what
 * each client went through. systemd passes the socket as fd 3.
 *
 *         dying DIRECTORY
 *
 * DIRECTORY/cell says "MOMENT CHANCE RECEIPT": one of the names below, the chance in 1/1000, and how it gives the
 * receipt: "kernel", "ack" (the route has Receipt=ack), or "persistent": the same, by libfdpass on persistent connections,
 * so that more clients may be on their way to a worker when it dies. DIRECTORY/count is how often somebody came, in all processes together: whether the n-th time ends in
 * a death depends on n alone. DIRECTORY/log has lines "PID EVENT CLIENT".
 */

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fdpass.h>

#define LISTENER_FD 3
#define CREDITS 8
#define MESSAGE_MAX 81920

/* In the order in which they come. */
typedef enum Moment {
        BEFORE_ACCEPT,
        AFTER_ACCEPT,
        AFTER_RECVMSG,
        AFTER_ANSWER,
        AFTER_READING,
        IN_MID_WRITE,
        _MOMENT_MAX,
} Moment;

static const char *const moment_names[_MOMENT_MAX] = {
        "before-accept", "after-accept", "after-recvmsg", "after-answer", "after-reading", "in-mid-write",
};

static struct {
        int log_fd, count_fd;
        Moment moment;
        unsigned chance;
        bool by_ack;
        struct fdpass_receiver *receiver; /* NULL: a connection for each client */
        bool dies;  /* when the moment comes */
        bool early; /* the receipt comes before the client is served, or behind: the broker has to cope with both */
} w;

/* What the receipt is given by. */
typedef struct Handoff {
        int conn_fd;
        struct fdpass *object;
} Handoff;

static void note(const char *event, const char *client) {
        char line[256];
        int n = snprintf(line, sizeof(line), "%d %s %s\n", (int) getpid(), event, client);

        if (write(w.log_fd, line, (size_t) n) != n)
                err(EXIT_FAILURE, "log");
}

/* A good mixer of 64 bits (splitmix64); the case knows it too. */
static uint64_t mix(uint64_t x) {
        x += 0x9e3779b97f4a7c15;
        x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
        x = (x ^ x >> 27) * 0x94d049bb133111eb;
        return x ^ x >> 31;
}

/* The size of a file that every process appends to is a counter that outlives them all. */
static uint64_t count(void) {
        off_t n;

        if (flock(w.count_fd, LOCK_EX) < 0 || (n = lseek(w.count_fd, 0, SEEK_END)) < 0 ||
            write(w.count_fd, "x", 1) != 1 || flock(w.count_fd, LOCK_UN) < 0)
                err(EXIT_FAILURE, "count");

        return (uint64_t) n;
}

static void reach(Moment moment, const char *client) {
        if (!w.dies || moment != w.moment)
                return;

        note("dies", client);
        (void) kill(getpid(), SIGKILL);
}

static int receive(int conn_fd) {
        static char message[MESSAGE_MAX];
        union {
                struct cmsghdr header;
                char bytes[CMSG_LEN(sizeof(int))];
        } control;
        struct iovec iov = { message, sizeof(message) };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.bytes) };
        int fd;

        if (recvmsg(conn_fd, &m, MSG_CMSG_CLOEXEC) <= 0 || !CMSG_FIRSTHDR(&m))
                return -1; /* the broker thought better of it */

        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
        return fd;
}

static void name_of(int client_fd, char *ret, socklen_t size) {
        struct sockaddr_storage ss;
        socklen_t length = sizeof(ss);

        strcpy(ret, "gone");
        if (getpeername(client_fd, (struct sockaddr *) &ss, &length) < 0)
                return;

        if (ss.ss_family == AF_INET6)
                (void) inet_ntop(AF_INET6, &((struct sockaddr_in6 *) &ss)->sin6_addr, ret, size);
        else
                (void) inet_ntop(AF_INET, &((struct sockaddr_in *) &ss)->sin_addr, ret, size);
}

/* The receipt. */
static void answer(const Handoff *h, const char *client) {
        if (h->object) {
                (void) fdpass_taken(h->object);
                fdpass_free(h->object);
        } else {
                if (w.by_ack)
                        (void) !send(h->conn_fd, "\1", 1, MSG_NOSIGNAL);
                close(h->conn_fd);
        }
        note("taken", client);
}

static bool read_request(int client_fd, char *request, size_t size) {
        size_t n = 0;

        do {
                ssize_t k = recv(client_fd, request + n, size - 1 - n, 0);

                if (k <= 0)
                        return false;
                n += (size_t) k;
                request[n] = '\0';
        } while (!strstr(request, "\r\n\r\n"));

        return true;
}

/* The path comes back, so that the client knows that the answer is for it. */
static void serve(int client_fd, const char *client) {
        char request[4096], path[256] = "", response[512];

        if (!read_request(client_fd, request, sizeof(request))) {
                note("left", client);
                return;
        }
        note("read", client);
        reach(AFTER_READING, client);

        (void) sscanf(request, "GET %255s", path);
        int n = snprintf(response, sizeof(response), "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s\n",
                         strlen(path) + 1, path);

        (void) !send(client_fd, response, (size_t) n / 2, MSG_NOSIGNAL);
        note("wrote", client);
        reach(IN_MID_WRITE, client);
        (void) !send(client_fd, response + n / 2, (size_t) (n - n / 2), MSG_NOSIGNAL);
}

static void wait_for_client(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        if (poll(&p, 1, -1) < 0)
                err(EXIT_FAILURE, "poll");
}

static void decide(void) {
        uint64_t random = mix(count());

        w.dies = random % 1000 < w.chance;
        w.early = w.moment == AFTER_ANSWER || random >> 32 & 1;
        note("comes", "-");
}

/* Returns the client, or a negative number where the broker thought better of it. */
static int accept_one(Handoff *h) {
        int fd;

        wait_for_client(LISTENER_FD);
        decide();
        reach(BEFORE_ACCEPT, "-");

        h->conn_fd = accept4(LISTENER_FD, NULL, NULL, SOCK_CLOEXEC);
        if (h->conn_fd < 0)
                err(EXIT_FAILURE, "accept");
        reach(AFTER_ACCEPT, "-");

        fd = receive(h->conn_fd);
        if (fd < 0)
                close(h->conn_fd);
        return fd;
}

/* The same with libfdpass, which may have some already. */
static int receive_one(Handoff *h) {
        static bool has_more;
        int fd;

        if (!has_more)
                wait_for_client(fdpass_receiver_fd(w.receiver));
        if (w.moment == BEFORE_ACCEPT) {
                decide();
                reach(BEFORE_ACCEPT, "-");
        }

        fd = fdpass_receive(w.receiver, SOCK_CLOEXEC | FDPASS_DEFER, &h->object);
        has_more = fd != -EAGAIN;
        if (fd >= 0 && w.moment != BEFORE_ACCEPT)
                decide();
        return fd;
}

static void take_one(void) {
        char client[INET6_ADDRSTRLEN];
        Handoff h = { .conn_fd = -1 };
        int client_fd;

        client_fd = w.receiver ? receive_one(&h) : accept_one(&h);
        if (client_fd < 0)
                return;

        name_of(client_fd, client, sizeof(client));
        note("got", client);
        reach(AFTER_RECVMSG, client);

        if (w.early)
                answer(&h, client);
        reach(AFTER_ANSWER, client);

        serve(client_fd, client);
        if (!w.early)
                answer(&h, client);
        note("done", client); /* first: the case looks for it as soon as it has seen the end */
        close(client_fd);
}

static void read_cell(void) {
        char name[32], receipt[32];
        FILE *f = fopen("cell", "re");

        if (!f || fscanf(f, "%31s %u %31s", name, &w.chance, receipt) != 3)
                errx(EXIT_FAILURE, "No cell that says what to do");
        fclose(f);

        w.by_ack = strcmp(receipt, "ack") == 0;
        if (strcmp(receipt, "persistent") == 0 &&
            (fcntl(LISTENER_FD, F_SETFL, O_NONBLOCK) < 0 || fdpass_receiver_new(LISTENER_FD, CREDITS, &w.receiver) < 0))
                errx(EXIT_FAILURE, "No receiver");

        while (strcmp(name, moment_names[w.moment]) != 0)
                if (++w.moment == _MOMENT_MAX)
                        errx(EXIT_FAILURE, "No such moment: %s", name);
}

int main(int argc, char *argv[]) {
        if (argc != 2 || chdir(argv[1]) < 0)
                errx(EXIT_FAILURE, "Usage: dying DIRECTORY");

        read_cell();
        w.log_fd = open("log", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        w.count_fd = open("count", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        if (w.log_fd < 0 || w.count_fd < 0)
                err(EXIT_FAILURE, "open");

        for (;;)
                take_one();
}
