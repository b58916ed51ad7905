/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Units that are enabled or disabled: when the broker reads them again by itself. */

#include "test-config.h" /* first, because the fixture has a variable of the name of its parameters */

#include "flush-fixture.h"

#include "fdpassd/auto-reload.h"

static Tree tree;
static AutoReload a;
static unsigned n_reloads;

static void on_change(void *userdata) {
        n_reloads++;
        auto_reload_begin_load(&a);
        auto_reload_end_load(&a);
}

static void use_auto_reload(bool is_on) {
        Config *config = config_of(NULL, 0);

        config->broker.auto_reload = is_on;
        use_config(config);
}

static int begin(void **state) {
        int r = setup(state);

        tree_init(&tree);
        n_reloads = 0;
        use_auto_reload(true);
        a = (AutoReload){ .broker = t.broker, .root = tree.root, .reload = on_change, .watch = LINK_WATCH_NULL };
        return r;
}

static int end(void **state) {
        auto_reload_done(&a);
        tree_done(&tree);
        return teardown(state);
}

static void start(void) {
        assert_int_equal(auto_reload_start(&a), 0);
        auto_reload_begin_load(&a);
        auto_reload_end_load(&a);
        a.next_at = 0;
}

/* One reload comes within 1 s, and no further one. */
static void expect_reload(void) {
        usec_t since = usec_now();

        n_reloads = 0;
        WAIT_FOR(n_reloads > 0);
        assert_true(usec_now() - since < USEC_PER_SEC);
        run_for(250 * USEC_PER_MSEC);
        assert_int_equal(n_reloads, 1);
        a.next_at = 0;
}

static void expect_none(void) {
        n_reloads = 0;
        run_for(250 * USEC_PER_MSEC);
        assert_int_equal(n_reloads, 0);
}

/* Directories that do not exist yet, whole paths of them, and those that are removed, renamed and replaced. */
static void test_directories(void **state) {
        static const char *const names[] = {
                WANTS "/a.socket", ETC "/fdpass.target.requires/b.socket", "/run/systemd/system/fdpass.service.wants/fdpass@443.socket",
                "/usr/lib/systemd/system/fdpass.service.requires/x.socket", "/run/systemd/generator/fdpass.target.wants/c.socket",
        };
        char from[512], to[512];

        start();
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                tree_link(&tree, names[i], "/x");
                expect_reload();
        }

        tree_remove(&tree, names[0]);
        tree_link(&tree, names[0], "/y");
        expect_reload();
        tree_remove(&tree, names[0]);
        tree_remove(&tree, WANTS);
        expect_reload();
        tree_link(&tree, names[0], "/x");
        expect_reload();

        (void) snprintf(from, sizeof(from), "%s" ETC, tree.root);
        (void) snprintf(to, sizeof(to), "%s/elsewhere", tree.root);
        assert_int_equal(rename(from, to), 0);
        expect_reload();
        tree_link(&tree, "/elsewhere/fdpass.target.wants/z.socket", "/x");
        expect_none();
        assert_int_equal(rename(to, from), 0);
        expect_reload();
        tree_link(&tree, WANTS "/y.socket", "/x");
        expect_reload();
}

/* Other files, links of other units, and changes that were undone. */
static void test_unrelated(void **state) {
        tree_link(&tree, WANTS "/a.socket", "/x");
        start();

        tree_file(&tree, ETC "/a.socket", "[Socket]\n");
        tree_link(&tree, ETC "/multi-user.target.wants/a.service", "/x");
        tree_link(&tree, WANTS "/.#a.socket", "/x");
        tree_file(&tree, "/etc/passwd", "");
        expect_none();

        tree_link(&tree, WANTS "/b.socket", "/x");
        tree_remove(&tree, WANTS "/b.socket");
        expect_none();

        /* A load that was asked for reads the change. */
        tree_link(&tree, WANTS "/c.socket", "/x");
        run_for(50 * USEC_PER_MSEC);
        on_change(NULL);
        expect_none();
}

/* Many at once are one reload, steady ones a few, and none is missed when the queue of events overflows. */
static void test_flood(void **state) {
        usec_t until;
        char name[64];
        unsigned i = 0;

        tree_link(&tree, WANTS "/a.socket", "/x");
        start();
        for (; i < 100; i++) {
                (void) snprintf(name, sizeof(name), WANTS "/%u.socket", i);
                tree_link(&tree, name, "/x");
        }
        expect_reload();

        until = usec_now() + 2 * USEC_PER_SEC;
        while (usec_now() < until) {
                (void) snprintf(name, sizeof(name), WANTS "/%u.socket", i++);
                tree_link(&tree, name, "/x");
                run_for(20 * USEC_PER_MSEC);
        }
        assert_in_range(n_reloads, 2, 5);
        WAIT_FOR(!timer_is_on(&a.timer));
        run_for(300 * USEC_PER_MSEC);
        a.next_at = 0;

        /* /proc/sys/fs/inotify/max_queued_events is 16384. */
        for (i = 0; i < 9000; i++) {
                tree_link(&tree, WANTS "/of.socket", "/x");
                tree_remove(&tree, WANTS "/of.socket");
        }
        tree_link(&tree, WANTS "/of.socket", "/x");
        expect_reload();
        tree_remove(&tree, WANTS "/of.socket");
        expect_reload();
}

static void test_off(void **state) {
        tree_link(&tree, WANTS "/a.socket", "/x");
        use_auto_reload(false);
        start();
        tree_link(&tree, WANTS "/b.socket", "/x");
        expect_none();

        use_auto_reload(true);
        on_change(NULL);
        a.next_at = 0;
        tree_link(&tree, WANTS "/c.socket", "/x");
        expect_reload();
}

#define AUTO_RELOAD_TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

TEST_MAIN(AUTO_RELOAD_TEST(test_directories), AUTO_RELOAD_TEST(test_unrelated), AUTO_RELOAD_TEST(test_flood), AUTO_RELOAD_TEST(test_off))
