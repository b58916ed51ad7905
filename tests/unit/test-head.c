/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* From the first bytes to a route, or to an answer in the client's own protocol. */

#include "tcp-fixture.h"

#include "handoff/message.h"
#include "tls-hello.h"

static int dial_and_request(const char *text) {
        int fd = dial("public");

        say(fd, text);
        return fd;
}

/* The worker takes a client and finds all that it said, unread; the connection lives on. */
static void expect_at(int worker, const char *text) {
        char buffer[1024] = "";
        int conn, client = -EBADF;

        WAIT_FOR(has_event(worker, POLLIN));
        conn = accept4(worker, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(handoff_receive(conn, &client), 0);
        fd_close(conn);
        assert_true(recv(client, buffer, sizeof(buffer) - 1, MSG_DONTWAIT) >= 0);
        assert_string_equal(buffer, text);
        fd_close(client);
}

/* All that the client gets until our FIN. */
static size_t read_answer(int fd, char *buffer, size_t size) {
        size_t n = 0;

        for (;;) {
                ssize_t k;

                WAIT_FOR(has_event(fd, POLLIN));
                k = recv(fd, buffer + n, size - n - 1, MSG_DONTWAIT);
                assert_true(k >= 0);
                if (k == 0)
                        break;
                n += (size_t) k;
        }

        buffer[n] = 0;
        return n;
}

static void expect_status(int fd, const char *status) {
        char buffer[2048];

        read_answer(fd, buffer, sizeof(buffer));
        assert_non_null(startswith(buffer, status));
        assert_non_null(strstr(buffer, "\r\nConnection: close\r\n"));
        fd_close(fd);
}

/* Host and path decide; the longer path goes first. */
static void test_routes_http(void **state) {
        int a = listen_at("a", 8), b = listen_at("b", 8), clients[3];
        static const char one[] = "GET /x HTTP/1.1\r\nHost: Example.ORG:80\r\n\r\n",
                          two[] = "GET /chat/room?q HTTP/1.1\r\nHost: example.org\r\n\r\nrest",
                          three[] = "GET /chatter HTTP/1.1\r\nHost: example.org\r\n\r\n";

        USE({ .unit = "a.socket", .worker = "a", .host = "example.org" },
            { .unit = "b.socket", .worker = "b", .host = "example.org", .path = "/chat" });

        clients[0] = dial_and_request(one);
        expect_at(a, one);
        clients[1] = dial_and_request(two);
        expect_at(b, two);
        clients[2] = dial_and_request(three);
        expect_at(a, three);

        for (size_t i = 0; i < ELEMENTSOF(clients); i++)
                fd_close(clients[i]);
        fd_close(a);
        fd_close(b);
}

static void expect_text(Slice slice, const char *expected) {
        assert_int_equal(slice.n, strlen(expected));
        assert_memory_equal(slice.p, expected, slice.n);
}

static void check_message(const uint8_t *bytes, size_t n, int client, const char *head) {
        char buffer[256] = "";
        Message m;

        assert_int_equal(message_decode(bytes, n, &m), 0);
        expect_text(m.route, "a.socket");
        expect_text(m.listener, "public");
        expect_text(m.protocol, "http");
        expect_text(m.authority, "example.org");
        assert_true(m.unique_id.n > 0);
        assert_int_equal(m.consumed.n, 0);

        assert_true(recv(client, buffer, sizeof(buffer) - 1, MSG_DONTWAIT) > 0);
        assert_string_equal(buffer, head);
}

/* Workers of the packet form are told what is known of the client, which still has all it said. */
static void test_metadata(void **state) {
        static const char head[] = "GET / HTTP/1.1\r\nHost: Example.org:80\r\n\r\n";
        static uint8_t bytes[FDPASS_MESSAGE_MAX];
        int a, client, conn, received = -EBADF;
        size_t n;

        a = listen_type_at("a", SOCK_SEQPACKET, 8);
        USE({ .unit = "a.socket", .worker = "a", .host = "example.org", .transport = TRANSPORT_SEQPACKET });
        client = dial_and_request(head);
        WAIT_FOR(has_event(a, POLLIN));
        conn = accept4(a, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(handoff_receive_message(conn, 0, bytes, sizeof(bytes), &n, &received), 0);
        check_message(bytes, n, received, head);
        fd_close(conn);
        WAIT_FOR(n_in_broker() == 0);
        assert_int_equal(n_taken(), 1);
        fd_close(received);
        fd_close(client);

        /* Metadata=none: the single byte. */
        USE({ .unit = "a.socket", .worker = "a", .host = "example.org", .transport = TRANSPORT_SEQPACKET, .no_metadata = true });
        client = dial_and_request(head);
        WAIT_FOR(has_event(a, POLLIN));
        conn = accept4(a, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(handoff_receive(conn, &received), 0);
        fd_close(conn);
        fd_close(received);
        fd_close(client);
        fd_close(a);
}

/* A head that comes in pieces is waited for, without a turn of the loop in between. */
static void test_head_in_pieces(void **state) {
        int a = listen_at("a", 8), client;
        unsigned n_turns = 0;

        USE({ .unit = "a.socket", .worker = "a", .host = "example.org" });
        client = dial_and_request("GET / HTTP/1.1\r\nHo");
        WAIT_FOR(n_accepted() == 1);
        assert_int_equal(first_client_state(), CLIENT_HEAD);

        for (usec_t end = usec_now() + 150 * USEC_PER_MSEC; usec_now() < end; n_turns++)
                assert_true(broker_turn(t.broker, end - MIN(usec_now(), end)) >= 0);
        assert_true(n_turns < 5);

        say(client, "st: example.org\r\n\r\n");
        expect_at(a, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");
        WAIT_FOR(n_in_broker() == 0);

        fd_close(client);
        fd_close(a);
}

/* Requests that servers serve and that need a second look: the worker gets them as they are. */
static void test_passes_odd_requests(void **state) {
        static const char *const heads[] = {
                "GET /t\xc3\xb6 HTTP/1.1\r\nHost: example.org\r\n\r\n",
                "GET /shop;jsessionid=1 HTTP/1.1\r\nHost: example.org\r\n\r\n",
                "GET /img//a%2fb/%7Euser HTTP/1.1\r\nHost: example.org\r\n\r\n",
                "GET http://example.org/ HTTP/1.1\r\nHost: proxy.example.net:3128\r\n\r\n",
                "GET HTTP://EXAMPLE.ORG:8080 HTTP/1.0\r\n\r\n",
        };
        int a = listen_at("a", 8), b = listen_at("b", 8);

        USE({ .unit = "a.socket", .worker = "a", .host = "example.org" },
            { .unit = "b.socket", .worker = "b", .host = "example.org", .path = "/chat" });
        for (size_t i = 0; i < ELEMENTSOF(heads); i++) {
                int client = dial_and_request(heads[i]);

                expect_at(a, heads[i]);
                fd_close(client);
        }
        WAIT_FOR(n_in_broker() == 0);

        fd_close(a);
        fd_close(b);
}

/* Each refusal has its status. */
static void test_refuses_http(void **state) {
        int a = listen_at("a", 8);
        static const struct {
                const char *head, *status;
        } cases[] = {
                { "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 " },
                { "GET / HTTP/1.1\r\nHost: a\nHost: b\r\n\r\n", "HTTP/1.1 400 " },
                { "GET /p/../x HTTP/1.1\r\nHost: example.org\r\n\r\n", "HTTP/1.1 400 " },
                { "GET /q/../x HTTP/1.1\r\nHost: example.org\r\n\r\n", "HTTP/1.1 404 " },
                { "GET http://elsewhere.org/p HTTP/1.1\r\nHost: example.org\r\n\r\n", "HTTP/1.1 421 " },
                { "GET /q HTTP/1.1\r\nHost: example.org\r\n\r\n", "HTTP/1.1 404 " },
                { "GET /p HTTP/1.1\r\nHost: elsewhere.org\r\n\r\n", "HTTP/1.1 421 " },
                { "GET /p HTTP/1.1\r\nHost: example.org\r\n", "HTTP/1.1 408 " },
        };

        USE({ .unit = "a.socket", .worker = "a", .host = "example.org", .path = "/p" });
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                expect_status(dial_and_request(cases[i].head), cases[i].status);
        WAIT_FOR(n_in_broker() == 0);

        fd_close(a);
}

/* Too much is 431, and the answer arrives although the client is still talking. */
static void test_refuses_large_head(void **state) {
        int a = listen_at("a", 8), client;
        char filler[1024];

        USE({ .unit = "a.socket", .worker = "a", .host = "example.org" });
        client = dial_and_request("GET / HTTP/1.1\r\nHost: example.org\r\nX: ");
        memset(filler, 'x', sizeof(filler));
        for (size_t i = 0; i < 20; i++)
                assert_int_equal(send(client, filler, sizeof(filler), MSG_NOSIGNAL), sizeof(filler));
        expect_status(client, "HTTP/1.1 431 ");

        fd_close(a);
}

/* 503 where the route is known and its worker is not there. */
static void test_refuses_for_gone_worker(void **state) {
        USE({ .unit = "a.socket", .worker = "a", .host = "example.org" });
        expect_status(dial_and_request("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"), "HTTP/1.1 503 ");
}

/* A hello without a route gets an alert, and a broken hello gets another one. */
static void test_refuses_tls(void **state) {
        static const uint8_t broken[] = { 22, 3, 1, 0, 5, 1, 0, 0, 1, 0 };
        char buffer[64];
        int client;

        USE({ .unit = "a.socket", .worker = "a", .host = "example.org" });
        client = dial("public");
        assert_int_equal(send(client, broken, sizeof(broken), 0), sizeof(broken));
        assert_int_equal(read_answer(client, buffer, sizeof(buffer)), 7);
        assert_int_equal(buffer[0], 21);
        assert_int_equal(buffer[5], 2);
        assert_int_equal(buffer[6], 50); /* decode_error */

        fd_close(client);
}

#define HTTP2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

/* The client reads SETTINGS, then GOAWAY with this code and the largest last stream, and then our FIN, no reset. */
static void expect_goaway(int client, char code) {
        static const char frames[] = "\0\0\0\4\0\0\0\0\0" "\0\0\x25\7\0\0\0\0\0" "\x7f\xff\xff\xff" "\0\0\0";
        char buffer[256];
        size_t n = read_answer(client, buffer, sizeof(buffer));

        assert_int_equal(n, 9 + 9 + 0x25);
        assert_memory_equal(buffer, frames, sizeof(frames) - 1);
        assert_int_equal(buffer[sizeof(frames) - 1], code);
        fd_close(client);
}

/* HTTP/2 without TLS: a route of that protocol takes it, or it reads why not, also if its frames come after that. */
static void test_refuses_http2(void **state) {
        int a = listen_at("a", 8), client;

        USE({ .unit = "a.socket", .worker = "a", .host = "example.org" });
        expect_goaway(dial_and_request(HTTP2_PREFACE "frames of the client"), 0xd);

        client = dial_and_request("PRI * HTTP/2.0\r\n\r\n");
        WAIT_FOR(n_accepted() == 2);
        say(client, "SM\r\n\r\n");
        WAIT_FOR(n_refused(REFUSAL_NO_HTTP2) == 2);
        say(client, "frames of the client");
        expect_goaway(client, 0xd);

        USE({ .unit = "a.socket", .worker = "a", .protocols = 1U << PROBE_HTTP2 });
        client = dial_and_request(HTTP2_PREFACE);
        expect_at(a, HTTP2_PREFACE);
        fd_close(client);
        fd_close(a);

        /* Its worker is gone: INTERNAL_ERROR. */
        expect_goaway(dial_and_request(HTTP2_PREFACE), 2);
        assert_int_equal(n_refused(REFUSAL_NO_HTTP2), 2);
}

static int dial_with_hello(const char *name, Slice extensions) {
        static Bytes hello;
        int fd = dial("public");

        make_hello(&(HelloSpec){ .name = name, .extensions = extensions }, &hello);
        assert_int_equal(send(fd, hello.p, hello.n, MSG_NOSIGNAL), (ssize_t) hello.n);
        return fd;
}

/* The worker gets a client whose first byte is that of a TLS record. */
static void expect_tls_at(int worker, int client) {
        assert_int_equal(take_byte(worker), 22);
        fd_close(client);
}

static void expect_alert(int client, char alert) {
        char buffer[64];

        assert_int_equal(read_answer(client, buffer, sizeof(buffer)), 7);
        assert_int_equal(buffer[0], 21);
        assert_int_equal(buffer[6], alert);
        fd_close(client);
}

/* A hello whose name is no host name: a route without Host= takes it, and none with Host=. The alert is as ever. */
static void test_tls_names(void **state) {
        static const char *const unusable[] = {
                "192.0.2.1", "2001:db8::1", "[2001:db8::1]", "a.example.org:443", "*.example.org", "example.org..", "",
                "\xff.example.org", "example.org ", ".example.org", "https://example.org",
        };
        static const Slice lists[] = {
                SLICE_LITERAL("\0\0\0\x1a\0\x18\x01\0\x07" "unknown" "\0\0\x0b" "example.org"),
                SLICE_LITERAL("\0\0\0\x11\0\x0f\0\0\x0c" "example.org\0"),
        };
        int a = listen_at("a", 8), b = listen_at("b", 8);

        for (unsigned catches_all = 0; catches_all < 2; catches_all++) {
                Config *config = config_of((RouteSpec[]){
                        { .unit = "a.socket", .worker = "a", .host = "example.org" },
                        { .unit = "b.socket", .worker = "b", .host = catches_all ? NULL : "*.example.org",
                          .protocols = 1U << PROBE_TLS },
                }, 2);

                use_config(config);
                for (size_t i = 0; i < ELEMENTSOF(unusable) + ELEMENTSOF(lists); i++) {
                        int client = i < ELEMENTSOF(unusable)
                                             ? dial_with_hello(unusable[i], (Slice){})
                                             : dial_with_hello(NULL, lists[i - ELEMENTSOF(unusable)]);

                        if (catches_all)
                                expect_tls_at(b, client);
                        else
                                expect_alert(client, 112); /* unrecognized_name */
                }
                expect_tls_at(a, dial_with_hello("EXAMPLE.org.", (Slice){}));
        }

        assert_int_equal(has_event(a, POLLIN), false);
        fd_close(a);
        fd_close(b);
}

/* An SSH client reads why. */
static void test_refuses_ssh(void **state) {
        char buffer[256];
        int client;
        size_t n;

        USE({ .unit = "a.socket", .worker = "a", .host = "example.org" });
        client = dial_and_request("SSH-2.0-OpenSSH_9.2\r\n");
        n = read_answer(client, buffer, sizeof(buffer));
        assert_non_null(startswith(buffer, "SSH-2.0-"));
        assert_int_equal((n - strlen("SSH-2.0-fdpass\r\n")) % 8, 0);
        assert_int_equal(buffer[strlen("SSH-2.0-fdpass\r\n") + 5], 1); /* SSH_MSG_DISCONNECT */

        fd_close(client);
}

/* Protocols beside one another; a silent client after its time; raw bytes by their prefix. */
static void test_routes_protocols(void **state) {
        int a = listen_at("a", 8), b = listen_at("b", 8), clients[4];

        USE({ .unit = "a.socket", .worker = "a", .protocols = 1U << PROBE_SSH | PROTOCOL_SILENT },
            { .unit = "b.socket", .worker = "b", .prefix = "HELO " });

        clients[0] = dial_and_request("SSH-2.0-x\r\n");
        expect_at(a, "SSH-2.0-x\r\n");
        clients[1] = dial_and_request("HELO there\r\n");
        expect_at(b, "HELO there\r\n");
        clients[2] = dial_and_request("HEL");
        WAIT_FOR(n_accepted() == 3);
        say(clients[2], "O you\r\n");
        expect_at(b, "HELO you\r\n");

        clients[3] = dial("public");
        WAIT_FOR(has_event(a, POLLIN));
        fd_close(clients[3]);
        expect_at(a, "");

        for (size_t i = 0; i < 3; i++)
                fd_close(clients[i]);
        fd_close(a);
        fd_close(b);
}

/* A client is not silent if its first bytes came before the timer, and their event comes after it. */
static void test_bytes_at_end_of_silence(void **state) {
        int a = listen_at("a", 8), b = listen_at("b", 8), client;
        Config *config = config_of((const RouteSpec[]){
                { .unit = "a.socket", .worker = "a", .protocols = PROTOCOL_SILENT },
                { .unit = "b.socket", .worker = "b", .protocols = 1U << PROBE_SSH },
        }, 2);

        add_tcp("tcp");
        trust_all_proxies(config, PROXY_PROTOCOL_OPTIONAL);
        use_config(config);

        client = connect_tcp();
        WAIT_FOR(n_accepted() == 1);
        say(client, "PROXY TCP4 192.0.2.1 192.0.2.2 1000 25\r\n");
        end_silence("tcp");
        say(client, "SSH-");
        end_silence("tcp");
        say(client, "2.0-x\r\n");
        expect_at(b, "SSH-2.0-x\r\n");

        fd_close(client);
        fd_close(a);
        fd_close(b);
}

/* A client that ends before the end of its head is dropped. */
static void test_client_ends_early(void **state) {
        int a = listen_at("a", 8), clients[2];

        USE({ .unit = "a.socket", .worker = "a", .host = "example.org" });
        clients[0] = dial_and_request("GET / HTT");
        WAIT_FOR(n_accepted() == 1);
        assert_int_equal(shutdown(clients[0], SHUT_WR), 0);
        WAIT_FOR(is_closed(clients[0]));

        /* But a whole head with a FIN behind it is a request like any other. */
        clients[1] = dial_and_request("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");
        assert_int_equal(shutdown(clients[1], SHUT_WR), 0);
        expect_at(a, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");

        fd_close(clients[0]);
        fd_close(clients[1]);
        fd_close(a);
}

/* A client that is refused before its first byte is answered after it. */
static void test_refuses_at_the_door(void **state) {
        int client;

        USE({ .unit = "a.socket", .worker = "a", .listener = "elsewhere" });
        client = dial("public");
        WAIT_FOR(n_refused(REFUSAL_NO_ROUTE) == 1);
        say(client, "GET / HT");
        say(client, "TP/1.1\r\nHost: x\r\n\r\n");
        expect_status(client, "HTTP/1.1 404 ");
        WAIT_FOR(n_in_broker() == 0);
}

/* Silent clients are evicted for clients that send something. */
static void test_evicts_oldest(void **state) {
        int a = listen_at("a", 8), idle[64], client;

        USE({ .unit = "a.socket", .worker = "a", .host = "example.org" });
        for (size_t i = 0; i < ELEMENTSOF(idle); i++)
                idle[i] = dial_and_request("GET / ");
        WAIT_FOR(n_accepted() == ELEMENTSOF(idle));

        client = dial_and_request("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");
        expect_at(a, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");
        assert_false(is_paused());
        expect_status(idle[0], "HTTP/1.1 408 ");
        assert_true(n_refused(REFUSAL_EVICTED) >= 1);

        for (size_t i = 1; i < ELEMENTSOF(idle); i++)
                fd_close(idle[i]);
        fd_close(client);
        fd_close(a);
}

/* Behind a PROXY header a client may be silent, and a route may ask for nothing. */
static void test_silent_behind_proxy(void **state) {
        static const unsigned protocols[] = { PROTOCOL_SILENT, 0 };
        int worker = listen_at("a", 64);

        add_tcp("tcp");

        for (size_t i = 0; i < ELEMENTSOF(protocols); i++) {
                const RouteSpec spec = { .unit = "a.socket", .worker = "a", .protocols = protocols[i] };
                Config *config = config_of(&spec, 1);
                int client;

                trust_all_proxies(config, PROXY_PROTOCOL_REQUIRE);
                use_config(config);
                client = connect_tcp();
                say(client, "PROXY TCP4 192.0.2.1 192.0.2.2 1000 25\r\n");
                WAIT_FOR(has_event(worker, POLLIN));
                say(client, "x");
                assert_int_equal(take_byte(worker), 'x');
                fd_close(client);
        }

        fd_close(worker);
}

/* With Inspect=no only routes that need no bytes get clients. A PROXY header is taken off all the same. */
static void test_inspect_no(void **state) {
        int a = listen_at("a", 8), b = listen_at("b", 8), client;
        const RouteSpec specs[] = {
                { .unit = "a.socket", .worker = "a" },
                { .unit = "b.socket", .worker = "b", .host = "h", .protocols = 1U << PROBE_HTTP },
        };

        add_tcp("tcp");

        for (size_t i = 0; i < 2; i++) {
                Config *config = config_of(specs, ELEMENTSOF(specs));

                config->listener_default.is_unread = true;
                config->listener_default.silent_timeout_usec = 60 * USEC_PER_SEC;
                if (i == 1)
                        trust_all_proxies(config, PROXY_PROTOCOL_REQUIRE);
                use_config(config);

                client = connect_tcp();
                if (i == 1)
                        say(client, "PROXY TCP4 192.0.2.7 192.0.2.1 1 80\r\n");
                WAIT_FOR(has_event(a, POLLIN)); /* before the request */
                say(client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
                assert_int_equal(take_byte(a), 'G');
                assert_false(has_event(b, POLLIN));
                fd_close(client);
        }

        fd_close(a);
        fd_close(b);
}

static const RouteSpec by_host = { .unit = "a.socket", .worker = "a", .host = "example.org" };

/* A client without the header that might have been there counts for its address. */
static void test_optional_proxy_is_counted(void **state) {
        int worker = listen_at("a", 64), clients[20];
        Config *config = config_of(&by_host, 1);

        add_tcp("tcp");
        trust_all_proxies(config, PROXY_PROTOCOL_OPTIONAL);
        config->listener_default.max_clients_per_source = 2;
        use_config(config);
        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                clients[i] = connect_tcp();
                say(clients[i], "GET /");
        }
        WAIT_FOR(n_refused(REFUSAL_SOURCE_FULL) == ELEMENTSOF(clients) - 2);

        close_all(clients, ELEMENTSOF(clients));
        fd_close(worker);
}

/* A shorter time holds for those who come after the reload, and those who came before it keep theirs. */
static void test_shorter_head_timeout(void **state) {
        Config *config = config_of(&by_host, 1);
        int first, second;

        config->listener_default.head_timeout_usec = 60 * USEC_PER_SEC;
        use_config(config);
        first = dial("public");
        say(first, "GET ");
        WAIT_FOR(n_accepted() == 1);
        use_config(config_of(&by_host, 1));
        second = dial("public");
        say(second, "GET ");
        WAIT_FOR(n_refused(REFUSAL_HEAD_TIMEOUT) == 1);
        fd_close(second);
        WAIT_FOR(n_in_broker() == 1);

        fd_close(first);
}

TEST_MAIN(BROKER_TEST(test_routes_http),
          BROKER_TEST(test_metadata),
          BROKER_TEST(test_head_in_pieces),
          BROKER_TEST(test_passes_odd_requests),
          BROKER_TEST(test_refuses_http),
          BROKER_TEST(test_refuses_large_head),
          BROKER_TEST(test_refuses_for_gone_worker),
          BROKER_TEST(test_refuses_tls),
          BROKER_TEST(test_refuses_http2),
          BROKER_TEST(test_tls_names),
          BROKER_TEST(test_refuses_ssh),
          BROKER_TEST(test_routes_protocols),
          BROKER_TEST(test_client_ends_early),
          BROKER_TEST(test_refuses_at_the_door),
          BROKER_TEST(test_evicts_oldest),
          BROKER_TEST(test_bytes_at_end_of_silence),
          BROKER_TEST(test_silent_behind_proxy),
          BROKER_TEST(test_inspect_no),
          BROKER_TEST(test_optional_proxy_is_counted),
          BROKER_TEST(test_shorter_head_timeout))
