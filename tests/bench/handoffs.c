/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * So many handoffs, one after the other, by a broker in this process: what `instructions` counts. Client and worker
 * are in this process too, and do their part only when the broker sleeps, so that it does the same each time.
 *
 *         handoffs stream|seqpacket|connections|persistent NUMBER
 *
 * "connections" is seqpacket with the kernel's reports: the end of each connection is read in the next turn.
 */

#include <err.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "basic/address.h"
#include "basic/fd.h"
#include "broker/live.h"
#include "broker-view.h"
#include "connections/store.h"
#include "handoff/handoff.h"
#include "helper/internal.h"

#define N_FDS 1024
#define TURN_USEC (10 * USEC_PER_SEC)

static const char request[] =
        "GET /bench HTTP/1.1\r\n"
        "Host: bench.example\r\n"
        "User-Agent: handoffs\r\n"
        "Accept: */*\r\n"
        "\r\n";

typedef struct Form {
        const char *name;
        Transport transport;
        int type;
        bool is_persistent;
        bool is_tracked;
} Form;

static const Form forms[] = {
        { "stream",    TRANSPORT_STREAM,    SOCK_STREAM,    false, false },
        { "seqpacket", TRANSPORT_SEQPACKET, SOCK_SEQPACKET, false, false },
        { "connections", TRANSPORT_SEQPACKET, SOCK_SEQPACKET, false, true },
        { "persistent", TRANSPORT_SEQPACKET, SOCK_SEQPACKET, true, false },
};

static struct {
        const Form *form;
        struct sockaddr_in public;
        int worker_fd;
        int persistent_fd;
        uint16_t n_persistent;
        int reports_fd; /* borrowed */
} own = { .persistent_fd = -EBADF };

static void check(int r, const char *what) {
        if (r < 0)
                errx(EXIT_FAILURE, "%s: %s", what, strerror(r == -1 ? errno : -r));
}

static const char *path_of(const char *name) {
        static char path[128];

        (void) snprintf(path, sizeof(path), "%s/%s", t.directory, name);
        return path;
}

/* By hand: valgrind knows no openat2(2), with which units are read. */
static Config *make_config(void) {
        Config *config = calloc(1, sizeof(*config));

        config->routes = calloc(1, sizeof(*config->routes));
        config->n_routes = 1;
        config->routes[0] = (RouteConfig){
                .unit = strdup("a.socket"),
                .worker = strdup(path_of("a")),
                .transport = own.form->transport,
                .metadata = true,
                .hands_back = true,
                .weight = 1,
                .max_pending = 64,
                .max_queued = 64,
                .queue_timeout_usec = TURN_USEC,
        };
        config->routes[0].match.hosts = calloc(2, sizeof(char *));
        config->routes[0].match.hosts[0] = strdup("bench.example");

        config->broker.exit_idle_usec = USEC_INFINITY;
        config->broker.park_timeout_usec = TURN_USEC;
        config->listener_default = (ListenerConfig){
                .head_timeout_usec = TURN_USEC,
                .silent_timeout_usec = TURN_USEC,
                .max_head_size = 16384,
        };
        return config;
}

static void listen_as_worker(void) {
        struct sockaddr_un sun;
        socklen_t len;

        check(address_from_path(path_of("a"), &sun, &len), "address");
        own.worker_fd = socket(AF_UNIX, own.form->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        check(bind(own.worker_fd, (struct sockaddr *) &sun, len), "bind");
        check(listen(own.worker_fd, 16), "listen");
}

static int listen_in_public(void) {
        socklen_t len = sizeof(own.public);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        own.public = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        check(bind(fd, (struct sockaddr *) &own.public, len), "bind");
        check(listen(fd, 16), "listen");
        check(getsockname(fd, (struct sockaddr *) &own.public, &len), "getsockname");
        return fd;
}

/* As fdpass-connections.socket, without a memfd of another process. */
static void track(void) {
        const struct sockaddr_nl groups = {
                .nl_family = AF_NETLINK,
                .nl_groups = 1 << (SKNLGRP_INET_TCP_DESTROY - 1) | 1 << (SKNLGRP_INET6_TCP_DESTROY - 1),
        };
        int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
        ConnectionStore *store;

        check(fd, "socket");
        check(bind(fd, (const struct sockaddr *) &groups, sizeof(groups)), "bind");
        check(connection_store_new(&store), "connection_store_new");
        check(live_new(t.broker, fd, store), "live_new");
        own.reports_fd = fd;
}

static void start(void) {
        /* Not below /tmp: where others may put links, the way to a worker costs more (broker/reach.h). */
        strcpy(t.directory, "/run/handoffs-XXXXXX");
        if (!mkdtemp(t.directory))
                err(EXIT_FAILURE, "%s", t.directory);
        listen_as_worker();

        check(sd_event_new(&t.event), "sd_event_new");
        t.log = log_new("handoffs");
        check(broker_new(t.event, t.log, N_FDS, &t.broker), "broker_new");
        /* Without a process, because valgrind can't run that. */
        check(helper_new_here(N_FDS, sizeof(SocketTask), socket_task_run, &t.helper), "helper_new_here");
        check(broker_set_helper(t.broker, t.helper), "broker_set_helper");
        never_poll(); /* how quickly clients come depends on the machine */
        check(broker_add_listener(t.broker, "public", listen_in_public()), "broker_add_listener");

        if (own.form->is_tracked)
                track();
        check(broker_set_config(t.broker, make_config()), "broker_set_config");
}

static void stop(void) {
        t.broker = broker_free(t.broker);
        t.helper = helper_free(t.helper);
        t.log = log_free(t.log);
        t.event = sd_event_unref(t.event);
        fd_close(own.persistent_fd);
        fd_close(own.worker_fd);
        (void) unlink(path_of("a"));
        (void) rmdir(t.directory);
}

/* The broker's turns, until so many were accepted and handed over: what is done in here is counted. */
__attribute__((noinline)) static void turn(uint64_t to_accept, uint64_t to_take) {
        while (t.broker->n.n_accepted < to_accept || t.broker->n.n_taken < to_take)
                check(broker_turn(t.broker, TURN_USEC), "broker_turn");
}

/* Waits until the kernel has reported the end. It does so in a thread of its own. */
static void await_report(void) {
        struct pollfd reports = { .fd = own.reports_fd, .events = POLLIN };

        if (own.form->is_tracked && poll(&reports, 1, 10000) != 1)
                errx(EXIT_FAILURE, "The kernel reports no end.");
}

static void take_from(int fd) {
        uint8_t buffer[FDPASS_HEADER_MAX];
        int client_fd;
        size_t n;

        if (handoff_receive_message(fd, 0, buffer, sizeof(buffer), &n, &client_fd) != 0)
                errx(EXIT_FAILURE, "The worker gets no client.");
        fd_close(client_fd);
}

static void take(void) {
        int fd = accept4(own.worker_fd, NULL, NULL, SOCK_CLOEXEC);

        /* Some clients come on another connection, because the broker looks for further processes of the worker. */
        bool is_first = fd >= 0 && own.persistent_fd < 0;

        if (fd < 0)
                fd = own.persistent_fd;
        check(fd, "accept4");
        take_from(fd);

        if (own.form->is_persistent && (is_first || fd == own.persistent_fd)) {
                own.persistent_fd = fd;
                check(handoff_answer_persistent(fd, FDPASS_ANSWER_TAKEN, own.n_persistent, 1, (uint16_t) (own.n_persistent + 16)), "answer");
                own.n_persistent++;
        } else
                fd_close(fd);
}

static void hand_over(uint64_t i) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        check(connect(fd, (struct sockaddr *) &own.public, sizeof(own.public)), "connect");
        check((int) send(fd, request, sizeof(request) - 1, 0), "send");
        turn(i + 1, i);
        take();
        turn(i + 1, i + 1);
        helper_work_here(t.helper); /* in fdpassd another process does that */

        /* With a reset, which leaves no TIME_WAIT behind. */
        (void) setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
        fd_close(fd);
        await_report();
}

int main(int argc, char *argv[]) {
        uint64_t n = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;

        for (size_t i = 0; i < ELEMENTSOF(forms) && argc == 3; i++)
                if (streq(argv[1], forms[i].name))
                        own.form = &forms[i];
        if (!own.form || n == 0)
                errx(EXIT_FAILURE, "Usage: handoffs stream|seqpacket|connections|persistent NUMBER");

        start();
        for (uint64_t i = 0; i < n; i++)
                hand_over(i);
        stop();
        return 0;
}
