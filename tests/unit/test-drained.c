/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Workers stay drained in the next process. */

#include "broker-fixture.h"

#include <unistd.h>

#include "fdpassd/drained.h"

/* The next process gets the file of the process before it. */
static void test_drained(void **state) {
        Drained d = { .broker = t.broker, .fd = -EBADF };
        int fd;

        (void) unsetenv("NOTIFY_SOCKET");
        USE({ .unit = "a.socket", .worker = "a" }, { .unit = "b.socket", .worker = "b" });
        drained_save(&d);
        assert_int_equal(d.fd, -EBADF); /* nothing is drained, so there is no file */

        drain("a", true);
        drained_save(&d);
        assert_true(drained_is_store(d.fd));
        fd = d.fd;

        /* A new broker. It knows nothing of @fd before it is restored. */
        drain("a", false);
        d = (Drained){ .broker = t.broker, .fd = fd };
        drained_restore(&d);
        assert_true(is_drained("a"));
        assert_false(is_drained("b"));

        /* A shorter list replaces a longer one; a worker that is gone does not count. */
        drain("b", true);
        drained_save(&d);
        drain("a", false);
        drained_save(&d);
        drain("b", false);
        USE({ .unit = "a.socket", .worker = "a" });
        drained_restore(&d);
        assert_false(is_drained("a"));

        assert_false(drained_is_store(STDIN_FILENO) && isatty(STDIN_FILENO));
        drained_done(&d);
}

/* A broker with a drained worker does not end because it is idle. */
static void test_drained_is_not_idle(void **state) {
        const RouteSpec spec = { .unit = "a.socket", .worker = "a" };
        Config *config = config_of(&spec, 1);

        config->broker.exit_idle_usec = 20 * USEC_PER_MSEC;
        use_config(config);
        drain("a", true);
        run_for(100 * USEC_PER_MSEC);
        assert_false(is_stopping());
        drain("a", false);
        WAIT_FOR(is_stopping());
}

TEST_MAIN(BROKER_TEST(test_drained),
          BROKER_TEST(test_drained_is_not_idle))
