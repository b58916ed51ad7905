/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The key of seals goes to the next process. */

#include "broker-fixture.h"

#include <sys/mman.h>
#include <unistd.h>

#include "broker/state/seal.h"
#include "fdpassd/seal-store.h"

#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* A memfd as systemd might pass it. */
static int make_file(const void *p, size_t n, int seals) {
        int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, p, n), n);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
        return fd;
}

/* Only a whole key in a file that can't be changed is one. */
static void test_wrong_files(void **state) {
        static const uint8_t bytes[sizeof(SealKey) + 1] = "0123456789abcdef";
        const struct {
                size_t n;
                int seals;
                bool is_key;
        } cases[] = {
                { sizeof(SealKey), SEALS, true },
                { sizeof(SealKey) - 1, SEALS, false },
                { sizeof(SealKey) + 1, SEALS, false },
                { 0, SEALS, false },
                { sizeof(SealKey), 0, false },
                { sizeof(SealKey), SEALS & ~F_SEAL_WRITE, false },
                { sizeof(SealKey), SEALS & ~F_SEAL_GROW, false },
        };
        int pair[2];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                int fd = make_file(bytes, cases[i].n, cases[i].seals);

                assert_int_equal(seal_store_is_key(fd), cases[i].is_key);
                fd_close(fd);
        }

        assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
        assert_false(seal_store_is_key(pair[0]));
        close_all(pair, 2);
        assert_false(seal_store_is_key(-EBADF));
}

/* A socket that stands for systemd's. */
static int listen_for_notifications(void) {
        struct sockaddr_un sun = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        path_of("notify", sun.sun_path);
        assert_int_equal(bind(fd, (struct sockaddr *) &sun, sizeof(sun)), 0);
        assert_int_equal(setenv("NOTIFY_SOCKET", sun.sun_path, 1), 0);
        return fd;
}

/* Returns the descriptor of the next notification, which has to have @text in it, or -EBADF. */
static int take_notification(int notify_fd, const char *text) {
        union {
                struct cmsghdr header;
                char buffer[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
        } control = {};
        char bytes[256] = "";
        struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) - 1 };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
        int fd = -EBADF;

        assert_true(recvmsg(notify_fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) > 0);
        assert_non_null(strstr(bytes, text));
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
                if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
                        memcpy(&fd, CMSG_DATA(c), sizeof(fd));

        return fd;
}

/* The first process stores its key, and the next one takes it. A wrong file is replaced. */
static void test_next_process(void **state) {
        int notify_fd = listen_for_notifications(), fd;
        SealKey key = t.broker->seal_key;

        seal_store_share(t.broker, -EBADF);
        assert_memory_equal(&t.broker->seal_key, &key, sizeof(key));
        assert_int_equal(take_notification(notify_fd, "FDSTOREREMOVE=1\nFDNAME=seal-key"), -EBADF);
        fd = take_notification(notify_fd, "FDSTORE=1\nFDNAME=seal-key");
        assert_true(seal_store_is_key(fd));

        assert_int_equal(seal_key_init(&t.broker->seal_key), 0);
        assert_memory_not_equal(&t.broker->seal_key, &key, sizeof(key));
        seal_store_share(t.broker, fd);
        assert_memory_equal(&t.broker->seal_key, &key, sizeof(key));
        assert_false(has_event(notify_fd, POLLIN)); /* nothing new is stored */

        seal_store_share(t.broker, make_file("0123456789abcdef", sizeof(SealKey), 0));
        assert_memory_equal(&t.broker->seal_key, &key, sizeof(key));
        assert_int_equal(take_notification(notify_fd, "FDSTOREREMOVE=1\n"), -EBADF);
        fd = take_notification(notify_fd, "FDSTORE=1\n");
        assert_true(seal_store_is_key(fd));

        assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
        fd_close(fd);
        fd_close(notify_fd);
}

TEST_MAIN(TEST(test_wrong_files),
          BROKER_TEST(test_next_process))
