/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The broker between clients, workers and peers of its return socket that do whatever the input says, in whatever
 * order. Each action is a byte, mostly followed by a byte that says who, and sometimes by a length and bytes to be
 * sent; see act(). At the end everybody is accounted for.
 */

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basic/address.h"
#include "basic/fd.h"
#include "broker-view.h"
#include "broker/handback.h"
#include "handoff/handoff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define N_FDS 192 /* 32 clients */
#define N_ACTORS 8 /* of each sort */
#define ACTIONS_MAX 400

static const char *const workers[] = { "stream", "ack" };
#define N_WORKERS ELEMENTSOF(workers)

static struct {
        struct sockaddr_in port;

        int worker_fds[N_WORKERS];
        int clients[N_ACTORS]; /* their own ends */
        int conns[N_ACTORS];   /* of workers, from the broker */
        int received[N_ACTORS];/* clients, in workers' hands */
        int peers[N_ACTORS];   /* of the return socket */
} own;

static void fuzz_assert(bool is_true) {
        if (!is_true)
                abort();
}

static void path_of(const char *name, struct sockaddr_un *ret, socklen_t *ret_len) {
        char path[64];

        (void) snprintf(path, sizeof(path), "%s/%s", t.directory, name);
        fuzz_assert(address_from_path(path, ret, ret_len) == 0);
}

static int listen_at(const char *name, int type) {
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_un sun;
        socklen_t len;

        path_of(name, &sun, &len);
        (void) unlink(sun.sun_path);
        fuzz_assert(bind(fd, (struct sockaddr *) &sun, len) == 0);
        fuzz_assert(listen(fd, 4) == 0);
        return fd;
}

static int listen_tcp(void) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        socklen_t len = sizeof(own.port);

        own.port = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        fuzz_assert(bind(fd, (struct sockaddr *) &own.port, len) == 0 && listen(fd, 64) == 0);
        fuzz_assert(getsockname(fd, (struct sockaddr *) &own.port, &len) == 0);
        return fd;
}

static char **list_of(const char *value) {
        char **l = calloc(2, sizeof(*l));

        l[0] = strdup(value);
        return l;
}

static Config *make_config(uint8_t variant) {
        static const Transport forms[N_WORKERS] = { TRANSPORT_STREAM, TRANSPORT_SEQPACKET };
        Config *config = calloc(1, sizeof(*config));

        config->routes = calloc(N_WORKERS, sizeof(*config->routes));
        config->n_routes = N_WORKERS;
        config->broker.exit_idle_usec = USEC_INFINITY;
        config->broker.park_timeout_usec = 60 * USEC_PER_SEC;
        config->listener_default = (ListenerConfig){
                .head_timeout_usec = 500 * USEC_PER_MSEC,
                .silent_timeout_usec = 200 * USEC_PER_MSEC,
                .max_head_size = variant & 1 ? 256 : 16384,
                .proxy_protocol = variant & 2 ? PROXY_PROTOCOL_OPTIONAL : PROXY_PROTOCOL_NO,
        };
        if (variant & 2) {
                config->listener_default.trusted_proxies = calloc(1, sizeof(AddressRange));
                config->listener_default.trusted_proxies[0].family = AF_INET;
                config->listener_default.n_trusted_proxies = 1;
        }

        for (size_t i = 0; i < N_WORKERS; i++) {
                RouteConfig *route = &config->routes[i];
                struct sockaddr_un sun;
                socklen_t len;

                path_of(workers[i], &sun, &len);
                *route = (RouteConfig){
                        .unit = strdup(workers[i]),
                        .worker = strdup(sun.sun_path),
                        .transport = forms[i],
                        .metadata = !(variant & 4),
                        .hands_back = true,
                        .receipt = forms[i] == TRANSPORT_SEQPACKET ? RECEIPT_BY_ACK : RECEIPT_BY_KERNEL,
                        .weight = 1,
                        .max_pending = 4,
                        .max_queued = 4,
                        .queue_timeout_usec = 30 * USEC_PER_SEC,
                };
                if (i == 0)
                        continue; /* takes the clients that the other routes leave */
                route->match.hosts = list_of(workers[i]);
                if (variant & 8)
                        route->match.name = strdup(workers[i]);
        }

        return config;
}

static void reload(uint8_t variant) {
        Config *config = make_config(variant);

        if (broker_set_config(t.broker, config) < 0)
                config_free(config);
}

static void start(void) {
        fuzz_assert(broker_new(t.event, t.log, N_FDS, &t.broker) >= 0);
        fuzz_assert(broker_add_listener(t.broker, "public", listen_tcp()) == 0);
        fuzz_assert(handback_listen(t.broker, "return", listen_at("return", SOCK_SEQPACKET)) == 0);
        own.worker_fds[0] = listen_at("stream", SOCK_STREAM);
        own.worker_fds[1] = listen_at("ack", SOCK_SEQPACKET);
        reload(0);
}

static void close_all(int *fds, size_t n) {
        for (size_t i = 0; i < n; i++)
                fds[i] = fd_close_socket(fds[i]);
}

static void stop(void) {
        t.broker = broker_free(t.broker);
        close_all(own.clients, N_ACTORS);
        close_all(own.conns, N_ACTORS);
        close_all(own.received, N_ACTORS);
        close_all(own.peers, N_ACTORS);
        close_all(own.worker_fds, N_WORKERS);
}

/* The input, from its beginning to its end. */
typedef struct Input {
        const uint8_t *p;
        size_t n;
} Input;

static uint8_t next(Input *in) {
        if (in->n == 0)
                return 0;

        in->n--;
        return *in->p++;
}

static Slice next_bytes(Input *in) {
        size_t n = (size_t) next(in) << 8 | next(in);
        Slice s = { in->p, MIN(n, in->n) };

        in->p += s.n;
        in->n -= s.n;
        return s;
}

static int dial(void) {
        const struct linger reset = { .l_onoff = 1 };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        /* No TIME_WAIT: that would soon be all local ports. */
        (void) setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        (void) connect(fd, (struct sockaddr *) &own.port, sizeof(own.port));
        return fd;
}

static int connect_return(void) {
        struct sockaddr_un sun;
        socklen_t len;
        int fd;

        path_of("return", &sun, &len);
        fd = handoff_connect_type(&sun, len, SOCK_SEQPACKET);
        return fd < 0 ? -EBADF : fd;
}

/* With so many descriptors of one thing or another. */
static void send_fds(int to, Slice bytes, int fd, size_t n) {
        union {
                struct cmsghdr header;
                char buffer[CMSG_SPACE(sizeof(int) * 16)];
        } control = {};
        struct iovec iov = { .iov_base = (void *) (uintptr_t) bytes.p, .iov_len = bytes.n };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (n > 0) {
                message.msg_control = &control;
                message.msg_controllen = CMSG_SPACE(sizeof(int) * n);
                control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
                                                   .cmsg_len = CMSG_LEN(sizeof(int) * n) };
                for (size_t i = 0; i < n; i++)
                        memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &fd, sizeof(int));
        }

        (void) !sendmsg(to, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void receive(int conn, int *ret) {
        static uint8_t bytes[FDPASS_MESSAGE_MAX];
        int fds[FDPASS_PERSISTENT_MAX];
        size_t n, n_fds = ELEMENTSOF(fds);
        Message m;

        if (handoff_receive_batch(conn, MSG_DONTWAIT, bytes, sizeof(bytes), &n, fds, &n_fds) != 0)
                return;

        /* A worker can read each message of the broker. */
        fuzz_assert(n == 1 ? bytes[0] == 0 : message_decode(bytes, n, &m) == 0);
        fd_close_socket(*ret);
        *ret = fds[0];
        for (size_t i = 1; i < n_fds; i++)
                fd_close_socket(fds[i]);
}

static void act(Input *in) {
        uint8_t what = next(in), who = next(in), i = who % N_ACTORS;
        Slice bytes;

        switch (what % 16) {

        case 0:
                fd_close(own.clients[i]);
                own.clients[i] = dial();
                break;
        case 1:
                bytes = next_bytes(in);
                (void) !send(own.clients[i], bytes.p, bytes.n, MSG_DONTWAIT | MSG_NOSIGNAL);
                break;
        case 2:
                own.clients[i] = fd_close(own.clients[i]);
                break;
        case 3:
                (void) shutdown(own.clients[i], SHUT_WR);
                break;
        case 4:
                fd_close(own.conns[i]);
                own.conns[i] = accept4(own.worker_fds[who / N_ACTORS % 2], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                break;
        case 5:
                receive(own.conns[i], &own.received[i]);
                break;
        case 6:
                bytes = next_bytes(in);
                send_fds(own.conns[i], bytes, own.peers[i] >= 0 ? STDERR_FILENO : own.conns[i], who >> 6);
                break;
        case 7:
                own.conns[i] = fd_close(own.conns[i]);
                break;
        case 8:
                (void) !recv(own.received[i], (char[64]){ 0 }, who / N_ACTORS, MSG_DONTWAIT);
                break;
        case 9:
                (void) !send(own.received[i], "ok", 2, MSG_DONTWAIT | MSG_NOSIGNAL);
                break;
        case 10:
                own.received[i] = fd_close_socket(own.received[i]);
                break;
        case 11:
                fd_close(own.peers[i]);
                own.peers[i] = who & 128 ? -EBADF : connect_return();
                break;
        case 12: { /* a client, or something else, comes back */
                const int things[] = { own.received[i], own.clients[i], STDERR_FILENO, own.worker_fds[0] };
                int fd = things[who >> 6];

                bytes = next_bytes(in);
                send_fds(own.peers[i], bytes, fd >= 0 ? fd : STDERR_FILENO, next(in) % 16);
                break;
        }
        case 13:
                reload(who);
                break;
        case 14:
                if (who == 0xFE)
                        broker_stop(t.broker);
                break;
        case 15: /* as if clients came quickly, or slowly */
                set_polling(who & 1);
                break;
        default:
                break;
        }

        for (unsigned k = 0; k < 3U + what / 64; k++)
                (void) broker_turn(t.broker, 0);
}

static void set_up(void) {
        (void) snprintf(t.directory, sizeof(t.directory), "/tmp/fuzz-broker-XXXXXX");
        fuzz_assert(mkdtemp(t.directory) != NULL);
        t.log = log_new("fuzz-broker");
        log_set_level(t.log, LOG_EMERG);
        for (size_t i = 0; i < N_ACTORS; i++)
                own.clients[i] = own.conns[i] = own.received[i] = own.peers[i] = -EBADF;
}

static void clean_up(void) {
        static const char *const names[] = { "return", "stream", "ack" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                struct sockaddr_un sun;
                socklen_t len;

                path_of(names[i], &sun, &len);
                (void) unlink(sun.sun_path);
        }
        (void) rmdir(t.directory);
        t.log = log_free(t.log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Input in = { data, size };

        set_up();
        fuzz_assert(sd_event_new(&t.event) >= 0); /* a stopped one can't go on */
        start();
        for (unsigned i = 0; in.n > 0 && i < ACTIONS_MAX; i++) {
                act(&in);
                fuzz_assert(is_account_even());
        }
        stop();
        t.event = sd_event_unref(t.event);
        clean_up();
        return 0;
}
