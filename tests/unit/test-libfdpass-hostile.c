/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Messages of a hostile broker, and the check of the sender. */

#include "hostile-messages.h"

#include <sched.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "basic/parse.h"
#include "basic/time.h"
#include "libfdpass/fdpass.h"

#define STRANGER 12345 /* user ID that is neither root's nor in a namespace's map */

/* On a stream, a message of no bytes is no message. */
static bool is_nothing(const Fixture *f, size_t i) {
        return f->type == SOCK_STREAM && i < ELEMENTSOF(bad_bytes) && bad_bytes[i].n == 0;
}

/*
 * Every sender learns that its client was not taken. A message that is too long for a stream is left unread: a reset.
 */
static void assert_receipt(const Fixture *f, int conn, size_t i) {
        bool is_long = i < ELEMENTSOF(bad_bytes) && bad_bytes[i].n > 2;

        assert_int_equal(handoff_receipt(conn, true), f->type == SOCK_STREAM && is_long ? RECEIPT_RESET : RECEIPT_ERROR);
}

static void assert_good_client(const Fixture *f, int client[static 2]) {
        int conn = fixture_connect(f), fd;

        assert_int_equal(send_in_form(f, conn, client[1]), 0);
        fd = fdpass_accept(f->fd, SOCK_CLOEXEC, NULL);
        assert_true(fd >= 0);
        assert_connected(client[0], fd);
        fd_close(fd);
        fd_close(conn);
}

static void hostile(int type, size_t n_messages) {
        int client[2], conn, fd, lowest;
        struct fdpass *m = NULL;
        Fixture f;

        fixture_open(&f, type, SOCK_NONBLOCK, 8);
        client_pair(client);
        lowest = lowest_free_fd();

        for (size_t i = 0; i < n_messages; i++) {
                conn = fixture_connect(&f);
                send_case(&f, conn, client[1], i % N_CASES);
                if (is_nothing(&f, i % N_CASES))
                        conn = fd_close(conn);

                fd = fdpass_accept(f.fd, SOCK_CLOEXEC | (i % 2 ? FDPASS_DEFER : 0), &m);
                assert_int_equal(fd, is_nothing(&f, i % N_CASES) ? -ECONNABORTED : -EPROTO);
                assert_null(m);
                if (conn >= 0)
                        assert_receipt(&f, conn, i % N_CASES);
                fd_close(conn);

                assert_int_equal(lowest_free_fd(), lowest);
                if (i % N_CASES == 0)
                        assert_good_client(&f, client);
        }

        pair_close(client);
        fixture_close(&f);
}

/* FDPASS_TEST_MESSAGES=1000000 for the long run. */
static size_t how_many(void) {
        const char *s = getenv("FDPASS_TEST_MESSAGES");
        unsigned n = 100000;

        if (s)
                assert_int_equal(parse_unsigned(s, &n), 0);
        return n / 2;
}

static void test_hostile_stream(void **state) {
        hostile(SOCK_STREAM, how_many());
}

static void test_hostile_seqpacket(void **state) {
        hostile(SOCK_SEQPACKET, how_many());
}

/* The same messages with Accept=yes. */
static void test_hostile_connection(void **state) {
        for (size_t i = 0; i < N_CASES; i++) {
                int pair[2], client[2];

                Fixture f = { .type = SOCK_SEQPACKET };

                client_pair(client);
                assert_int_equal(socketpair(AF_UNIX, f.type | SOCK_CLOEXEC, 0, pair), 0);
                send_case(&f, pair[0], client[1], i);
                assert_int_equal(fdpass_accept(pair[1], SOCK_CLOEXEC, NULL), -EPROTO);
                assert_int_equal(handoff_receipt(pair[0], true), RECEIPT_ERROR);
                assert_int_equal(fdpass_accept(pair[1], SOCK_CLOEXEC, NULL), -ENOTCONN);

                pair_close(pair);
                pair_close(client);
        }
}

/* Room for one of two descriptors: the kernel drops the second, and the message is invalid. */
static void test_two_for_one_place(void **state) {
        struct rlimit limit, low;
        int client[2], conn, r;
        Fixture f;

        client_pair(client);
        fixture_open(&f, SOCK_SEQPACKET, 0, 8);
        conn = fixture_connect(&f);
        send_good_bytes(&f, conn, client[1], 2);

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        low = (struct rlimit){ (rlim_t) (lowest_free_fd() + 2), limit.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        r = fdpass_accept(f.fd, 0, NULL);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_int_equal(r, -EPROTO);
        assert_int_equal(handoff_receipt(conn, true), RECEIPT_ERROR);

        fd_close(conn);
        fixture_close(&f);
        pair_close(client);
}

static void wait_for(pid_t pid, int expected) {
        int status;

        assert_true(pid > 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), expected);
}

/* Sends a client from a process of the user @uid, which has ended when this returns. */
static void send_as(const Fixture *f, uid_t uid, int client_fd) {
        pid_t pid = fork();

        if (pid == 0) {
                int fd;

                if (setuid(uid) < 0)
                        _exit(1);
                fd = handoff_connect_type(&f->address, f->len, f->type);
                if (fd < 0)
                        _exit(2);
                _exit(send_in_form(f, fd, client_fd) < 0 ? 3 : 0);
        }

        wait_for(pid, 0);
}

/* Accepts in a user namespace as PrivateUsers=yes makes it: root is root, all other users are 65534. */
static void accept_in_namespace(const Fixture *f, int expected) {
        pid_t pid = fork();

        if (pid == 0) {
                _cleanup_fclose_ FILE *map = NULL;
                struct fdpass *m = NULL;
                int fd;

                if (unshare(CLONE_NEWUSER) < 0)
                        _exit(201);
                map = fopen("/proc/self/uid_map", "we");
                if (!map || fputs("0 0 1\n", map) < 0 || fflush(map) != 0)
                        _exit(202);

                fd = fdpass_accept(f->fd, 0, &m);
                if (fd < 0)
                        _exit(-fd);
                _exit(fdpass_sender(m) == 65534 ? 0 : 203);
        }

        wait_for(pid, expected);
}

/* unshare(2) fails with EPERM in a chroot. */
static bool can_unshare(void) {
        int status = 0;
        pid_t pid = fork();

        if (pid == 0)
                _exit(unshare(CLONE_NEWUSER) < 0);

        return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void prepare_file(const Fixture *f, mode_t mode, uid_t owner) {
        assert_int_equal(chmod(f->path, mode), 0);
        assert_int_equal(chown(f->path, owner, (gid_t) -1), 0);
}

static void test_sender(void **state) {
        static const struct {
                mode_t mode;
                uid_t owner;
                int flags, expected;
        } cases[] = {
                { 0600, STRANGER, 0, 0 },
                { 0666, STRANGER, 0, 0 },
                { 0666, 0, 0, -EPERM },
                { 0666, 0, FDPASS_ANY_SENDER, 0 },
        };
        int client[2];

        if (geteuid() != 0)
                skip();

        client_pair(client);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct fdpass *m = NULL;
                Fixture f;
                int fd;

                fixture_open(&f, SOCK_SEQPACKET, SOCK_NONBLOCK, 8);
                prepare_file(&f, cases[i].mode, cases[i].owner);
                send_as(&f, STRANGER, client[1]);

                fd = fdpass_accept(f.fd, cases[i].flags, &m);
                assert_int_equal(MIN(fd, 0), cases[i].expected);
                if (fd >= 0)
                        assert_int_equal(fdpass_sender(m), STRANGER);
                fdpass_free(m);
                fd_close(fd);
                assert_int_equal(fdpass_accept(f.fd, 0, NULL), -EAGAIN);

                /* Root and the worker's own user may always send. */
                assert_good_client(&f, client);
                fixture_close(&f);
        }
        pair_close(client);
}

/* The library believes for a second what it found about the file of a socket, and no longer. */
static void test_sender_after_chmod(void **state) {
        usec_t deadline = usec_now() + 10 * USEC_PER_SEC;
        int client[2], fd;
        Fixture f;

        if (geteuid() != 0)
                skip();

        client_pair(client);
        fixture_open(&f, SOCK_SEQPACKET, SOCK_NONBLOCK, 8);
        prepare_file(&f, 0600, STRANGER);
        send_as(&f, STRANGER, client[1]);
        fd = fdpass_accept(f.fd, 0, NULL);
        assert_true(fd >= 0);
        fd_close(fd);

        prepare_file(&f, 0666, 0);
        do {
                send_as(&f, STRANGER, client[1]);
                fd = fdpass_accept(f.fd, 0, NULL);
                assert_true(fd >= 0 || fd == -EPERM);
                fd_close(fd);
        } while (fd >= 0 && usec_now() < deadline);
        assert_int_equal(fd, -EPERM);

        fixture_close(&f);
        pair_close(client);
}

/* A number of a descriptor says nothing: another socket under the number of one that is known is looked at anew. */
static void test_other_socket_under_a_number(void **state) {
        static const int types[] = { SOCK_SEQPACKET, SOCK_STREAM };
        int client[2], fd, number = -EBADF;

        client_pair(client);
        for (size_t i = 0; i < 2 * ELEMENTSOF(types); i++) {
                Fixture f;

                fixture_open(&f, types[i % ELEMENTSOF(types)], SOCK_NONBLOCK, 8);
                assert_true(number < 0 || f.fd == number);
                number = f.fd;
                assert_good_client(&f, client);
                fixture_close(&f);
        }

        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(fd, number);
        assert_int_equal(listen(fd, 1), 0);
        assert_int_equal(fdpass_accept(fd, 0, NULL), -EOPNOTSUPP);
        fd_close(fd);
        pair_close(client);
}

/* Takes all descriptors but @n_free. Returns how many it took. */
static size_t take_descriptors(int fds[], size_t size, size_t n_free) {
        size_t n = 0;

        while (n < size && (fds[n] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)) >= 0)
                n++;
        assert_true(n < size && n > n_free);
        for (size_t i = 0; i < n_free; i++)
                fd_close(fds[--n]);
        return n;
}

/* The process runs out of descriptors after the socket is known. No client is taken then, and none is lost. */
static void test_full_later(void **state) {
        int client[2], conn, fds[256], fd;
        struct rlimit limit, low;
        Fixture f;
        size_t n;

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        low = (struct rlimit){ 128, limit.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);

        fixture_open(&f, SOCK_SEQPACKET, SOCK_NONBLOCK, 8);
        client_pair(client);
        assert_good_client(&f, client);

        for (size_t n_free = 0; n_free < 2; n_free++)
                for (int i = 0; i < 2; i++) {
                        conn = fixture_connect(&f);
                        send_good_bytes(&f, conn, client[1], 1);
                        n = take_descriptors(fds, ELEMENTSOF(fds), n_free);
                        fd = fdpass_accept(f.fd, 0, NULL);
                        for (size_t k = 0; k < n; k++)
                                fd_close(fds[k]);
                        assert_int_equal(fd, -EMFILE);

                        Receipt r = handoff_receipt(conn, false);
                        assert_true(r == RECEIPT_NONE || r == RECEIPT_RESET);
                        if (r == RECEIPT_NONE) {
                                fd = fdpass_accept(f.fd, 0, NULL);
                                assert_true(fd >= 0);
                                fd_close(fd);
                        }
                        fd_close(conn);
                }

        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        fixture_close(&f);
        pair_close(client);
}

/* A sender without permission learns that its client was not taken. */
static void test_sender_keeps(void **state) {
        int client[2], conn;
        Fixture f;

        if (geteuid() != 0)
                skip();

        client_pair(client);
        fixture_open(&f, SOCK_SEQPACKET, 0, 8);
        prepare_file(&f, 0666, 0);
        assert_int_equal(seteuid(STRANGER), 0);
        conn = fixture_connect(&f);
        assert_int_equal(seteuid(0), 0);
        assert_int_equal(send_in_form(&f, conn, client[1]), 0);

        assert_int_equal(fdpass_accept(f.fd, 0, NULL), -EPERM);
        assert_int_equal(handoff_receipt(conn, false), RECEIPT_RESET);

        fd_close(conn);
        fixture_close(&f);
        pair_close(client);
}

/* In a user namespace all senders look alike, so the file's mode decides. */
static void test_sender_in_namespace(void **state) {
        int client[2];
        Fixture f;

        if (geteuid() != 0 || !can_unshare())
                skip();

        client_pair(client);

        fixture_open(&f, SOCK_SEQPACKET, SOCK_NONBLOCK, 8);
        prepare_file(&f, 0600, STRANGER);
        send_as(&f, STRANGER, client[1]);
        accept_in_namespace(&f, 0);
        prepare_file(&f, 0666, STRANGER);
        send_as(&f, STRANGER, client[1]);
        accept_in_namespace(&f, EPERM);
        fixture_close(&f);

        pair_close(client);
}

TEST_MAIN(TEST(test_hostile_stream),
          TEST(test_hostile_seqpacket),
          TEST(test_hostile_connection),
          TEST(test_two_for_one_place),
          TEST(test_other_socket_under_a_number),
          TEST(test_full_later),
          TEST(test_sender),
          TEST(test_sender_after_chmod),
          TEST(test_sender_keeps),
          TEST(test_sender_in_namespace))
