/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * An unmodified server under fdpass-preload.so stops, or closes clients for other reasons (stopping.c). A client that waits
 * for nothing goes back to the broker, where the server would have closed it because it stops.
 */

#include "keeper-fixture.h"

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>

/* The server has handed @client back. The next worker answers it. */
static void expect_served_next(Keeper *k, int client) {
        int back = receive_back(k);

        say(back, "served by the next worker\n");
        expect(client, "served by the next worker\n");
        fd_close(back);
}

static bool is_thread_asleep(pid_t pid, const char *thread) {
        _cleanup_fclose_ FILE *f = NULL;
        char path[300], state = '?';

        (void) snprintf(path, sizeof(path), "/proc/%i/task/%s/stat", (int) pid, thread);
        f = fopen(path, "re");
        return !f || fscanf(f, "%*d %*s %c", &state) != 1 || state == 'S';
}

/* All threads wait. One that has sent a response has more to do than its client sees. */
static void await_sleep(pid_t pid) {
        usec_t deadline = usec_now() + WAIT_SEC * USEC_PER_SEC;
        bool is_asleep = false;
        char path[64];

        (void) snprintf(path, sizeof(path), "/proc/%i/task", (int) pid);
        while (!is_asleep) {
                DIR *d = opendir(path);
                struct dirent *e;

                assert_non_null(d);
                is_asleep = true;
                while ((e = readdir(d)))
                        is_asleep = is_asleep && (e->d_name[0] == '.' || is_thread_asleep(pid, e->d_name));
                closedir(d);
                assert_true(usec_now() < deadline);
        }
}

static void keeper_reap(Keeper *k) {
        int status;

        assert_int_equal(waitpid(k->s.pid, &status, 0), k->s.pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        k->back_fd = fd_close(k->back_fd);
        fd_close(k->return_fd);
        (void) unlink(k->return_path);
        fd_close(k->s.out);
        fixture_close(&k->s.f);
}

/*
 * A server that stops hands the clients back that wait for nothing. It closes those in the middle of a request, those that
 * want no further one, and those that have closed their side.
 */
static void test_quit(void **state) {
        static const struct {
                const char *wait, *letters;
        } quits[] = {
                { "epoll", "" }, { "epoll", "rh" }, { "epoll", "my" }, { "edge", "" }, { "poll", "s" }, { "epoll", "x" },
                { "threads", "x" },
        };
        static const char *const last[] = {
                "GET /own/2 HTTP/1.1\r\nHost: a.example\r\nConnection: te, Close\r\n\r\n",
                "GET /own/2 HTTP/1.0\r\nHost: a.example\r\nConnection: keep-alive\r\n\r\n",
        };

        for (size_t i = 0; i < ELEMENTSOF(quits); i++) {
                int idle, busy, gone, closing[ELEMENTSOF(last)], asker;
                char byte;
                Keeper k;

                keeper_start(&k, quits[i].wait, quits[i].letters);
                idle = keeper_give(&k, own, "PUT /own/1 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\nab");
                expect(idle, "PUT /own/1 2\n");

                busy = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect(busy, "GET /own/1 0\n");
                say(busy, "PUT /own/2 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 40\r\n\r\n");

                gone = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect(gone, "GET /own/1 0\n");
                for (size_t c = 0; c < ELEMENTSOF(last); c++) {
                        closing[c] = keeper_give(&k, own, last[c]);
                        expect(closing[c], "GET /own/2 0\n");
                }

                asker = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect(asker, "GET /own/1 0\n");
                assert_int_equal(shutdown(gone, SHUT_WR), 0);
                if (strcmp(quits[i].wait, "threads") == 0)
                        assert_int_equal(recv(gone, &byte, 1, 0), 0);
                await_sleep(k.s.pid);
                say(asker, "GET /own/quit HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect(asker, "GET /own/quit 0\n");

                expect_served_next(&k, idle);
                expect_served_next(&k, asker);
                assert_int_equal(shutdown(busy, SHUT_WR), 0);
                expect_end(busy);
                expect_end(gone);
                for (size_t c = 0; c < ELEMENTSOF(last); c++) {
                        (void) shutdown(closing[c], SHUT_WR);
                        expect_end(closing[c]);
                        fd_close(closing[c]);
                }
                fd_close(idle);
                fd_close(busy);
                fd_close(gone);
                fd_close(asker);
                if (strchr(quits[i].letters, 'x'))
                        keeper_reap(&k);
                else
                        keeper_stop(&k);
        }
}

/* A client of which nothing was read goes back too, unless a child or another process may serve it. */
static void test_quit_unread(void **state) {
        static const char *const letters[] = { "", "f", "p" };

        for (size_t i = 0; i < ELEMENTSOF(letters); i++) {
                int pair[2], asker;
                Keeper k;

                keeper_start(&k, "epoll", letters[i]);
                quick_pair(pair);
                keeper_give_fd(&k, pair[1], own);
                fd_close(pair[1]);

                asker = keeper_give(&k, own, "GET /own/quit HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect(asker, "GET /own/quit 0\n");
                if (*letters[i])
                        expect_end(pair[0]);
                else
                        expect_served_next(&k, pair[0]);
                expect_served_next(&k, asker);
                fd_close(pair[0]);
                fd_close(asker);
                keeper_stop(&k);
        }
}

/* The next request has come before the server closes the client. No byte of it is lost. */
static void test_quit_late(void **state) {
        Keeper k;
        int client, asker;

        keeper_start(&k, "epoll", "");
        client = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
        expect(client, "GET /own/1 0\n");
        asker = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
        expect(asker, "GET /own/1 0\n");

        /* epoll tells of the one that came first. */
        assert_int_equal(kill(k.s.pid, SIGSTOP), 0);
        say(asker, "GET /own/quit HTTP/1.1\r\nHost: a.example\r\n\r\n");
        say(client, "GET /own/2 HTTP/1.1\r\nHost: a.example\r\n\r\n");
        assert_int_equal(kill(k.s.pid, SIGCONT), 0);

        fd_close(expect_back(&k, "GET /own/2 HTTP/1.1\r\nHost: a.example\r\n\r\n"));
        expect(asker, "GET /own/quit 0\n");
        expect_served_next(&k, asker);
        fd_close(client);
        fd_close(asker);
        keeper_stop(&k);
}

/*
 * A server looks for the next request before it waits for one, finds it at its end, and waits all the same. It gets the
 * event then, otherwise it would keep the descriptor until its time-out.
 */
static void test_looks_ahead(void **state) {
        char line[16];
        int client;
        Keeper k;

        keeper_start(&k, "epoll", "a");
        client = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
        expect(client, "GET /own/1 0\n");
        say(client, FOREIGN);
        fd_close(expect_back(&k, FOREIGN));
        read_line(k.s.out, line, sizeof(line));
        assert_string_equal(line, "dropped\n");
        fd_close(client);
        keeper_stop(&k);
}

/* A server closes a client right after a response that did not say so. It is about to stop, as Apache and gunicorn do. */
static void test_fresh(void **state) {
        static const char *const letters[] = { "", "rh", "y" };

        for (size_t i = 0; i < ELEMENTSOF(letters); i++) {
                Keeper k;
                int client;

                /* Up to now it could be a server that keeps no client. */
                keeper_start(&k, "epoll", letters[i]);
                client = keeper_give(&k, own, "GET /own/bye HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect(client, "GET /own/bye 0\n");
                expect_end(client);
                fd_close(client);

                client = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect(client, "GET /own/1 0\n");
                say(client, "GET /own/bye HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect(client, "GET /own/bye 0\n");
                expect_served_next(&k, client);
                fd_close(client);

                /* This one was to be the last. */
                client = keeper_give(&k, own, "GET /own/bye HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
                expect(client, "GET /own/bye 0\n");
                expect_end(client);
                fd_close(client);
                keeper_stop(&k);
        }
}

/* A server closes clients before it reads from them. They go back, and may come again, but not for ever. */
static void test_refused(void **state) {
        int client, pair[2], n = 0;
        struct pollfd p;
        Keeper k;

        keeper_start(&k, "epoll", "");
        client = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
        expect(client, "GET /own/1 0\n");
        say(client, "GET /own/refuse HTTP/1.1\r\nHost: a.example\r\n\r\n");
        expect(client, "GET /own/refuse 0\n");

        quick_pair(pair);
        do {
                keeper_give_fd(&k, pair[1], own);
                fd_close(pair[1]);
                p = (struct pollfd){ .fd = pair[0], .events = POLLIN };
                while (poll(&p, 1, 0) == 0 && !has_message(k.back_fd))
                        ;
                if (!p.revents) {
                        pair[1] = receive_back(&k);
                        n++;
                }
        } while (!p.revents);
        expect_end(pair[0]);
        assert_int_equal(n, 64);

        fd_close(pair[0]);
        fd_close(client);
        keeper_stop(&k);
}

/* A server that goes on closes clients after a time-out, in each way. */
static void test_tired(void **state) {
        static const char *const letters[] = { "", "hy" };

        for (size_t i = 0; i < ELEMENTSOF(letters); i++) {
                Keeper k;
                int client, asker;

                keeper_start(&k, "epoll", letters[i]);
                client = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect(client, "GET /own/1 0\n");
                asker = keeper_give(&k, own, "GET /own/tired HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect(asker, "GET /own/tired 0\n");
                expect_end(client);
                fd_close(client);

                say(asker, FOREIGN);
                fd_close(expect_back(&k, FOREIGN));
                fd_close(asker);
                keeper_stop(&k);
        }
}

/* Many clients at once: the server waits for a broker that reads, until all of them are handed back. */
static void test_quit_many(void **state) {
        int clients[600], asker;
        Keeper k;

        keeper_start(&k, "epoll", "");
        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                clients[i] = keeper_give(&k, own, "GET /own/1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
                expect(clients[i], "GET /own/1 0\n");
        }
        asker = keeper_give(&k, own, "GET /own/quit HTTP/1.1\r\nHost: a.example\r\n\r\n");
        expect(asker, "GET /own/quit 0\n");
        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                expect_served_next(&k, clients[i]);
                fd_close(clients[i]);
        }
        expect_served_next(&k, asker);
        fd_close(asker);
        keeper_stop(&k);
}

TEST_MAIN(TEST(test_quit),
          TEST(test_quit_unread),
          TEST(test_quit_late),
          TEST(test_quit_many),
          TEST(test_looks_ahead),
          TEST(test_fresh),
          TEST(test_refused),
          TEST(test_tired))
