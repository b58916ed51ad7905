/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The way to a worker's socket: links that others put there, directories that others can write to, the broker's own sockets. */

#include "broker-fixture.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "broker/stage/reach.h"
#include "handoff/socket-path.h"

/* Of another user than the test's, be that root or not. */
#define OTHER_UID 1000

static void make_directory(const char *name) {
        char path[64];

        path_of(name, path);
        assert_int_equal(mkdir(path, 0755), 0);
}

static void make_link(const char *target, const char *name) {
        char path[64];

        path_of(name, path);
        (void) unlink(path);
        assert_int_equal(symlink(target, path), 0);
}

static void remove_all(const char *const names[], size_t n) {
        char path[64];

        for (size_t i = 0; i < n; i++) {
                path_of(names[i], path);
                (void) remove(path);
        }
}

#define REMOVE(...)                                                             \
        do {                                                                    \
                const char *const _names[] = { __VA_ARGS__ };                   \
                remove_all(_names, ELEMENTSOF(_names));                         \
        } while (false)

/* A client comes, and the worker at @name, which leads to @victim in some way, is gone with @error: the victim has nothing. */
static void expect_gone(const char *name, Transport form, int error, int victim) {
        int client;

        USE({ .unit = "a.socket", .worker = name, .transport = form });
        client = dial_and_say("public", 'x');
        WAIT_FOR(is_gone(name));
        assert_int_equal(gone_error(name), error);
        assert_false(victim >= 0 && has_event(victim, POLLIN));
        assert_int_equal(n_taken(), 0);
        fd_close(client);
}

static void test_link_at_the_end(void **state) {
        static const struct {
                Transport form;
                int type;
        } forms[] = { { TRANSPORT_STREAM, SOCK_STREAM }, { TRANSPORT_SEQPACKET, SOCK_SEQPACKET } };
        char absolute[64];

        path_of("b", absolute);
        for (size_t i = 0; i < ELEMENTSOF(forms); i++) {
                const char *const targets[] = { "b", "./b", absolute };

                for (size_t k = 0; k < ELEMENTSOF(targets); k++) {
                        int b = listen_type_at("b", forms[i].type, 5);

                        make_link(targets[k], "a");
                        expect_gone("a", forms[i].form, -ELOOP, b);
                        fd_close(b);
                        USE();
                }
        }
}

static void test_link_in_the_middle(void **state) {
        int b;

        make_directory("real");
        make_link("real", "link");
        b = listen_at("real/s", 5);
        expect_gone("link/s", TRANSPORT_STREAM, -ELOOP, b);
        fd_close(b);

        make_directory("real/deep");
        make_link("../../real", "real/deep/up");
        b = listen_at("real/s", 5);
        expect_gone("real/deep/up/s", TRANSPORT_STREAM, -ELOOP, b);
        fd_close(b);
        REMOVE("real/deep/up", "real/deep", "real/s", "real", "link");
}

/* The directory is another user's, who changes what is there while the broker hands clients to it. */
static void test_replaced(void **state) {
        int a, b, client;
        char path[64];

        make_directory("d");
        path_of("d", path);
        if (geteuid() == 0)
                assert_int_equal(chown(path, OTHER_UID, OTHER_UID), 0);

        a = listen_at("d/s", 5);
        b = listen_at("b", 5);
        USE({ .unit = "a.socket", .worker = "d/s" });
        client = dial_and_say("public", '1');
        assert_int_equal(take_byte(a), '1');
        WAIT_FOR(n_taken() == 1);
        assert_false(is_private("d/s"));
        fd_close(client);

        make_link("../b", "d/s");
        client = dial_and_say("public", '2');
        WAIT_FOR(is_gone("d/s"));
        assert_int_equal(gone_error("d/s"), -ELOOP);
        assert_false(has_event(b, POLLIN));

        /* The worker is back. */
        fd_close(a);
        a = listen_at("d/s", 5);
        assert_int_equal(take_byte(a), '2');

        fd_close(client);
        fd_close(a);
        fd_close(b);
        REMOVE("d/s", "d");
}

/* The broker's own socket under another name. */
static void test_own_socket(void **state) {
        char own[64], other[64];

        path_of("public", own);
        path_of("a", other);
        assert_int_equal(link(own, other), 0);
        expect_gone("a", TRANSPORT_STREAM, -EDEADLK, -EBADF);

        expect_gone("public", TRANSPORT_STREAM, -EDEADLK, -EBADF);

        /* It is another file when another process listens there. */
        fd_close(listen_at("b", 5));
        expect_gone("b", TRANSPORT_STREAM, -ECONNREFUSED, -EBADF);
}

static void test_own_socket_mounted(void **state) {
        char own[64], other[64];

        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                skip();

        path_of("public", own);
        path_of("b", other);
        fd_close(open(other, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        assert_int_equal(mount(own, other, NULL, MS_BIND, NULL), 0);
        expect_gone("b", TRANSPORT_STREAM, -EDEADLK, -EBADF);
        assert_int_equal(umount(other), 0);
}

static void test_no_socket(void **state) {
        char path[64];

        path_of("a", path);
        fd_close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        expect_gone("a", TRANSPORT_STREAM, -ENOTSOCK, -EBADF);
        expect_gone("b", TRANSPORT_STREAM, -ENOENT, -EBADF);
        expect_gone("a/s", TRANSPORT_STREAM, -ENOTDIR, -EBADF);
}

/* Below directories of root (or of the broker) alone the path is used as it is, until it is gone or there is a reload. */
static void test_private(void **state) {
        char directory[sizeof(t.directory)];
        int a, client;

        if (geteuid() != 0)
                skip();

        memcpy(directory, t.directory, sizeof(directory));
        (void) snprintf(t.directory, sizeof(t.directory), "/run/test-reach-XXXXXX");
        assert_non_null(mkdtemp(t.directory));
        assert_int_equal(broker_add_listener(t.broker, "other", listen_at("other", 5)), 0);

        a = listen_at("a", 5);
        USE({ .unit = "a.socket", .worker = "a" });
        assert_false(is_private("a"));
        client = dial_and_say("other", '1');
        assert_int_equal(take_byte(a), '1');
        assert_true(is_private("a"));
        fd_close(client);

        USE({ .unit = "a.socket", .worker = "a" });
        assert_false(is_private("a"));
        client = dial_and_say("other", '2');
        assert_int_equal(take_byte(a), '2');
        assert_true(is_private("a"));
        fd_close(client);

        fd_close(a);
        client = dial_and_say("other", '3');
        WAIT_FOR(is_gone("a"));
        assert_false(is_private("a"));
        fd_close(client);

        REMOVE("a", "other", "");
        memcpy(t.directory, directory, sizeof(directory));
}

typedef struct WalkCase {
        const char *path;
        int result;
        size_t n_shared;
} WalkCase;

static void expect_walk(int root_fd, uid_t owner, const WalkCase *c) {
        SocketPath p;

        assert_int_equal(socket_path_walk(root_fd, c->path, owner, &p), c->result);
        assert_int_equal(p.n_shared, c->n_shared);
        assert_int_equal(p.fd >= 0, c->result == 0);
        fd_close(p.fd);
}

/* A directory's owner and mode decide whether others can put a link there. */
static void test_walk(void **state) {
        static const WalkCase cases[] = {
                { "/private/s", 0, 0 },
                { "//private///s", 0, 0 },
                { "/private", -ENOTSOCK, 0 },
                { "/private/", -ENOTSOCK, 0 },
                { "/private/none", -ENOENT, 0 },
                { "/group/s", 0, sizeof("/group/") - 1 },
                { "/sticky/none", -ENOENT, sizeof("/sticky/") - 1 },
                { "/sticky/none/s", -ENOENT, sizeof("/sticky/") - 1 },
                { "/sticky/d/s", 0, sizeof("/sticky/") - 1 },
                { "/private/to-s", -ELOOP, 0 },
                { "/to-private/s", -ELOOP, 0 },
                { "/private/s/s", -ENOTDIR, 0 },
        };
        _cleanup_close_ int root_fd = open(t.directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
        char path[64];

        make_directory("private");
        make_directory("group");
        make_directory("sticky");
        make_directory("sticky/d");
        fd_close(listen_at("private/s", 1));
        fd_close(listen_at("group/s", 1));
        fd_close(listen_at("sticky/d/s", 1));
        make_link("s", "private/to-s");
        make_link("private", "to-private");
        path_of("group", path);
        assert_int_equal(chmod(path, 0775), 0);
        path_of("sticky", path);
        assert_int_equal(chmod(path, 01777), 0);

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                expect_walk(root_fd, geteuid(), &cases[i]);

        /* A directory of another user. */
        path_of("private", path);
        if (geteuid() == 0) {
                assert_int_equal(chown(path, OTHER_UID, OTHER_UID), 0);
                expect_walk(root_fd, 0, &(WalkCase){ "/private/s", 0, sizeof("/private/") - 1 });
                expect_walk(root_fd, OTHER_UID, &(WalkCase){ "/private/s", 0, 0 });
        } else
                expect_walk(root_fd, geteuid() + 1, &(WalkCase){ "/private/s", 0, 1 });

        REMOVE("private/s", "private/to-s", "private", "group/s", "group", "sticky/d/s", "sticky/d", "sticky", "to-private");
}

TEST_MAIN(BROKER_TEST(test_link_at_the_end),
          BROKER_TEST(test_link_in_the_middle),
          BROKER_TEST(test_replaced),
          BROKER_TEST(test_own_socket),
          BROKER_TEST(test_no_socket),
          BROKER_TEST(test_private),
          BROKER_TEST(test_walk),
          BROKER_TEST(test_own_socket_mounted))
