/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test.h"

#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "basic/fd.h"
#include "helper/internal.h"

#define DEADLINE_USEC (10 * USEC_PER_SEC)
#define OWNER 17

/* The task of these tests: reads one byte, for as long as that takes. */
typedef struct Reading {
        bool was_read;
        char byte;
} Reading;

static struct {
        Helper *helper;
        int epoll_fd;
        HelperEvent event;   /* the last one that expect_event() has seen */
} t;

static void read_byte(void *memory, int fd) {
        Reading *r = memory;

        r->was_read = read(fd, &r->byte, 1) == 1;
}

#define WAIT_FOR(condition)                                                \
        do {                                                               \
                usec_t _end = usec_now() + DEADLINE_USEC;                  \
                while (!(condition)) {                                     \
                        assert_true(usec_now() < _end);                    \
                        (void) poll(NULL, 0, 1);                           \
                }                                                          \
        } while (false)

static bool is_open(int fd) {
        return fcntl(fd, F_GETFD) >= 0;
}

static bool is_at_end(int fd) {
        char byte;

        return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
}

static int setup(void **state) {
        struct rlimit limit;

        (void) remember_fds(state);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_int_equal(helper_new(limit.rlim_cur, sizeof(Reading), read_byte, &t.helper), 0);
        t.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        assert_int_equal(helper_watch(t.helper, t.epoll_fd, 1), 0);
        return 0;
}

static int teardown(void **state) {
        t.helper = helper_free(t.helper);
        t.epoll_fd = fd_close(t.epoll_fd);
        return compare_fds(state);
}

/* Takes the events as they come, until there is one of this kind. */
static bool has_event(HelperEventKind kind) {
        for (;;) {
                helper_dispatch(t.helper, &t.event);
                if (t.event.kind == kind || t.event.kind == HELPER_NOTHING)
                        break;
        }

        return t.event.kind == kind;
}

static void expect_event(HelperEventKind kind) {
        struct epoll_event event;

        /* Each event is told: a wait without one is a failure. */
        while (!has_event(kind))
                assert_int_equal(epoll_wait(t.epoll_fd, &event, 1, (int) (DEADLINE_USEC / USEC_PER_MSEC)), 1);
}

static void put(HelperLine line, int fd) {
        helper_close(t.helper, line, fd, 0);
        helper_turn(t.helper);
}

/* A connection with unsent bytes: who closes it last waits for an hour. */
static void lingering_pair(int *ret_peer, int *ret_fd) {
        const struct linger linger = { .l_onoff = 1, .l_linger = 3600 };
        struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        static const char zeros[65536];
        socklen_t len = sizeof(sin);
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        (void) setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &(int){ 4096 }, sizeof(int));
        assert_int_equal(bind(listener, (struct sockaddr *) &sin, sizeof(sin)), 0);
        assert_int_equal(listen(listener, 1), 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *) &sin, &len), 0);
        *ret_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(*ret_fd, (struct sockaddr *) &sin, sizeof(sin)), 0);
        *ret_peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        fd_close(listener);

        while (send(*ret_fd, zeros, sizeof(zeros), MSG_DONTWAIT) > 0)
                ;
        assert_int_equal(setsockopt(*ret_fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
}

static void test_closes(void **state) {
        int pairs[300][2];

        for (size_t i = 0; i < ELEMENTSOF(pairs); i++)
                assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pairs[i]), 0);

        /* In several bursts, so that the lane falls asleep between them. */
        for (size_t i = 0; i < ELEMENTSOF(pairs); i++) {
                put(i % 2 == 0 ? HELPER_CLIENTS : HELPER_CONNECTIONS, pairs[i][1]);
                if (i % 10 == 9)
                        WAIT_FOR(is_at_end(pairs[i][0]));
        }

        for (size_t i = 0; i < ELEMENTSOF(pairs); i++) {
                WAIT_FOR(is_at_end(pairs[i][0]));
                fd_close(pairs[i][0]);
        }
        assert_int_equal(helper_n_pending(t.helper), 0);
}

/* Descriptors that may wait share wake-ups, and none waits for longer than it may. */
static void test_later(void **state) {
        assert_int_equal(helper_is_due(t.helper), USEC_INFINITY);
        for (unsigned i = 0; i < 3 * HELPER_LATER_MAX + 5; i++) {
                int fds[2];

                assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
                fd_close(fds[1]);
                helper_close_later(t.helper, HELPER_CLIENTS, fds[0], 0);
                assert_true(helper_is_due(t.helper) <= HELPER_LATER_USEC);
                helper_turn(t.helper);
                if (i == 0) /* it comes alone */
                        WAIT_FOR(helper_n_pending(t.helper) == 0);
        }

        WAIT_FOR((helper_turn(t.helper), helper_is_due(t.helper) == USEC_INFINITY && helper_n_pending(t.helper) == 0));

        helper_close_later(t.helper, HELPER_CLIENTS, -EBADF, 0);
        assert_int_equal(helper_is_due(t.helper), USEC_INFINITY);
}

/* One at a time, as quickly as the lane falls asleep: no wake-up is lost. */
static void test_wakes_up(void **state) {
        for (unsigned i = 0; i < 20000; i++) {
                int fds[2];

                assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
                helper_close(t.helper, HELPER_CLIENTS, fds[0], 0);
                helper_turn(t.helper);
                helper_close(t.helper, HELPER_CONNECTIONS, fds[1], 0);
                helper_turn(t.helper);
                while (helper_n_pending(t.helper) > (i % 3 == 0 ? 0 : 100)) {
                        usec_t end = usec_now() + DEADLINE_USEC;

                        while (helper_n_pending(t.helper) > 0)
                                assert_true(usec_now() < end);
                }
        }
}

static void test_lingers(void **state) {
        int peers[100], fds[100], pair[2];
        usec_t begin;

        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                lingering_pair(&peers[i], &fds[i]);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);

        begin = usec_now();
        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                helper_close(t.helper, HELPER_CLIENTS, fds[i], OWNER);
        put(HELPER_CLIENTS, pair[1]);
        WAIT_FOR(is_at_end(pair[0]));
        assert_true(usec_now() - begin < 3 * USEC_PER_SEC);

        fd_close(pair[0]);
        WAIT_FOR(helper_n_pending(t.helper) == 0);
        for (size_t i = 0; i < ELEMENTSOF(peers); i++) {
                WAIT_FOR(!is_open(fds[i]));
                fd_close(peers[i]);
        }
}

static void start(int fd, unsigned *ret_slot) {
        Reading *r = helper_task_new(t.helper, ret_slot);

        assert_non_null(r);
        *r = (Reading){};
        helper_task_start(t.helper, *ret_slot, fd, OWNER);
}

static void test_task(void **state) {
        unsigned slot, slots[HELPER_TASKS_MAX];
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        start(fds[0], &slot);
        assert_int_equal(write(fds[1], "x", 1), 1);
        expect_event(HELPER_TASK_DONE);
        assert_int_equal(t.event.slot, slot);
        assert_int_equal(t.event.owner, OWNER);
        assert_true(((Reading *) helper_task_memory(t.helper, slot))->was_read);
        assert_int_equal(((Reading *) helper_task_memory(t.helper, slot))->byte, 'x');
        helper_task_free(t.helper, slot);
        assert_true(is_open(fds[0]));

        for (size_t i = 0; i < ELEMENTSOF(slots); i++)
                assert_non_null(helper_task_new(t.helper, &slots[i]));
        assert_null(helper_task_new(t.helper, &slot));
        for (size_t i = 0; i < ELEMENTSOF(slots); i++)
                helper_task_free(t.helper, slots[i]);

        fd_close(fds[0]);
        fd_close(fds[1]);
}

/* A task that takes too long is given up: its descriptor is closed when it is done, and not before. */
static void test_late(void **state) {
        unsigned slot;
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        start(fds[0], &slot);
        expect_event(HELPER_TASK_LATE);
        assert_int_equal(t.event.slot, slot);
        helper_task_abandon(t.helper, slot);
        assert_true(is_open(fds[0]));

        assert_int_equal(write(fds[1], "x", 1), 1);
        expect_event(HELPER_GOES_ON);
        assert_int_equal(t.event.owner, OWNER);
        WAIT_FOR(!is_open(fds[0]));
        fd_close(fds[1]);
}

/* A task that ends just when it is given up is closed by a lane. */
static void test_late_but_done(void **state) {
        unsigned slot;
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        start(fds[0], &slot);
        assert_int_equal(write(fds[1], "x", 1), 1);
        WAIT_FOR(((volatile Reading *) helper_task_memory(t.helper, slot))->was_read);
        helper_task_abandon(t.helper, slot);
        helper_turn(t.helper);
        WAIT_FOR(!is_open(fds[0]));
        expect_event(HELPER_GOES_ON);
        fd_close(fds[1]);
}

static void kill_helper(void) {
        assert_int_equal(syscall(SYS_pidfd_send_signal, t.helper->pid_fd, SIGKILL, NULL, 0), 0);
}

/*
 * A call that hangs for a second has the helper replaced. The old one holds only the descriptor of that call: the end
 * of another descriptor reaches its peer.
 */
static void test_replaced(void **state) {
        int hanging[2], pair[2], other[2], held[2];
        unsigned slot;

        assert_int_equal(pipe2(hanging, O_CLOEXEC), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, other), 0);

        start(hanging[0], &slot);
        expect_event(HELPER_TASK_LATE);
        helper_task_abandon(t.helper, slot);
        expect_event(HELPER_REPLACED);
        assert_int_equal(t.helper->retired[0].n_owners, 1);

        put(HELPER_CLIENTS, pair[1]);
        fd_close(other[1]);
        WAIT_FOR(is_at_end(pair[0]));
        WAIT_FOR(is_at_end(other[0]));

        /* The new one has the descriptor as well, and has closed it. */
        WAIT_FOR(!is_open(hanging[0]));

        /* Another one of the same owner waits until nothing of it hangs. */
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, held), 0);
        assert_true(helper_hangs_at(t.helper, OWNER));
        helper_close(t.helper, HELPER_CLIENTS, held[1], OWNER);
        helper_turn(t.helper);
        assert_int_equal(helper_n_pending(t.helper), 1);

        assert_int_equal(write(hanging[1], "x", 1), 1);
        expect_event(HELPER_GOES_ON);
        assert_int_equal(t.event.owner, OWNER);
        assert_null(t.helper->retired[0].shared);
        assert_false(helper_hangs_at(t.helper, OWNER));
        helper_turn(t.helper);
        WAIT_FOR(is_at_end(held[0]));
        fd_close(held[0]);

        /* And it does what the old one did. */
        assert_int_equal(pipe2(other, O_CLOEXEC), 0);
        start(other[0], &slot);
        assert_int_equal(write(other[1], "y", 1), 1);
        expect_event(HELPER_TASK_DONE);
        helper_task_free(t.helper, slot);

        fd_close(pair[0]);
        fd_close(hanging[1]);
        fd_close(other[0]);
        fd_close(other[1]);
}

/* A helper that was killed is started again, and goes on with what was to be done. */
static void test_restarted(void **state) {
        int pair[2], fds[2];
        unsigned slot;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        start(fds[0], &slot);
        kill_helper();
        WAIT_FOR(has_event(HELPER_RESTARTED));

        put(HELPER_CONNECTIONS, pair[1]);
        WAIT_FOR(is_at_end(pair[0]));
        assert_int_equal(write(fds[1], "x", 1), 1);
        expect_event(HELPER_TASK_DONE);
        helper_task_free(t.helper, slot);

        /* Not at once, the second time. */
        kill_helper();
        WAIT_FOR((helper_turn(t.helper), has_event(HELPER_RESTARTED)));
        assert_true(t.helper->pid_fd >= 0);

        fd_close(pair[0]);
        fd_close(fds[0]);
        fd_close(fds[1]);
}

/* Without a helper it is a plain close(2). */
static void test_none(void **state) {
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        helper_close(NULL, HELPER_CLIENTS, fds[0], 0);
        assert_false(is_open(fds[0]));
        helper_close(NULL, HELPER_CLIENTS, -EBADF, 0);
        helper_turn(NULL);
        assert_int_equal(helper_n_pending(NULL), 0);
        fd_close(fds[1]);
}

#define HELPER_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

TEST_MAIN(HELPER_TEST(test_closes),
          HELPER_TEST(test_later),
          HELPER_TEST(test_wakes_up),
          HELPER_TEST(test_lingers),
          HELPER_TEST(test_task),
          HELPER_TEST(test_late),
          HELPER_TEST(test_late_but_done),
          HELPER_TEST(test_replaced),
          HELPER_TEST(test_restarted),
          cmocka_unit_test(test_none))
