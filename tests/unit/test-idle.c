/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * An unmodified server under fdpass-preload.so is told that the host is drained, or that it is (idle.c). Clients between two
 * requests go back to the broker without a next request.
 */

#include "keeper-fixture.h"

#include <signal.h>
#include <sys/wait.h>

#include "handoff/protocol.h"

#define N 5
#define MANY 400 /* more than a socket takes (net.core.wmem_default) */

static int ask_own(Keeper *k) {
        int client = keeper_give(k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");

        expect(client, "GET /own/1 0\n");
        return client;
}

static void tell(const Keeper *k, uint8_t byte) {
        assert_int_equal(send(k->back_fd, &byte, 1, MSG_NOSIGNAL), 1);
}

/* The client still is at the server. */
static void expect_stays(Keeper *k, int client) {
        say(client, "GET /own/2 HTTP/1.1\r\nHost: a.example\r\n\r\n");
        expect(client, "GET /own/2 0\n");
        assert_false(has_message(k->back_fd));
}

/* The server has handed one of the clients back, which is not closed. The next worker answers it. */
static void expect_one_back(Keeper *k) {
        int back = receive_back(k);

        assert_int_equal(k->n_told, 0);
        say(back, "the next worker\n");
        fd_close(back);
}

static void expect_served_next(int client) {
        expect(client, "the next worker\n");
        expect_end(client); /* the server has closed its descriptor, too */
        fd_close(client);
}

/* Idle clients go at once, others after their responses. After the drain all stay. */
static void test_drain(void **state) {
        static const struct {
                const char *wait, *letters;
        } ways[] = {
                { "epoll", "" }, { "edge", "" }, { "epoll", "rh" }, { "edge", "m" }, { "epoll", "s" }, { "epoll", "nk" },
                { "epoll", "w" },
        };

        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                int idle[N], busy, late, last;
                Keeper k;

                keeper_start(&k, ways[i].wait, ways[i].letters);
                for (size_t c = 0; c < N; c++)
                        idle[c] = ask_own(&k);
                busy = ask_own(&k);
                say(busy, "PUT /own/2 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\na");
                last = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
                expect(last, "GET /own/1 0\n");
                assert_false(has_message(k.back_fd));

                tell(&k, FDPASS_TELL_DRAINED);
                for (size_t c = 0; c < N; c++)
                        expect_one_back(&k);
                for (size_t c = 0; c < N; c++)
                        expect_served_next(idle[c]);

                say(busy, "b");
                expect(busy, "PUT /own/2 2\n");
                expect_one_back(&k);
                expect_served_next(busy);

                late = ask_own(&k);
                expect_one_back(&k);
                expect_served_next(late);

                tell(&k, FDPASS_TELL_UNDRAINED);
                late = ask_own(&k);
                expect_stays(&k, late);
                fd_close(late);
                fd_close(last);
                keeper_stop(&k);
        }
}

/* A client whose next request is there already gets its answer first. */
static void test_request_before(void **state) {
        static const char *const waits[] = { "epoll", "edge" };

        for (size_t i = 0; i < ELEMENTSOF(waits); i++) {
                int client, status;
                Keeper k;

                keeper_start(&k, waits[i], "");
                client = ask_own(&k);
                assert_int_equal(kill(k.s.pid, SIGSTOP), 0);
                assert_int_equal(waitpid(k.s.pid, &status, WUNTRACED), k.s.pid);
                assert_true(WIFSTOPPED(status));
                tell(&k, FDPASS_TELL_DRAINED);
                say(client, "GET /own/2 HTTP/1.1\r\nHost: a.example\r\n\r\n");
                assert_int_equal(kill(k.s.pid, SIGCONT), 0);
                expect(client, "GET /own/2 0\n");
                expect_one_back(&k);
                expect_served_next(client);
                keeper_stop(&k);
        }
}

/* A scope that says so is enough, whatever was told. */
static void test_scope(void **state) {
        int client;
        Keeper k;

        keeper_start(&k, "epoll", "");
        client = ask_own(&k);
        expect_stays(&k, client);
        fd_close(client);

        k.is_drained = true;
        client = ask_own(&k);
        expect_one_back(&k);
        expect_served_next(client);
        keeper_stop(&k);
}

/* Servers that wait otherwise keep their clients until the next requests. */
static void test_others(void **state) {
        static const char *const waits[] = { "poll", "threads" };

        for (size_t i = 0; i < ELEMENTSOF(waits); i++) {
                int client;
                Keeper k;

                keeper_start(&k, waits[i], "");
                client = ask_own(&k);
                tell(&k, FDPASS_TELL_DRAINED);
                expect_stays(&k, client);
                say(client, FOREIGN);
                fd_close(expect_back(&k, FOREIGN));
                fd_close(client);
                keeper_stop(&k);
        }
}

/* The broker does not read for a while. Clients that do not fit stay open, and go when it reads. */
static void test_full(void **state) {
        static int clients[MANY];
        Keeper k;

        keeper_start(&k, "edge", "");
        for (size_t i = 0; i < MANY; i++)
                clients[i] = ask_own(&k);
        tell(&k, FDPASS_TELL_DRAINED);
        WAIT_UNTIL(has_message(k.back_fd));
        (void) count_fds(k.s.pid); /* the server sleeps: it has sent what fits */

        for (size_t i = 0; i < MANY; i++)
                expect_one_back(&k);
        for (size_t i = 0; i < MANY; i++)
                expect_served_next(clients[i]);
        assert_false(has_message(k.back_fd));
        keeper_stop(&k);
}

/* Whatever comes again, is not known, is long or brings descriptors, changes nothing, and nothing is left open. */
static void test_strange(void **state) {
        static const uint8_t strange[] = { 0x00, FDPASS_ANSWER_TAKEN, FDPASS_ANSWER_REFUSED, FDPASS_ANSWER_RETURN, 0x14, 0xff };
        uint8_t big[4096] = { 0x99, FDPASS_TELL_DRAINED };
        size_t n_fds;
        int client;
        Keeper k;

        keeper_start(&k, "epoll", "");
        client = ask_own(&k);
        n_fds = count_fds(k.s.pid);
        for (size_t i = 0; i < ELEMENTSOF(strange); i++)
                tell(&k, strange[i]);
        assert_int_equal(send(k.back_fd, big, sizeof(big), MSG_NOSIGNAL), sizeof(big));
        send_raw(k.back_fd, big, 2, client, 3);
        for (int i = 0; i < 100; i++)
                tell(&k, FDPASS_TELL_UNDRAINED);
        expect_stays(&k, client);
        assert_fds(&k.s, n_fds);

        for (int i = 0; i < 100; i++)
                tell(&k, FDPASS_TELL_DRAINED);
        expect_one_back(&k);
        expect_served_next(client);
        keeper_stop(&k);
}

/* The way back ends while the host is drained. The server does not spin, serves what it has, and tells the next broker. */
static void test_end(void **state) {
        size_t n_fds;
        int client;
        Keeper k;

        keeper_start(&k, "epoll", "");
        client = ask_own(&k);
        n_fds = count_fds(k.s.pid);
        tell(&k, FDPASS_TELL_DRAINED);
        expect_one_back(&k);
        expect_served_next(client);

        k.back_fd = fd_close(k.back_fd);
        assert_fds(&k.s, n_fds - 2); /* neither the connection nor the client */

        client = ask_own(&k); /* brings another connection */
        assert_true(k.back_fd >= 0);
        expect_stays(&k, client);
        tell(&k, FDPASS_TELL_DRAINED);
        expect_one_back(&k);
        expect_served_next(client);
        keeper_stop(&k);
}

TEST_MAIN(TEST(test_drain),
          TEST(test_request_before),
          TEST(test_scope),
          TEST(test_others),
          TEST(test_full),
          TEST(test_strange),
          TEST(test_end))
