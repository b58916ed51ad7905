/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The parts of fdpass-proxy: addresses of backends, what they are told, and one direction of a connection. */

#include "handoff-fixture.h"

#include <arpa/inet.h>
#include <linux/vm_sockets.h>
#include <sys/ioctl.h>

#include "workers/proxy-backend.h"
#include "workers/proxy-flow.h"
#include "workers/proxy-header.h"

/* The parts of an address. */

static void assert_address(const char *text, int family, const char *host, unsigned port) {
        Backends b = {};
        char name[INET6_ADDRSTRLEN] = "";

        assert_int_equal(backends_add(&b, text), 0);
        assert_int_equal(b.items[0].n_addresses, 1);

        const BackendAddress *a = &b.items[0].addresses[0];
        assert_int_equal(a->sa.sa_family, family);
        if (family == AF_INET) {
                assert_string_equal(inet_ntop(family, &a->in.sin_addr, name, sizeof(name)), host);
                assert_int_equal(ntohs(a->in.sin_port), port);
        } else if (family == AF_INET6) {
                assert_string_equal(inet_ntop(family, &a->in6.sin6_addr, name, sizeof(name)), host);
                assert_int_equal(ntohs(a->in6.sin6_port), port);
        }
        backends_done(&b);
}

static void test_addresses(void **state) {
        assert_address("192.0.2.1:80", AF_INET, "192.0.2.1", 80);
        assert_address("192.0.2.1", AF_INET, "192.0.2.1", 0);
        assert_address("[2001:db8::1]:65535", AF_INET6, "2001:db8::1", 65535);
        assert_address("[2001:db8::1]", AF_INET6, "2001:db8::1", 0);
        assert_address("2001:db8::1", AF_INET6, "2001:db8::1", 0);
        assert_address("/run/app.sock", AF_UNIX, NULL, 0);
        assert_address("web=192.0.2.1:80", AF_INET, "192.0.2.1", 80);
        assert_address("vsock:3:1024", AF_VSOCK, NULL, 0);
}

static void test_unix_addresses(void **state) {
        _cleanup_(backends_done) Backends b = {};

        assert_int_equal(backends_add(&b, "/run/a=b"), 0);
        assert_null(b.items[0].socket_name);
        assert_string_equal(b.items[0].addresses[0].un.sun_path, "/run/a=b");

        /* An abstract name has a length, and no NUL at its end. */
        assert_int_equal(backends_add(&b, "@abc"), 0);
        assert_memory_equal(b.items[1].addresses[0].un.sun_path, "\0abc", 4);
        assert_int_equal(b.items[1].addresses[0].length, offsetof(struct sockaddr_un, sun_path) + 4);
}

static void test_names(void **state) {
        _cleanup_(backends_done) Backends b = {};
        const Backend *which;
        const char *why;

        assert_int_equal(backends_add(&b, "localhost:81"), 0);
        assert_string_equal(b.items[0].host, "localhost");
        assert_int_equal(b.items[0].n_addresses, 0);
        assert_int_equal(backends_resolve(&b, &which, &why), 0);
        assert_true(b.items[0].n_addresses > 0);
        assert_int_equal(ntohs(b.items[0].addresses[0].in.sin_port), 81); /* at the same place for both families */

        assert_int_equal(backends_add(&b, "does-not-exist.invalid:81"), 0);
        free(b.items[0].addresses);
        b.items[0].addresses = NULL;
        assert_int_equal(backends_resolve(&b, &which, &why), BACKENDS_UNRESOLVED);
        assert_string_equal(which->host, "does-not-exist.invalid");
}

static void test_wrong_addresses(void **state) {
        static const char *const wrong[] = {
                "", ":80", "host:", "host:0", "host:65536", "host:-1", "host:80x", "host name:80", "[::1", "[::1]80", "[::1]:",
                "[192.0.2.1]:80", "[]:80", "@", "vsock:3", "vsock::1", "vsock:x:1", "x=", "[host]:80", "::1::",
                "/this/path/is/longer/than/an/address/of/the/family/AF_UNIX/may/be/which/is/one/hundred/and/seven/bytes/12345",
        };

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                Backends b = {};

                if (backends_add(&b, wrong[i]) >= 0)
                        fail_msg("taken for an address: %s", wrong[i]);
                assert_int_equal(b.n, 0);
                backends_done(&b);
        }
}

/* Backends take turns; those that are down come last; a socket's own come for its clients only. */
static void test_choice(void **state) {
        _cleanup_(log_freep) Log *log = log_new("test");
        _cleanup_(backends_done) Backends b = { .log = log };
        usec_t now = usec_now();

        log_set_level(log, LOG_EMERG);
        assert_int_equal(backends_add(&b, "/a"), 0);
        assert_int_equal(backends_add(&b, "web=/b"), 0);
        assert_int_equal(backends_add(&b, "/c"), 0);

        assert_int_equal(backends_count(&b, "web"), 3);
        assert_int_equal(backends_count(&b, "mail"), 2);

        for (unsigned i = 0; i < 6; i++)
                assert_int_equal(backends_choose(&b, "web", now), i % 3);
        assert_int_equal(backends_choose(&b, "mail", now), 0);
        assert_int_equal(backends_choose(&b, "mail", now), 2);

        backend_failed(&b, 0, -ECONNREFUSED, now);
        assert_int_equal(backends_choose(&b, "mail", now), 2);
        assert_int_equal(backends_choose(&b, "mail", now), 2);
        backend_failed(&b, 2, -ECONNREFUSED, now);
        assert_int_equal(backends_choose(&b, "mail", now), 0); /* rather that than none */
        assert_int_equal(backends_after(&b, 0, "mail", now), 2);

        backend_works(&b, 0);
        assert_int_equal(backends_choose(&b, "mail", now), 0);
        assert_int_equal(backends_choose(&b, "mail", now), 0);
        assert_int_equal(backends_choose(&b, "mail", now + 60 * USEC_PER_SEC), 2);
}

/* Without metadata the header has the socket's own addresses. */
static void test_header_v1(void **state) {
        uint8_t header[FDPASS_HEADER_MAX];
        struct sockaddr_in a = {}, b = {};
        socklen_t n = sizeof(a);
        char expected[108];
        int pair[2];
        size_t size;

        client_pair(pair);
        assert_int_equal(getpeername(pair[1], (struct sockaddr *) &a, &n), 0);
        assert_int_equal(getsockname(pair[1], (struct sockaddr *) &b, &n), 0);
        assert_int_equal(proxy_header_write(PROXY_HEADER_V1, pair[1], NULL, header, &size), 0);
        (void) snprintf(expected, sizeof(expected), "PROXY TCP4 127.0.0.1 127.0.0.1 %u %u\r\n", ntohs(a.sin_port), ntohs(b.sin_port));
        assert_int_equal(size, strlen(expected));
        assert_memory_equal(header, expected, size);
        assert_int_equal(client_port(pair[1], NULL), ntohs(b.sin_port));

        assert_int_equal(proxy_header_write(PROXY_HEADER_NONE, pair[1], NULL, header, &size), 0);
        assert_int_equal(size, 0);
        pair_close(pair);

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(proxy_header_write(PROXY_HEADER_V1, pair[1], NULL, header, &size), 0);
        assert_int_equal(size, strlen("PROXY UNKNOWN\r\n"));
        assert_int_equal(proxy_header_write(PROXY_HEADER_V2, pair[1], NULL, header, &size), 0);
        assert_true(size >= 16);
        assert_int_equal(client_port(pair[1], NULL), 0);
        pair_close(pair);
}

/* The facts of the broker go on to the backend. An IPv4 client in an IPv6 address is an IPv4 client there. */
static void test_header_told(void **state) {
        Message m = MESSAGE_NULL, got;
        uint8_t header[FDPASS_HEADER_MAX];
        struct fdpass *told;
        Fixture f;
        int pair[2], conn, client;
        size_t n;

        m.source.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(1234) };
        m.destination.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(80) };
        assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.7", &m.source.in6.sin6_addr), 1);
        assert_int_equal(inet_pton(AF_INET6, "::ffff:198.51.100.1", &m.destination.in6.sin6_addr), 1);
        m.authority = slice_from_string("example.org");
        m.alpn = slice_from_string("h2");
        m.unique_id = slice_from_string("id-1");
        m.route = slice_from_string("x.socket");
        m.protocol = slice_from_string("tls");

        fixture_open(&f, SOCK_SEQPACKET, 0, 8);
        client_pair(pair);
        conn = fixture_connect(&f);
        assert_int_equal(send_message(conn, &m, pair[1]), 0);
        client = fdpass_accept(f.fd, SOCK_CLOEXEC, &told);
        assert_true(client >= 0);

        assert_int_equal(proxy_header_write(PROXY_HEADER_V1, client, told, header, &n), 0);
        header[n] = 0;
        assert_string_equal((char *) header, "PROXY TCP4 192.0.2.7 198.51.100.1 1234 80\r\n");
        assert_int_equal(client_port(client, told), 80);

        assert_int_equal(proxy_header_write(PROXY_HEADER_V2, client, told, header, &n), 0);
        assert_int_equal(message_decode(header, n, &got), 0);
        assert_int_equal(got.source.sa.sa_family, AF_INET);
        assert_int_equal(ntohs(got.source.in.sin_port), 1234);
        assert_true(slice_equal(got.authority, slice_from_string("example.org")));
        assert_true(slice_equal(got.alpn, slice_from_string("h2")));
        assert_true(slice_equal(got.unique_id, slice_from_string("id-1")));
        assert_true(slice_equal(got.route, slice_from_string("x.socket")));
        assert_true(slice_equal(got.protocol, slice_from_string("tls")));

        fdpass_free(told);
        fd_close(client);
        fd_close(conn);
        pair_close(pair);
        fixture_close(&f);
}

/* One direction. */

typedef struct Way {
        int in[2], out[2]; /* [0] is the far end */
        Side from, to;
        Flow flow;
        PipePool pool;
        uint8_t scratch[SCRATCH_SIZE];
} Way;

static Way *way_new(unsigned n_pipes) {
        Way *w = calloc(1, sizeof(*w));

        client_pair(w->in);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, w->out), 0);
        w->from = (Side){ .fd = w->in[1], .can_read = true };
        w->to = (Side){ .fd = w->out[1], .can_write = true };
        pipe_pool_init(&w->pool, n_pipes);
        return w;
}

static void way_free(Way *w) {
        flow_done(&w->flow, &w->pool);
        pipe_pool_done(&w->pool);
        pair_close(w->in);
        pair_close(w->out);
        free(w);
}

static FlowState way_move(Way *w) {
        bool moved = false;

        return flow_move(&w->flow, &w->from, &w->to, &w->pool, w->scratch, &moved);
}

static uint8_t byte_at(size_t i) {
        return (uint8_t) (i * 2654435761U >> 24);
}

/* Sends @total bytes through, both ends taking turns in what fits, and compares every one. */
static void transfer(Way *w, size_t total) {
        static uint8_t buffer[65536];
        size_t sent = 0, got = 0;
        FlowState state = FLOW_WAITS;

        while (got < total) {
                if (sent < total) {
                        size_t n = MIN(sizeof(buffer), total - sent);

                        for (size_t i = 0; i < n; i++)
                                buffer[i] = byte_at(sent + i);
                        ssize_t k = send(w->in[0], buffer, n, MSG_DONTWAIT | MSG_NOSIGNAL);
                        if (k > 0)
                                sent += (size_t) k;
                        if (sent == total)
                                assert_int_equal(shutdown(w->in[0], SHUT_WR), 0);
                }

                w->from.can_read = w->to.can_write = true; /* as events would say */
                w->from.has_end = sent == total;
                state = way_move(w);
                assert_int_not_equal(state, FLOW_RESET);

                ssize_t k = recv(w->out[0], buffer, sizeof(buffer), MSG_DONTWAIT);
                for (ssize_t i = 0; i < k; i++)
                        assert_int_equal(buffer[i], byte_at(got + (size_t) i));
                if (k > 0)
                        got += (size_t) k;
        }

        while (state != FLOW_ENDED) {
                w->from.can_read = w->to.can_write = true;
                state = way_move(w);
        }
        assert_int_equal(recv(w->out[0], buffer, 1, 0), 0);
}

static void test_flow_amounts(void **state) {
        static const size_t amounts[] = { 1, SCRATCH_SIZE - 1, SCRATCH_SIZE, SCRATCH_SIZE + 1, 5 * 1024 * 1024 + 1 };

        for (size_t i = 0; i < ELEMENTSOF(amounts); i++)
                for (unsigned n_pipes = 0; n_pipes < 2; n_pipes++) {
                        Way *w = way_new(n_pipes);

                        transfer(w, amounts[i]);
                        assert_null(w->flow.pipe);
                        assert_int_equal(w->pool.n_idle, w->pool.n); /* it came back */
                        assert_int_equal(w->pool.n, n_pipes == 1 && amounts[i] >= SCRATCH_SIZE);
                        way_free(w);
                }
}

static void test_flow_prepends(void **state) {
        Way *w = way_new(1);
        char got[16];

        assert_int_equal(flow_prepend(&w->flow, "one ", 4), 0);
        assert_int_equal(flow_prepend(&w->flow, "two ", 4), 0);
        assert_int_equal(send(w->in[0], "three", 5, 0), 5);
        assert_int_equal(way_move(w), FLOW_WAITS);
        assert_int_equal(recv(w->out[0], got, sizeof(got), 0), 13);
        assert_memory_equal(got, "one two three", 13);
        way_free(w);
}

/* A destination that takes nothing any more: what comes is read away, so that the source isn't reset. */
static void test_flow_discards(void **state) {
        Way *w = way_new(1);
        int unread = -1;

        w->out[0] = fd_close(w->out[0]);
        assert_int_equal(send(w->in[0], "x", 1, 0), 1);
        assert_int_equal(way_move(w), FLOW_WAITS);
        assert_true(w->flow.is_discarded);

        assert_int_equal(send(w->in[0], "xyz", 3, 0), 3);
        w->from.can_read = true;
        assert_int_equal(way_move(w), FLOW_WAITS);
        assert_int_equal(ioctl(w->in[1], FIONREAD, &unread), 0);
        assert_int_equal(unread, 0);

        assert_int_equal(shutdown(w->in[0], SHUT_WR), 0);
        w->from.can_read = true;
        assert_int_equal(way_move(w), FLOW_ENDED);
        way_free(w);
}

/* The linker puts these in front of others, because most machines have no kTLS. An alert is the byte 0x15. */
ssize_t __real_recv(int fd, void *p, size_t n, int flags);
ssize_t __wrap_recv(int fd, void *p, size_t n, int flags);
int __wrap_ktls_explain(int fd, const void *calls);
int __wrap_ktls_close_notify(int fd, const void *calls);

static bool is_ktls;

ssize_t __wrap_recv(int fd, void *p, size_t n, int flags) {
        ssize_t k = __real_recv(fd, p, n, is_ktls ? flags | MSG_PEEK : flags);
        const uint8_t *alert = k > 0 ? memchr(p, 0x15, (size_t) k) : NULL;

        if (!is_ktls || k <= 0)
                return k;

        if (alert == p) {
                errno = EIO;
                return -1;
        }
        return __real_recv(fd, p, alert ? (size_t) (alert - (const uint8_t *) p) : (size_t) k, flags);
}

int __wrap_ktls_explain(int fd, const void *calls) {
        return 0;
}

static bool is_full;

int __wrap_ktls_close_notify(int fd, const void *calls) {
        if (is_full)
                return -EAGAIN;
        return send(fd, "[close_notify]", 14, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The client's close_notify is the end for the backend, also right behind data: no further event tells of it. */
static void test_flow_from_tls(void **state) {
        Way *w = way_new(1);
        char got[16];

        is_ktls = w->from.is_ktls = true;
        assert_int_equal(send(w->in[0], "data\x15", 5, 0), 5);
        assert_int_equal(way_move(w), FLOW_ENDED);
        is_ktls = false;
        assert_int_equal(recv(w->out[0], got, sizeof(got), MSG_WAITALL), 4);
        assert_memory_equal(got, "data", 4);
        way_free(w);
}

/* The backend's end is close_notify for the client, and then the FIN. */
static void test_flow_to_tls(void **state) {
        Way *w = way_new(1);
        char got[32] = "";

        w->to.is_ktls = true;
        assert_int_equal(send(w->in[0], "data", 4, 0), 4);
        assert_int_equal(shutdown(w->in[0], SHUT_WR), 0);
        w->from.has_end = is_full = true;
        assert_int_equal(way_move(w), FLOW_WAITS); /* the FIN waits for close_notify, and that for room */
        assert_false(w->to.can_write);
        is_full = false;
        w->to.can_write = true;
        assert_int_equal(way_move(w), FLOW_ENDED);
        assert_int_equal(recv(w->out[0], got, sizeof(got), MSG_WAITALL), 18);
        assert_string_equal(got, "data[close_notify]");
        way_free(w);
}

static void test_flow_reset(void **state) {
        const struct linger reset = { .l_onoff = 1 };
        Way *w = way_new(1);

        assert_int_equal(setsockopt(w->in[0], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
        w->in[0] = fd_close(w->in[0]);
        assert_int_equal(way_move(w), FLOW_RESET);
        way_free(w);
}

TEST_MAIN(TEST(test_addresses),
          TEST(test_unix_addresses),
          TEST(test_names),
          TEST(test_wrong_addresses),
          TEST(test_choice),
          TEST(test_header_v1),
          TEST(test_header_told),
          TEST(test_flow_amounts),
          TEST(test_flow_prepends),
          TEST(test_flow_discards),
          TEST(test_flow_from_tls),
          TEST(test_flow_to_tls),
          TEST(test_flow_reset))
