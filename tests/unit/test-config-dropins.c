/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which drop-ins apply, in which order: each rule as systemd 252 and 257 were seen to follow it. */

#include "test-config.h"

/* A drop-in that can be told from the others by its priority. */
static void tree_dropin(Tree *t, const char *path, int priority) {
        char content[64];

        (void) snprintf(content, sizeof(content), "[X-FDPass]\nRoutePriority=%i\n", priority);
        tree_file(t, path, content);
}

static void assert_priority(Tree *t, const char *unit, int priority) {
        tree_load_clean(t);
        assert_non_null(tree_route(t, unit));
        assert_int_equal(tree_route(t, unit)->match.priority, priority);
}

/* A drop-in comes after the main file, and overrides it. */
static void test_overrides_main_file(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.socket", WORKER "RoutePriority=1\nMaxQueued=5\n");
        tree_dropin(&t, ETC "/a.socket.d/x.conf", 2);
        assert_priority(&t, "a.socket", 2);
        assert_int_equal(tree_route(&t, "a.socket")->max_queued, 5);
}

/* A drop-in may bring the section along. */
static void test_brings_section(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.socket", "[Socket]\nListenStream=/run/w.sock\n");
        tree_dropin(&t, ETC "/a.socket.d/x.conf", 2);
        assert_priority(&t, "a.socket", 2);
}

/* The names decide about the order, not the directories: z in /usr/lib comes after a in /etc. */
static void test_sorted_by_name(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.socket", WORKER);
        tree_dropin(&t, ETC "/a.socket.d/50-a.conf", 1);
        tree_dropin(&t, USR "/a.socket.d/50-b.conf", 2);
        tree_dropin(&t, "/run/systemd/system/a.socket.d/10-z.conf", 3);
        assert_priority(&t, "a.socket", 2);
}

/* Of files of one name, the one in the strongest directory counts. */
static void test_same_name(_unused_ void **state) {
        static const char *const paths[] = {
                "/etc/systemd/system.control/a.socket.d/x.conf",
                "/run/systemd/transient/a.socket.d/x.conf",
                "/etc/systemd/system/a.socket.d/x.conf",
                "/run/systemd/system/a.socket.d/x.conf",
                "/usr/local/lib/systemd/system/a.socket.d/x.conf",
                "/usr/lib/systemd/system/a.socket.d/x.conf",
                "/run/systemd/generator.late/a.socket.d/x.conf",
        };
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.socket", WORKER);

        for (int i = 0; i < (int) ELEMENTSOF(paths); i++)
                tree_dropin(&t, paths[i], i + 1);

        for (int i = 0; i < (int) ELEMENTSOF(paths); i++) {
                assert_priority(&t, "a.socket", i + 1);
                tree_remove(&t, paths[i]);
        }
}

/*
 * Within one directory of the load path the more special name wins: the instance, its template, the prefixes
 * of the template, the prefixes of the instance; the type last.
 */
static void test_special_names_first(_unused_ void **state) {
        static const char *const names[] = {
                "a-b@i.socket", "a-b@.socket", "a-.socket", "a-@i.socket", "a-@.socket", "socket",
        };
        _cleanup_tree_ Tree t;
        char path[128];

        tree_init(&t);
        tree_file(&t, USR "/a-b@.socket", WORKER);
        tree_enable(&t, "a-b@i.socket");

        /* These two never apply. */
        tree_dropin(&t, USR "/a@i.socket.d/x.conf", 100);
        tree_dropin(&t, USR "/a-b-.socket.d/x.conf", 101);

        for (int i = 0; i < (int) ELEMENTSOF(names); i++) {
                (void) snprintf(path, sizeof(path), USR "/%s.d/x.conf", names[i]);
                tree_dropin(&t, path, i + 1);
        }

        for (int i = 0; i < (int) ELEMENTSOF(names); i++) {
                assert_priority(&t, "a-b@i.socket", i + 1);
                (void) snprintf(path, sizeof(path), USR "/%s.d/x.conf", names[i]);
                tree_remove(&t, path);
        }
}

/* The directory of the load path counts more than how special the name is, but for the type. */
static void test_load_path_before_special(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_file(&t, USR "/a-b@.socket", WORKER);
        tree_enable(&t, "a-b@i.socket");
        tree_dropin(&t, ETC "/a-.socket.d/x.conf", 1);
        tree_dropin(&t, USR "/a-b@i.socket.d/x.conf", 2);
        tree_dropin(&t, ETC "/socket.d/x.conf", 3);
        assert_priority(&t, "a-b@i.socket", 1);

        tree_remove(&t, ETC "/a-.socket.d/x.conf");
        assert_priority(&t, "a-b@i.socket", 2);

        tree_remove(&t, USR "/a-b@i.socket.d/x.conf");
        assert_priority(&t, "a-b@i.socket", 3);
}

/* A dash at the end of a name, and two in a row, as systemd cuts them. */
static void test_odd_dashes(_unused_ void **state) {
        static const struct {
                const char *unit, *dropin;
                int priority;
        } cases[] = {
                { "x-y-.socket", "x-.socket", 1 },  { "x--y.socket", "x--.socket", 1 },
                { "x--y.socket", "x-.socket", 1 },  { "x--.socket", "x-.socket", 1 },
                { "x-y-z.socket", "x-y-.socket", 1 }, { "x-y-z.socket", "x-.socket", 1 },
                { "-x.socket", "-.socket", 0 },     { "x-.socket", "x.socket", 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_tree_ Tree t;
                char path[128];

                tree_init(&t);
                tree_worker(&t, cases[i].unit, WORKER);
                (void) snprintf(path, sizeof(path), USR "/%s.d/x.conf", cases[i].dropin);
                tree_dropin(&t, path, 1);
                assert_priority(&t, cases[i].unit, cases[i].priority);
        }
}

/* Drop-ins of an alias apply too, after the unit's own, in any directory. */
static void test_alias(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.socket", WORKER);
        tree_link(&t, USR "/b.socket", "a.socket");
        tree_dropin(&t, ETC "/b.socket.d/x.conf", 1);
        assert_priority(&t, "a.socket", 1);

        tree_dropin(&t, USR "/a.socket.d/x.conf", 2);
        assert_priority(&t, "a.socket", 2);
}

static void test_alias_of_template(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_file(&t, USR "/a@.socket", WORKER);
        tree_enable(&t, "a@i.socket");
        tree_link(&t, USR "/b@.socket", "a@.socket");
        tree_dropin(&t, ETC "/b@i.socket.d/x.conf", 1);
        tree_dropin(&t, ETC "/b@j.socket.d/y.conf", 2);
        assert_priority(&t, "a@i.socket", 1);
}

/* /dev/null, or an empty file, takes the drop-ins of that name in weaker directories away. */
static void test_masked(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.socket", WORKER "RoutePriority=1\n");
        tree_dropin(&t, USR "/a.socket.d/x.conf", 2);
        tree_link(&t, ETC "/socket.d/x.conf", "/dev/null");
        assert_priority(&t, "a.socket", 2); /* a weaker mask hides nothing */

        tree_link(&t, ETC "/a.socket.d/x.conf", "/dev/null");
        assert_priority(&t, "a.socket", 1);

        tree_remove(&t, ETC "/a.socket.d/x.conf");
        tree_file(&t, ETC "/a.socket.d/x.conf", "");
        assert_priority(&t, "a.socket", 1);
}

/* A link that leads nowhere has nothing to say, but hides the weaker file all the same. */
static void test_dangling(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.socket", WORKER "RoutePriority=1\n");
        tree_dropin(&t, USR "/a.socket.d/x.conf", 2);
        tree_link(&t, ETC "/a.socket.d/x.conf", "/srv/gone");
        assert_priority(&t, "a.socket", 1);
}

static void test_other_files(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.socket", WORKER "RoutePriority=1\n");
        tree_dropin(&t, ETC "/a.socket.d/.x.conf", 2);
        tree_dropin(&t, ETC "/a.socket.d/x.conf~", 2);
        tree_dropin(&t, ETC "/a.socket.d/x", 2);
        assert_priority(&t, "a.socket", 1);
}

static void test_linked_directory(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.socket", WORKER);
        tree_dropin(&t, "/srv/dropins/x.conf", 2);
        tree_link(&t, ETC "/a.socket.d", "/srv/dropins");
        tree_link(&t, ETC "/socket.d", "/srv/gone");
        assert_priority(&t, "a.socket", 2);
}

/* A drop-in that can't be read might restrict the route, so there is no route. */
static void test_unreadable(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.socket", WORKER);
        tree_directory(&t, ETC "/a.socket.d");
        tree_directory(&t, ETC "/a.socket.d/x.conf");
        tree_load(&t);
        assert_only(&t, CONFIG_ERROR, "a.socket", ETC "/a.socket.d/x.conf", 0,
                    "The file can't be read: it is not a regular file.");
        assert_int_equal(t.config->n_routes, 0);
}

static void test_unreadable_directory(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.socket", WORKER);
        tree_worker(&t, "b.socket", WORKER);
        tree_file(&t, ETC "/socket.d", "no directory");
        tree_load(&t);

        /* It costs each of them its route, so each is told. */
        assert_int_equal(t.n_found, 2);
        assert_found(&t, 0, CONFIG_ERROR, "a.socket", ETC "/socket.d", 0,
                     "The drop-ins of a.socket can't be read: Not a directory.");
        assert_found(&t, 1, CONFIG_ERROR, "b.socket", ETC "/socket.d", 0,
                     "The drop-ins of b.socket can't be read: Not a directory.");
        assert_int_equal(t.config->n_routes, 0);
}

/* Drop-ins are no unit. */
static void test_without_unit(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_enable(&t, "a.socket");
        tree_file(&t, ETC "/a.socket.d/x.conf", WORKER);
        tree_load(&t);
        assert_only(&t, CONFIG_WARNING, "a.socket", "", 0, "Enabled for fdpass.target, but there is no such unit; "
                    "install it, or remove its link.");
}

/* A name so long that its drop-in directory can't exist is no reason to stumble. */
static void test_longest_name(_unused_ void **state) {
        _cleanup_tree_ Tree t;
        char unit[256];

        memset(unit, '-', sizeof(unit));
        unit[0] = 'a';
        strcpy(unit + 255 - strlen("@i.socket"), "@i.socket");
        assert_int_equal(strlen(unit), 255);

        tree_init(&t);
        tree_worker(&t, unit, "[X-FDPass]\nWorker=/run/w.sock\n");
        tree_dropin(&t, USR "/a-.socket.d/x.conf", 3);
        assert_priority(&t, unit, 3);
}

TEST_MAIN(TEST(test_overrides_main_file),
          TEST(test_brings_section),
          TEST(test_sorted_by_name),
          TEST(test_same_name),
          TEST(test_special_names_first),
          TEST(test_load_path_before_special),
          TEST(test_odd_dashes),
          TEST(test_alias),
          TEST(test_alias_of_template),
          TEST(test_masked),
          TEST(test_dangling),
          TEST(test_other_files),
          TEST(test_linked_directory),
          TEST(test_unreadable),
          TEST(test_unreadable_directory),
          TEST(test_without_unit),
          TEST(test_longest_name))
