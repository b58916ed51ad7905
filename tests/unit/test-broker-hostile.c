/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Hostile workers, and hostile peers of the return socket. */

#include "tcp-fixture.h"
#include "hostile-messages.h"

#include <errno.h>
#include <sys/resource.h>

#include "basic/parse.h"
#include "broker/handback.h"

/*
 * The longest time that one turn of the broker's loop took, waits for the processor included, and the longest that
 * it used the processor.
 */
static usec_t longest, longest_cpu;

static usec_t cpu_now(void) {
        struct timespec ts = {};

        (void) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
        return (usec_t) ts.tv_sec * USEC_PER_SEC + (usec_t) ts.tv_nsec / 1000;
}

static void turn(void) {
        usec_t begin = usec_now(), cpu = cpu_now();

        assert_true(broker_turn(t.broker, 0) >= 0);
        longest = MAX(longest, usec_now() - begin);
        longest_cpu = MAX(longest_cpu, cpu_now() - cpu);
}

#define TURN_UNTIL(condition)                                 \
        do {                                                  \
                usec_t _end = usec_now() + DEADLINE_USEC;     \
                while (!(condition)) {                        \
                        assert_true(usec_now() < _end);       \
                        turn();                               \
                }                                             \
        } while (false)

/* FDPASS_TEST_MESSAGES=1000000 for the long run. */
static size_t how_many(unsigned n) {
        const char *s = getenv("FDPASS_TEST_MESSAGES");

        if (s)
                assert_int_equal(parse_unsigned(s, &n), 0);
        return n;
}

static size_t resident_pages(void) {
        _cleanup_fclose_ FILE *f = fopen("/proc/self/statm", "re");
        unsigned long size = 0, resident = 0;

        assert_int_equal(fscanf(f, "%lu %lu", &size, &resident), 2);
        return resident;
}

static void report(const char *what, size_t n, size_t pages_before) {
        print_message("# %zu %s: the longest turn %llu µs of CPU, %llu µs in all; memory %+ld KiB\n", n, what,
                      (unsigned long long) longest_cpu, (unsigned long long) longest,
                      4 * ((long) resident_pages() - (long) pages_before));
        longest = longest_cpu = 0;
}

/* The return socket, as the fixture of the messages wants it: they are sent there. */
static Fixture return_socket(void) {
        Fixture f = { .type = SOCK_SEQPACKET };

        path_of("return", f.path);
        assert_int_equal(address_from_path(f.path, &f.address, &f.len), 0);
        assert_int_equal(handback_listen(t.broker, "return", listen_type_at("return", SOCK_SEQPACKET, 4096)), 0);
        return f;
}

/* Not before the broker has taken some: sooner or later its backlog and the loop have to meet. */
static int connect_to(const Fixture *f) {
        int fd;

        while ((fd = handoff_connect_type(&f->address, f->len, f->type)) == -EAGAIN)
                turn();
        assert_true(fd >= 0);
        return fd;
}

static void serve_one(int worker) {
        int client = dial_and_say("public", 'x');

        TURN_UNTIL(has_event(worker, POLLIN));
        assert_int_equal(take_byte(worker), 'x');
        fd_close(client);
}

/* Nothing of it is taken, nothing stays open, and others are served meanwhile. */
static void test_return_socket(void **state) {
        Fixture f = return_socket();
        size_t n = how_many(20000), pages = 0;
        int worker = listen_at("a", 8), client[2], lowest;

        USE({ .unit = "a.socket", .worker = "a" });
        client_pair(client);
        serve_one(worker);
        TURN_UNTIL(n_in_broker() == 0 && helper_n_pending(t.helper) == 0);
        lowest = lowest_free_fd();

        for (size_t i = 0; i < n; i++) {
                int conn = connect_to(&f);
                Receipt receipt;

                send_case(&f, conn, client[1], i % N_CASES);
                (void) shutdown(conn, SHUT_WR);
                TURN_UNTIL((receipt = handoff_receipt(conn, false)) != RECEIPT_NONE);
                assert_int_equal(receipt, RECEIPT_ERROR);
                fd_close(conn);

                if (i % 1000 == 0)
                        serve_one(worker);
                if (i == n / 10)
                        pages = resident_pages();
        }

        TURN_UNTIL(lowest_free_fd() <= lowest && n_in_broker() == 0); /* the helper may have closed one since */
        assert_int_equal(n_returned(), 0);
        report("wrong messages to the return socket", n, pages);
        pair_close(client);
        fd_close(worker);
}

static int send_good(const Fixture *f, int conn, int ret[static 1]) {
        int client[2];

        client_pair(client);
        send_good_bytes(f, conn, client[1], 1);
        fd_close(client[1]);
        *ret = client[0];
        return conn;
}

/* Many silent peers keep no other one out, and the broker reads the peers that sent something earlier. */
static void test_silent_peers(void **state) {
        Fixture f = return_socket();
        int early, late, conns[150], mine[2]; /* the broker gives each 64 of them a second */
        struct rlimit limit;

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        limit.rlim_cur = limit.rlim_max;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        USE({ .unit = "a.socket", .worker = "a", .host = "a" });

        early = send_good(&f, connect_to(&f), &mine[0]);
        for (size_t i = 0; i < ELEMENTSOF(conns); i++)
                conns[i] = connect_to(&f);
        late = send_good(&f, connect_to(&f), &mine[1]);
        TURN_UNTIL(n_parked() == 2);
        assert_int_equal(handoff_receipt(early, false), RECEIPT_TAKEN);
        assert_int_equal(handoff_receipt(late, false), RECEIPT_TAKEN);

        for (size_t i = 0; i < ELEMENTSOF(conns); i++)
                fd_close(conns[i]);
        fd_close(early);
        fd_close(late);
        pair_close(mine);
        TURN_UNTIL(n_in_broker() == 0);
        report("silent peers", ELEMENTSOF(conns), resident_pages());
}

/* A peer that reads no answers loses its connection. The answers keep their order. */
static void test_peer_that_never_reads(void **state) {
        Fixture f = return_socket();
        int client[2], conn = connect_to(&f);
        size_t n = 0, n_answers = 0;
        uint8_t answer;

        USE({ .unit = "a.socket", .worker = "a", .host = "a" });
        set_max_parked(1);
        client_pair(client);
        for (usec_t end = usec_now() + DEADLINE_USEC; usec_now() < end;) {
                Message m = MESSAGE_NULL;
                int r = send_message(conn, &m, client[1]);

                if (r == -EPIPE || r == -ECONNRESET)
                        break;
                assert_true(r >= 0 || r == -EAGAIN);
                n += r >= 0;
                turn();
                turn();
        }
        assert_in_range(n, 100, 4000);
        for (ssize_t k; (k = recv(conn, &answer, 1, MSG_DONTWAIT)) == 1 || (k < 0 && errno == ECONNRESET);)
                n_answers += k == 1 && answer == FDPASS_ANSWER_TAKEN; /* the reset is told once, before what is there */
        assert_true(n_answers > 0 && n_answers <= n);
        TURN_UNTIL(n_in_broker() <= 1); /* one source: each makes room for the next */

        fd_close(conn);
        pair_close(client);
        TURN_UNTIL(n_in_broker() == 0);
}

/* A connection with unsent bytes: the process that closes it last waits for a minute. */
static void lingering_pair(int ret[static 2]) {
        const struct linger linger = { .l_onoff = 1, .l_linger = 60 };
        static const uint8_t zeros[65536];

        client_pair(ret);
        while (send(ret[1], zeros, sizeof(zeros), MSG_DONTWAIT) > 0)
                ;
        assert_int_equal(setsockopt(ret[1], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
}

static void close_without_lingering(int pair[static 2]) {
        fd_close(pair[0]); /* unread bytes: a reset, and nothing is left to wait for */
        fd_close(pair[1]);
}

/* Sends it where it is not taken, and keeps no copy. */
static void test_lingering_return(void **state) {
        Fixture f = return_socket();
        int conn = connect_to(&f), pair[2];

        USE({ .unit = "a.socket", .worker = "a", .host = "a" });
        lingering_pair(pair);
        send_raw(conn, "garbage", 7, pair[1], 1);
        pair[1] = fd_close(pair[1]);
        longest = 0;
        TURN_UNTIL(handoff_receipt(conn, false) == RECEIPT_ERROR);
        assert_true(longest < USEC_PER_SEC);

        fd_close(conn);
        close_without_lingering(pair);
}

/* The worker plays this trick on the connection and on the client that it was sent. */
typedef enum Trick {
        CLOSES_UNREAD,
        GARBAGE,
        MANY_ANSWERS,
        DESCRIPTORS,
        LINGERING_DESCRIPTOR,
        LINGERING_CLIENT,
        N_TRICKS,
} Trick;

static void answer_often(int conn, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (send(conn, "\x7f", 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
                        if (errno != EAGAIN)
                                return;
                        turn();
                }
}

static void try_send_fds(int conn, int fd, size_t n) {
        union {
                struct cmsghdr header;
                char buffer[CMSG_SPACE(sizeof(int) * 253)];
        } control = {};
        struct iovec iov = { .iov_base = (char[]){ FDPASS_ANSWER_TAKEN }, .iov_len = 1 };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                                  .msg_controllen = CMSG_SPACE(sizeof(int) * n) };

        control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
                                           .cmsg_len = CMSG_LEN(sizeof(int) * n) };
        for (size_t i = 0; i < n; i++)
                memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &fd, sizeof(int));
        (void) !sendmsg(conn, &message, MSG_NOSIGNAL); /* EPERM: SO_PASSRIGHTS is off there, since Linux 6.16 */
}

static void play(Trick trick, int conn, int pair[static 2]) {
        const struct linger linger = { .l_onoff = 1, .l_linger = 60 };
        static const uint8_t zeros[65536];
        int client = -EBADF;

        if (trick != CLOSES_UNREAD)
                assert_int_equal(handoff_receive(conn, &client), 0);

        switch (trick) {

        case CLOSES_UNREAD:
                break;

        case GARBAGE:
                (void) send(conn, zeros, 5000, MSG_NOSIGNAL);
                break;

        case MANY_ANSWERS:
                answer_often(conn, 1000000);
                break;

        case DESCRIPTORS:
                try_send_fds(conn, STDIN_FILENO, 253);
                break;

        case LINGERING_DESCRIPTOR:
                lingering_pair(pair);
                try_send_fds(conn, pair[1], 1);
                break;

        case LINGERING_CLIENT:
                assert_int_equal(setsockopt(client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
                while (send(client, zeros, sizeof(zeros), MSG_DONTWAIT) > 0)
                        ;
                client = fd_close(client); /* the broker's is the last */
                break;

        default:
                break;
        }

        fd_close(client);
}

/* A hostile worker harms its own clients only. All others are served in time. */
static void test_workers(void **state) {
        int worker = listen_at("a", 64), other = listen_at("b", 8), lowest;
        size_t n = how_many(60000) / 100, pages = 0;

        add_tcp("tcp");
        USE({ .unit = "a.socket", .worker = "a", .listener = "tcp" },
            { .unit = "b.socket", .worker = "b", .listener = "public" });
        serve_one(other);
        TURN_UNTIL(n_in_broker() == 0);
        lowest = lowest_free_fd();
        longest = 0;

        for (size_t i = 0; i < n; i++) {
                /* A million answers are enough once. */
                Trick trick = i == 0 ? MANY_ANSWERS : (Trick) (i % N_TRICKS);
                int client = connect_tcp(), conn, pair[2] = { -EBADF, -EBADF };

                if (trick == MANY_ANSWERS && i > 0)
                        trick = GARBAGE;
                TURN_UNTIL(has_event(worker, POLLIN));
                conn = accept4(worker, NULL, NULL, SOCK_CLOEXEC);
                play(trick, conn, pair);
                if (trick == LINGERING_DESCRIPTOR)
                        pair[1] = fd_close_socket(pair[1]); /* where it was refused it is ours */
                fd_close(conn);

                if (trick == CLOSES_UNREAD) { /* it comes again */
                        TURN_UNTIL(has_event(worker, POLLIN));
                        conn = accept4(worker, NULL, NULL, SOCK_CLOEXEC);
                        play(GARBAGE, conn, pair);
                        fd_close(conn);
                }
                TURN_UNTIL(n_in_broker() == 0);
                fd_close(client);
                close_without_lingering(pair);
                if (i % 100 == 0)
                        serve_one(other);
                if (i == n / 10)
                        pages = resident_pages();
        }

        TURN_UNTIL(n_in_broker() == 0);
        TURN_UNTIL(lowest_free_fd() <= lowest);
        assert_true(longest < USEC_PER_SEC);
        report("tricks of a worker", n, pages);
        fd_close(worker);
        fd_close(other);
}

TEST_MAIN(BROKER_TEST_WITH_HELPER(test_return_socket),
          BROKER_TEST_WITH_HELPER(test_silent_peers),
          BROKER_TEST_WITH_HELPER(test_peer_that_never_reads),
          BROKER_TEST_WITH_HELPER(test_lingering_return),
          BROKER_TEST_WITH_HELPER(test_workers))
