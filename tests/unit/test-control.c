/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker-fixture.h"

#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "control/conn.h"
#include "control/control.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16 */
#endif

#define STRANGER 65533 /* no user and no group has it */
#define GROUP 65532
#define HANDSHAKE "\0AUTH ANONYMOUS\r\nBEGIN\r\n"

/* A call of org.freedesktop.DBus.Peer.Ping, whose answer is as long. */
static const char ping[88] = "l\1\0\1\0\0\0\0\1\0\0\0\x45\0\0\0"
                             "\1\1o\0\1\0\0\0/\0\0\0\0\0\0\0"
                             "\2\1s\0\x19\0\0\0org.freedesktop.DBus.Peer\0\0\0\0\0\0\0"
                             "\3\1s\0\4\0\0\0Ping";

static Control *control;

static void start(mode_t mode, gid_t gid) {
        static const LoadReport report;
        const ControlHost host = { .report = &report };
        int fd = listen_at("a", 128);
        char path[64];

        path_of("a", path);
        assert_int_equal(chmod(path, mode), 0);
        assert_int_equal(chmod(t.directory, 0755), 0);
        assert_true(geteuid() != 0 || chown(path, 0, gid) == 0);
        assert_int_equal(control_new(t.broker, fd, &host, &control), 0);
}

/* As on a kernel before 6.16, which lets descriptors come. */
static void let_descriptors_come(void) {
        const int on = 1;

        (void) setsockopt(control->fd, SOL_SOCKET, SO_PASSRIGHTS, &on, sizeof(on));
}

static void send_with_fd(int conn, const char *p, size_t n, int fd) {
        union {
                struct cmsghdr header;
                char buffer[CMSG_SPACE(sizeof(int))];
        } data = { .header = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) } };
        struct iovec iov = { .iov_base = (char *) (uintptr_t) p, .iov_len = n };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &data, .msg_controllen = sizeof(data) };

        memcpy(CMSG_DATA(&data.header), &fd, sizeof(fd));
        assert_int_equal(sendmsg(conn, &message, MSG_NOSIGNAL), n);
}

/* The kernel tells a peer whose bytes are unread when the other end closes by a reset. */
static bool ended_unread(int fd) {
        char byte;

        return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == ECONNRESET;
}

static bool is_answered(int fd) {
        char text[256];

        return recv(fd, text, sizeof(text), MSG_DONTWAIT) > 0;
}

static size_t n_queued(const ControlConn *conn) {
        uint64_t n = 0;

        assert_true(sd_bus_get_n_queued_write(conn->bus, &n) >= 0);
        return n;
}

static ControlConn *first_conn(void) {
        return CONTAINER_OF(list_first(&control->conns), ControlConn, link);
}

/* Connects as another user, and sends the handshake with a descriptor, or without. The connection is the parent's. */
static int dial_as(uid_t uid, gid_t group, bool with_fd) {
        int pair[2], fd = -EBADF, status;
        pid_t pid;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        pid = fork();
        if (pid == 0) {
                if (setgroups(1, &group) < 0 || setgid(uid) < 0 || setuid(uid) < 0)
                        _exit(1);
                fd = dial("a");
                if (with_fd)
                        send_with_fd(fd, HANDSHAKE, sizeof(HANDSHAKE) - 1, STDIN_FILENO);
                else if (send(fd, HANDSHAKE, sizeof(HANDSHAKE) - 1, 0) < 0)
                        _exit(1);
                _exit(handoff_send(pair[1], fd) < 0);
        }

        assert_true(pid > 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(handoff_receive(pair[0], &fd), 0);
        fd_close(pair[0]);
        fd_close(pair[1]);
        return fd;
}

/* connect(2) checks the mode of the socket. If all users may connect, only root and the broker's user are served. */
static void test_access(void **state) {
        static const struct {
                mode_t mode;
                gid_t group;       /* of the socket */
                uid_t uid;
                gid_t peers_group;
                bool allowed;
        } cases[] = {
                { 0666, 0, STRANGER, STRANGER, false },   { 0666, 0, STRANGER, GROUP, false },
                { 0666, GROUP, STRANGER, GROUP, false },  { 0666, GROUP, STRANGER, STRANGER, false },
                { 0666, 65534, STRANGER, 65534, false },  { 0666, 0, 0, 0, true },
                { 0660, GROUP, STRANGER, GROUP, true },   { 0660, 65534, STRANGER, 65534, true },
        };

        if (geteuid() != 0)
                skip();

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                int fd;

                start(cases[i].mode, cases[i].group);
                fd = dial_as(cases[i].uid, cases[i].peers_group, false);
                if (cases[i].allowed)
                        WAIT_FOR(is_answered(fd));
                else
                        WAIT_FOR(ended_unread(fd));
                assert_int_equal(control->n_conns, cases[i].allowed);
                fd_close(fd);
                control = control_free(control);
        }
}

/* A stranger is turned away before a byte is read, so its descriptors go with its connection. */
static void test_stranger_with_descriptor(void **state) {
        int fd;

        if (geteuid() != 0)
                skip();

        start(0666, 0);
        let_descriptors_come();
        fd = dial_as(STRANGER, STRANGER, true);
        WAIT_FOR(ended_unread(fd));
        assert_int_equal(control->n_conns, 0);
        fd_close(fd);
        control = control_free(control);
}

/* A descriptor ends its connection: with the first byte, within a message, behind a message. */
static void test_peer_with_descriptor(void **state) {
        start(0660, 0);
        let_descriptors_come();

        for (size_t before = 0; before < sizeof(HANDSHAKE) + sizeof(ping); before += 5) {
                char all[sizeof(HANDSHAKE) - 1 + sizeof(ping) * 2];
                int fd = dial("a");

                memcpy(all, HANDSHAKE, sizeof(HANDSHAKE) - 1);
                memcpy(all + sizeof(HANDSHAKE) - 1, ping, sizeof(ping));
                memcpy(all + sizeof(HANDSHAKE) - 1 + sizeof(ping), ping, sizeof(ping));

                if (before > 0)
                        assert_int_equal(send(fd, all, before, 0), before);
                WAIT_FOR(control->n_conns == 1);
                if (before % 2 == 0) /* the first bytes were read already */
                        WAIT_FOR(!has_event(first_conn()->fd, POLLIN));
                send_with_fd(fd, all + before, sizeof(all) - before, STDIN_FILENO);
                WAIT_FOR(control->n_conns == 0);
                fd_close(fd);
        }

        control = control_free(control);
}

/* Since Linux 6.16 the kernel refuses descriptors. */
static void test_descriptors_refused(void **state) {
        int value = -1;
        socklen_t len = sizeof(value);

        start(0660, 0);
        if (getsockopt(control->fd, SOL_SOCKET, SO_PASSRIGHTS, &value, &len) >= 0)
                assert_int_equal(value, 0);
        control = control_free(control);
}

/* Many messages that come at once are all answered, in the pieces that they come in. */
static void test_many_at_once(void **state) {
        size_t n_calls = 500, n = 0, n_sent = 0;
        char *all = malloc(sizeof(ping) * n_calls);
        int fd;

        for (size_t i = 0; i < n_calls; i++)
                memcpy(all + i * sizeof(ping), ping, sizeof(ping));

        start(0660, 0);
        fd = dial("a");
        assert_int_equal(send(fd, HANDSHAKE, sizeof(HANDSHAKE) - 1, 0), sizeof(HANDSHAKE) - 1);
        while (n_sent < sizeof(ping) * n_calls) {
                ssize_t k = send(fd, all + n_sent, MIN((size_t) 4099, sizeof(ping) * n_calls - n_sent), MSG_DONTWAIT);

                assert_true(k > 0 || errno == EAGAIN);
                n_sent += k > 0 ? (size_t) k : 0;
                assert_true(turn_both(0) >= 0);
        }

        /* "l\2" begins each answer. */
        for (usec_t end = usec_now() + DEADLINE_USEC; n < n_calls;) {
                char text[65536];
                ssize_t k = recv(fd, text, sizeof(text), MSG_DONTWAIT);

                for (ssize_t i = 0; i + 1 < k; i++)
                        n += text[i] == 'l' && text[i + 1] == 2;
                assert_true(turn_both(USEC_PER_MSEC) >= 0);
                assert_true(usec_now() < end);
        }

        assert_int_equal(n, n_calls);
        fd_close(fd);
        control = control_free(control);
        free(all);
}

static bool is_idle(void) {
        return sd_event_source_get_enabled(first_conn()->next, NULL) == 0;
}

/* Handoffs may leave no time for the events of a peer: its turns are enough for an answer. */
static void test_turns(void **state) {
        int fd;

        start(0660, 0);
        fd = dial("a");
        WAIT_FOR(control->n_conns == 1);
        assert_true(sd_event_source_set_enabled(first_conn()->io, SD_EVENT_OFF) >= 0);

        WAIT_FOR(is_idle());
        assert_int_equal(send(fd, HANDSHAKE, sizeof(HANDSHAKE) - 1, 0), sizeof(HANDSHAKE) - 1);
        WAIT_FOR(is_answered(fd));
        WAIT_FOR(is_idle());
        assert_int_equal(send(fd, ping, sizeof(ping), 0), sizeof(ping));
        WAIT_FOR(is_answered(fd));

        fd_close(fd);
        control = control_free(control);
}

/* A peer that reads nothing is not asked for more, does not hold up a turn, and is dropped after a time. */
static void test_deaf(void **state) {
        usec_t begin, longest = 0;
        size_t n = 0;
        int fd;

        start(0660, 0);
        fd = dial("a");
        assert_int_equal(send(fd, HANDSHAKE, sizeof(HANDSHAKE) - 1, 0), sizeof(HANDSHAKE) - 1);

        /* Until neither its questions nor their answers have room. */
        for (unsigned n_full = 0; n_full < 1000; n++) {
                if (send(fd, ping, sizeof(ping), MSG_DONTWAIT) < 0) {
                        assert_int_equal(errno, EAGAIN);
                        n_full++;
                } else
                        n_full = 0;
                begin = usec_now();
                assert_true(turn_both(0) >= 0);
                longest = MAX(longest, usec_now() - begin);
        }
        assert_true(longest < USEC_PER_SEC);
        assert_in_range(n_queued(first_conn()), 1, 8);

        WAIT_FOR(first_conn()->stalled_at > 0);
        first_conn()->stalled_at -= 11 * USEC_PER_SEC;
        WAIT_FOR(control->n_conns == 0);
        fd_close(fd);
        control = control_free(control);
}

/* The end of the broker does not wait for a peer either. */
static void test_deaf_at_the_end(void **state) {
        usec_t begin;
        int fd;

        start(0660, 0);
        fd = dial("a");
        assert_int_equal(send(fd, HANDSHAKE, sizeof(HANDSHAKE) - 1, 0), sizeof(HANDSHAKE) - 1);
        for (unsigned n_full = 0; n_full < 1000;) {
                n_full = send(fd, ping, sizeof(ping), MSG_DONTWAIT) < 0 ? n_full + 1 : 0;
                assert_true(turn_both(0) >= 0);
        }

        begin = usec_now();
        control = control_free(control);
        t.broker = broker_free(t.broker);
        t.event = sd_event_unref(t.event);
        assert_true(usec_now() - begin < USEC_PER_SEC);
        fd_close(fd);
}

/* The place of one more is that of the peer that has been quiet the longest. */
static void test_crowd(void **state) {
        int fds[33];

        start(0660, 0);
        for (size_t i = 0; i < ELEMENTSOF(fds) - 1; i++) {
                fds[i] = dial("a");
                WAIT_FOR(control->n_conns == i + 1);
        }

        /* The first has something to say. */
        assert_int_equal(send(fds[0], HANDSHAKE, sizeof(HANDSHAKE) - 1, 0), sizeof(HANDSHAKE) - 1);
        WAIT_FOR(is_answered(fds[0]));

        fds[32] = dial("a");
        WAIT_FOR(is_closed(fds[1]));
        assert_int_equal(control->n_conns, 32);
        assert_false(is_closed(fds[0]));

        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                fd_close(fds[i]);
        WAIT_FOR(control->n_conns == 0);
        control = control_free(control);
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        *(sd_bus_message **) userdata = sd_bus_message_ref(m);
        return 0;
}

static bool is_answered_by(sd_bus *bus, sd_bus_message **answer) {
        while (sd_bus_process(bus, NULL) > 0)
                ;
        return *answer;
}

/* Connects with sd-bus and asks for a property. The caller frees the answer. */
static sd_bus_message *get_property(const char *name) {
        sd_bus_message *answer = NULL;
        sd_bus *bus = NULL;
        int fd = dial("a");

        assert_true(sd_bus_new(&bus) >= 0);
        assert_true(sd_bus_set_fd(bus, fd, fd) >= 0);
        assert_true(sd_bus_set_anonymous(bus, 1) >= 0);
        assert_true(sd_bus_start(bus) >= 0);
        assert_true(sd_bus_call_method_async(bus, NULL, NULL, CONTROL_PATH, "org.freedesktop.DBus.Properties",
                                             name ? "Get" : "GetAll", on_answer, &answer, name ? "ss" : "s", CONTROL_INTERFACE, name) >= 0);
        WAIT_FOR(is_answered_by(bus, &answer));
        sd_bus_close_unref(bus);
        WAIT_FOR(control->n_conns == 0);
        return answer;
}

static uint64_t n_clients(const char *state) {
        sd_bus_message *answer = get_property("Clients");
        uint64_t n = 0, value;
        const char *name;

        assert_true(sd_bus_message_enter_container(answer, 'v', "a{st}") >= 0);
        assert_true(sd_bus_message_enter_container(answer, 'a', "{st}") >= 0);
        while (sd_bus_message_read(answer, "{st}", &name, &value) > 0)
                if (streq(name, state))
                        n = value;
        sd_bus_message_unref(answer);
        return n;
}

/* Each client is counted for the state that it is in. */
static void test_clients_by_state(void **state) {
        Client in_flush = { .state = CLIENT_FLUSHING }, judged = { .state = CLIENT_INSPECTED }, sent = { .state = CLIENT_INSPECTED };
        Route route = {};

        start(0660, 0);
        assert_int_equal(n_clients("head"), 0);

        t.broker->clients.n_used += 2;
        assert_int_equal(n_clients("head"), 2);
        list_append(&t.broker->flushes.clients.waits, &in_flush.wait.link);
        assert_int_equal(n_clients("head"), 1);
        assert_int_equal(n_clients("flushing"), 1);

        /* A client of a worker is counted there. */
        sent.sent.route = &route;
        t.broker->inspect.asked[0] = &judged;
        t.broker->inspect.asked[1] = &sent;
        assert_int_equal(n_clients("inspected"), 1);
        assert_int_equal(n_clients("head"), 0);

        t.broker->inspect.asked[0] = t.broker->inspect.asked[1] = NULL;
        list_remove(&in_flush.wait.link);
        t.broker->clients.n_used -= 2;
        control = control_free(control);
}

/* All properties are there, with the types of the interface. */
static void test_properties(void **state) {
        sd_bus_message *answer;
        size_t n = 0;

        USE({ .unit = "a.socket", .worker = "b" });
        start(0660, 0);
        answer = get_property(NULL);
        assert_true(sd_bus_message_enter_container(answer, 'a', "{sv}") >= 0);
        while (sd_bus_message_enter_container(answer, 'e', "sv") > 0) {
                assert_true(sd_bus_message_skip(answer, "sv") >= 0);
                assert_true(sd_bus_message_exit_container(answer) >= 0);
                n++;
        }
        assert_int_equal(n, 24);
        sd_bus_message_unref(answer);
        control = control_free(control);
}

TEST_MAIN(BROKER_TEST(test_access),
          BROKER_TEST(test_stranger_with_descriptor),
          BROKER_TEST(test_peer_with_descriptor),
          BROKER_TEST(test_descriptors_refused),
          BROKER_TEST(test_many_at_once),
          BROKER_TEST(test_turns),
          BROKER_TEST(test_deaf),
          BROKER_TEST(test_deaf_at_the_end),
          BROKER_TEST(test_crowd),
          BROKER_TEST(test_clients_by_state),
          BROKER_TEST(test_properties))
