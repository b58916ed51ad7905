/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which units are wanted, and which file stands for which unit. */

#include "test-config.h"

static const char *const load_path[] = {
        "/etc/systemd/system.control",
        "/run/systemd/system.control",
        "/run/systemd/transient",
        "/run/systemd/generator.early",
        "/etc/systemd/system",
        "/etc/systemd/system.attached",
        "/run/systemd/system",
        "/run/systemd/system.attached",
        "/run/systemd/generator",
        "/usr/local/lib/systemd/system",
        "/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/run/systemd/generator.late",
};

static void test_empty_root(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_load_clean(&t);
        assert_int_equal(t.config->n_routes, 0);
        assert_int_equal(t.config->broker.log_handoffs, LOG_HANDOFFS_NO);
        assert_int_equal(t.config->broker.max_clients, 0);
}

static uint64_t stamp_of_first(Tree *t) {
        tree_load_clean(t);
        assert_int_equal(t->config->n_routes, 1);
        return t->config->routes[0].stamp;
}

/* The stamp of a unit tells whether one of its files was changed, added or removed. Another unit's files do not count. */
static void test_stamp(_unused_ void **state) {
        _cleanup_tree_ Tree t;
        uint64_t before, edited, with_dropin;

        tree_init(&t);
        tree_enable(&t, "a.socket");
        tree_file(&t, ETC "/a.socket", WORKER);
        before = stamp_of_first(&t);
        assert_int_equal(stamp_of_first(&t), before);

        tree_file(&t, ETC "/a.socket", WORKER "# edited\n");
        edited = stamp_of_first(&t);
        assert_int_not_equal(edited, before);

        tree_file(&t, ETC "/a.socket.d/x.conf", "[X-FDPass]\nMaxQueued=7\n");
        with_dropin = stamp_of_first(&t);
        assert_int_not_equal(with_dropin, edited);
        tree_file(&t, ETC "/b.socket", WORKER);
        assert_int_equal(stamp_of_first(&t), with_dropin);

        tree_remove(&t, ETC "/a.socket.d/x.conf");
        assert_int_equal(stamp_of_first(&t), edited);
        tree_file(&t, ETC "/a.socket", WORKER);
        assert_int_equal(stamp_of_first(&t), before);
}

/* The order of the load path: with the strongest file gone, the next one counts. */
static void test_load_path(_unused_ void **state) {
        _cleanup_tree_ Tree t;
        char path[128];

        tree_init(&t);
        tree_enable(&t, "a.socket");

        for (size_t i = 0; i < ELEMENTSOF(load_path); i++) {
                (void) snprintf(path, sizeof(path), "%s/a.socket", load_path[i]);
                tree_file(&t, path, WORKER);
        }

        for (size_t i = 0; i < ELEMENTSOF(load_path); i++) {
                (void) snprintf(path, sizeof(path), "%s/a.socket", load_path[i]);
                tree_load_clean(&t);
                assert_int_equal(t.config->n_routes, 1);
                assert_string_equal(t.config->routes[0].path, path);
                tree_remove(&t, path);
        }
}

/* /lib is a link to /usr/lib: one directory, which goes by the name that does not depend on the link. */
static void test_load_path_merged_usr(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.socket", WORKER);
        tree_link(&t, "/lib", "usr/lib");
        tree_load_clean(&t);
        assert_string_equal(tree_route(&t, "a.socket")->path, USR "/a.socket");
}

/* The .wants/ and .requires/ of every directory count; the routes are sorted. */
static void test_wanted_everywhere(_unused_ void **state) {
        _cleanup_tree_ Tree t;
        char path[128], unit[32];

        tree_init(&t);

        for (size_t i = 0; i < ELEMENTSOF(load_path); i++) {
                (void) snprintf(unit, sizeof(unit), "%c.socket", (char) ('z' - i));
                (void) snprintf(path, sizeof(path), "%s/fdpass.target.%s/%s", load_path[i],
                                i % 2 == 0 ? "wants" : "requires", unit);
                tree_link(&t, path, "../whatever");

                (void) snprintf(path, sizeof(path), USR "/%s", unit);
                tree_file(&t, path, WORKER);
        }

        tree_load_clean(&t);
        assert_int_equal(t.config->n_routes, ELEMENTSOF(load_path));
        for (size_t i = 1; i < t.config->n_routes; i++)
                assert_true(strcmp(t.config->routes[i - 1].unit, t.config->routes[i].unit) < 0);
}

/* A unit that lies in the load path, but is not enabled, has no route. */
static void test_not_wanted(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_file(&t, USR "/a.socket", WORKER);
        tree_file(&t, USR "/other.target.wants/x", "");
        tree_link(&t, ETC "/other.target.wants/a.socket", USR "/a.socket");
        tree_load_clean(&t);
        assert_int_equal(t.config->n_routes, 0);
}

/* Wanted and required, in several directories: one route. */
static void test_wanted_twice(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.socket", WORKER);
        tree_link(&t, USR "/fdpass.target.wants/a.socket", "../a.socket");
        tree_link(&t, ETC "/fdpass.target.requires/a.socket", "../a.socket");
        tree_load_clean(&t);
        assert_int_equal(t.config->n_routes, 1);
}

/* /dev/null, or an empty file, masks the entries of that name in weaker directories, and in no stronger one. */
static void test_wanted_masked(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        for (const char *name = "abc"; *name; name++) {
                char path[128];

                (void) snprintf(path, sizeof(path), USR "/%c.socket", *name);
                tree_file(&t, path, WORKER);
                (void) snprintf(path, sizeof(path), "/run/systemd/system/fdpass.target.wants/%c.socket", *name);
                tree_link(&t, path, USR "/x.socket");
        }

        tree_link(&t, WANTS "/a.socket", "/dev/null");
        tree_file(&t, WANTS "/b.socket", "");
        tree_link(&t, USR "/fdpass.target.wants/c.socket", "/dev/null");
        tree_load_clean(&t);
        assert_int_equal(t.config->n_routes, 1);
        assert_non_null(tree_route(&t, "c.socket"));
}

/* A unit that is masked in .wants/ may still be required. */
static void test_wanted_masked_but_required(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_file(&t, USR "/a.socket", WORKER);
        tree_link(&t, WANTS "/a.socket", "/dev/null");
        tree_link(&t, ETC "/fdpass.target.requires/a.socket", USR "/a.socket");
        tree_load_clean(&t);
        assert_int_equal(t.config->n_routes, 1);
}

static void test_wanted_bad_name(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.socket", WORKER);
        tree_link(&t, WANTS "/a b.socket", USR "/a.socket");
        tree_load(&t);
        assert_only(&t, CONFIG_WARNING, "a b.socket", WANTS "/a b.socket", 0,
                    "The entry is ignored: it is not named like a unit.");
        assert_int_equal(t.config->n_routes, 1);
}

/* systemd would start the instance "fdpass", which is never meant. */
static void test_wanted_template(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a@.socket", WORKER);
        tree_load(&t);
        assert_only(&t, CONFIG_WARNING, "a@.socket", WANTS "/a@.socket", 0,
                    "The entry is ignored: it names a template without an instance.");
        assert_int_equal(t.config->n_routes, 0);
}

static void test_wanted_not_a_link(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_file(&t, USR "/a.socket", WORKER);
        tree_file(&t, WANTS "/a.socket", WORKER);
        tree_load(&t);
        assert_only(&t, CONFIG_WARNING, "a.socket", WANTS "/a.socket", 0,
                    "The entry is ignored: it is not a symbolic link.");
        assert_int_equal(t.config->n_routes, 0);
}

static void test_wanted_hidden(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_file(&t, USR "/.a.socket", WORKER);
        tree_link(&t, WANTS "/.a.socket", USR "/.a.socket");
        tree_load_clean(&t);
        assert_int_equal(t.config->n_routes, 0);
}

static void test_wanted_without_file(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_enable(&t, "a.socket");
        tree_load(&t);
        assert_only(&t, CONFIG_WARNING, "a.socket", "", 0, "Enabled for fdpass.target, but there is no such unit; "
                    "install it, or remove its link.");
}

/* A link to nowhere hides the file in a weaker directory, as it does from systemd. */
static void test_dangling_unit(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.socket", WORKER);
        tree_link(&t, ETC "/a.socket", "/srv/gone.socket");
        tree_load(&t);
        assert_only(&t, CONFIG_WARNING, "a.socket", "", 0,
                    "Enabled for fdpass.target, but its unit file is a link to a file that does not exist; change the link.");
        assert_int_equal(t.config->n_routes, 0);
}

/* A masked unit has no route and no report. */
static void test_unit_masked(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.socket", WORKER);
        tree_worker(&t, "b.socket", WORKER);
        tree_link(&t, ETC "/a.socket", "/dev/null");
        tree_file(&t, ETC "/b.socket", "");
        tree_load_clean(&t);
        assert_int_equal(t.config->n_routes, 0);
}

static void test_instance_from_template(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_file(&t, USR "/a@.socket", "[Socket]\nListenStream=/run/%i.sock\n[X-FDPass]\n");
        tree_enable(&t, "a@x.socket");
        tree_load_clean(&t);
        assert_string_equal(tree_route(&t, "a@x.socket")->path, USR "/a@.socket");
        assert_string_equal(tree_route(&t, "a@x.socket")->worker, "/run/x.sock");
}

/* The instance's own file wins over the template, even if the template lies in a stronger directory. */
static void test_instance_before_template(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_file(&t, ETC "/a@.socket", WORKER);
        tree_worker(&t, "a@x.socket", WORKER);
        tree_load_clean(&t);
        assert_string_equal(tree_route(&t, "a@x.socket")->path, USR "/a@x.socket");
}

static void test_instance_masked(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_file(&t, USR "/a@.socket", WORKER);
        tree_enable(&t, "a@x.socket");
        tree_enable(&t, "a@y.socket");
        tree_link(&t, ETC "/a@x.socket", "/dev/null");
        tree_load_clean(&t);
        assert_int_equal(t.config->n_routes, 1);
        assert_non_null(tree_route(&t, "a@y.socket"));
}

/* However a link inside the load path is written, it makes an alias: two wanted names are one route. */
static void test_alias(_unused_ void **state) {
        static const char *const targets[] = { "a.socket", USR "/a.socket", "../../../lib/systemd/system/a.socket",
                                               "../system/a.socket" };

        for (size_t i = 0; i < ELEMENTSOF(targets); i++) {
                _cleanup_tree_ Tree t;

                tree_init(&t);
                tree_link(&t, "/lib", "usr/lib");
                tree_worker(&t, "a.socket", WORKER);
                tree_link(&t, ETC "/b.socket", targets[i]);
                tree_enable(&t, "b.socket");
                tree_load_clean(&t);
                assert_int_equal(t.config->n_routes, 1);
                assert_string_equal(t.config->routes[0].unit, "a.socket");
        }
}

/* Only the alias is wanted: the route still goes by the unit's own name. */
static void test_alias_only(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_file(&t, USR "/a.socket", WORKER);
        tree_link(&t, USR "/b.socket", "a.socket");
        tree_link(&t, USR "/c.socket", "b.socket");
        tree_enable(&t, "c.socket");
        tree_load_clean(&t);
        assert_int_equal(t.config->n_routes, 1);
        assert_string_equal(t.config->routes[0].unit, "a.socket");
        assert_string_equal(t.config->routes[0].path, USR "/a.socket");
}

static void test_alias_of_template(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_file(&t, USR "/a@.socket", "[Socket]\nListenStream=/run/%n\n[X-FDPass]\n");
        tree_link(&t, USR "/b@.socket", "a@.socket");
        tree_link(&t, USR "/c@two.socket", "a@.socket");
        tree_enable(&t, "b@one.socket");
        tree_enable(&t, "c@two.socket");
        tree_load_clean(&t);
        assert_int_equal(t.config->n_routes, 2);
        assert_string_equal(tree_route(&t, "a@one.socket")->worker, "/run/a@one.socket");
        assert_string_equal(tree_route(&t, "a@two.socket")->worker, "/run/a@two.socket");
}

static void test_alias_loop(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_link(&t, ETC "/a.socket", "b.socket");
        tree_link(&t, ETC "/b.socket", "a.socket");
        tree_enable(&t, "a.socket");
        tree_load(&t);
        assert_only(&t, CONFIG_WARNING, "a.socket", "", 0, "Enabled for fdpass.target, but there is no such unit; "
                    "install it, or remove its link.");
}

/* A link to a unit of another type is none, and does not hide the file in a weaker directory. */
static void test_alias_of_other_type(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.socket", WORKER);
        tree_file(&t, USR "/a.service", "[Service]\n");
        tree_link(&t, ETC "/a.socket", USR "/a.service");
        tree_load_clean(&t);
        assert_string_equal(tree_route(&t, "a.socket")->path, USR "/a.socket");
}

/* So it is with a link to the file of its own name. */
static void test_alias_of_itself(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.socket", WORKER);
        tree_link(&t, ETC "/a.socket", USR "/a.socket");
        tree_load_clean(&t);
        assert_string_equal(tree_route(&t, "a.socket")->path, USR "/a.socket");
}

/* `systemctl link`: the link stands for the unit, whatever the file is called. */
static void test_linked(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_file(&t, "/srv/app/any-name", WORKER "RoutePriority=7\n");
        tree_link(&t, ETC "/a.socket", "/srv/app/any-name");
        tree_enable(&t, "a.socket");
        tree_load_clean(&t);
        assert_string_equal(tree_route(&t, "a.socket")->path, ETC "/a.socket");
        assert_int_equal(tree_route(&t, "a.socket")->match.priority, 7);
}

/* Links, however many "..", lead nowhere outside the root directory. */
static void test_links_stay_in_root(_unused_ void **state) {
        _cleanup_tree_ Tree t, outside;
        char target[256];

        tree_init(&t);
        tree_init(&outside);
        tree_file(&outside, "/secret", WORKER);

        (void) snprintf(target, sizeof(target), "../../../../../../../..%s/secret", outside.root);
        tree_link(&t, ETC "/a.socket", target);
        tree_enable(&t, "a.socket");
        (void) snprintf(target, sizeof(target), "%s/secret", outside.root);
        tree_link(&t, ETC "/b.socket", target);
        tree_enable(&t, "b.socket");
        tree_load(&t);
        assert_int_equal(t.config->n_routes, 0);
        assert_int_equal(t.n_found, 2);
}

/* A directory that can't be read may hide anything: that is an error, not an empty directory. */
static void test_load_path_unreadable(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.socket", WORKER);
        tree_file(&t, "/run/systemd/system", "");
        tree_load(&t);
        assert_only(&t, CONFIG_ERROR, "", "/run/systemd/system", 0,
                    "The directory can't be read: Not a directory.");
        assert_int_equal(t.config->n_routes, 1);
}

static void test_load_path_forbidden(_unused_ void **state) {
        _cleanup_tree_ Tree t;
        _cleanup_free_ char *path = NULL;

        tree_init(&t);
        tree_worker(&t, "a.socket", WORKER);
        tree_directory(&t, "/run/systemd/system");
        path = tree_path(&t, "/run/systemd/system");
        assert_int_equal(chmod(path, 0), 0);
        assert_int_equal(chmod(t.root, 0755), 0);

        /* Root reads everything. */
        if (geteuid() == 0)
                assert_int_equal(seteuid(65534), 0);
        tree_load(&t);
        assert_int_equal(seteuid(getuid()), 0);

        assert_int_equal(chmod(path, 0755), 0);
        assert_only(&t, CONFIG_ERROR, "", "/run/systemd/system", 0,
                    "The directory can't be read: Permission denied.");
        assert_int_equal(t.config->n_routes, 1);
}

/* The reader never waits for anything but a regular file. */
static void test_unit_is_fifo(_unused_ void **state) {
        _cleanup_tree_ Tree t;
        _cleanup_free_ char *path = NULL;

        tree_init(&t);
        path = tree_path(&t, ETC "/a.socket");
        assert_int_equal(mkfifo(path, 0644), 0);
        tree_enable(&t, "a.socket");
        tree_load(&t);
        assert_only(&t, CONFIG_ERROR, "a.socket", ETC "/a.socket", 0,
                    "The file can't be read: it is not a regular file.");
        assert_int_equal(t.config->n_routes, 0);
}

/* A directory is no unit file, to systemd neither: the next one counts. */
static void test_unit_is_directory(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.socket", WORKER);
        tree_directory(&t, ETC "/a.socket");
        tree_load_clean(&t);
        assert_string_equal(tree_route(&t, "a.socket")->path, USR "/a.socket");
}

static void test_unit_is_link_loop(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_link(&t, "/srv/x", "y");
        tree_link(&t, "/srv/y", "x");
        tree_link(&t, ETC "/a.socket", "/srv/x");
        tree_enable(&t, "a.socket");
        tree_load(&t);
        assert_only(&t, CONFIG_ERROR, "a.socket", ETC "/a.socket", 0,
                    "The file can't be read: Too many levels of symbolic links.");
}

static void test_unit_too_large(_unused_ void **state) {
        _cleanup_tree_ Tree t;
        _cleanup_free_ char *path = NULL;

        tree_init(&t);
        tree_worker(&t, "a.socket", WORKER);
        path = tree_path(&t, USR "/a.socket");
        assert_int_equal(truncate(path, (1 << 20) + 1), 0);
        tree_load(&t);
        assert_only(&t, CONFIG_ERROR, "a.socket", USR "/a.socket", 0,
                    "The file can't be read: it is larger than 1 MiB.");
}

/* Ten thousand instances are ten thousand routes, and each file of the template is read once. */
static void test_many_instances(_unused_ void **state) {
        enum { N = 10000 };
        _cleanup_tree_ Tree t;
        char unit[64];

        tree_init(&t);
        tree_file(&t, USR "/a@.socket", "[Socket]\nListenStream=/run/fdpass/%i.sock\nno key\n[X-FDPass]\n");
        tree_file(&t, USR "/a@.socket.d/x.conf", "[X-FDPass]\nRoutePriority=9\n");
        for (unsigned i = 0; i < N; i++) {
                (void) snprintf(unit, sizeof(unit), "a@%05u.socket", i);
                tree_enable(&t, unit);
        }

        tree_load(&t);
        assert_int_equal(t.config->n_routes, N);
        assert_string_equal(t.config->routes[4711].unit, "a@04711.socket");
        assert_string_equal(t.config->routes[4711].worker, "/run/fdpass/04711.sock");
        assert_int_equal(t.config->routes[4711].match.priority, 9);

        /* A warning about a line that they share is given once. */
        assert_int_equal(t.n_found, 1);
}

TEST_MAIN(TEST(test_empty_root),
          TEST(test_stamp),
          TEST(test_load_path),
          TEST(test_load_path_merged_usr),
          TEST(test_wanted_everywhere),
          TEST(test_not_wanted),
          TEST(test_wanted_twice),
          TEST(test_wanted_masked),
          TEST(test_wanted_masked_but_required),
          TEST(test_wanted_bad_name),
          TEST(test_wanted_template),
          TEST(test_wanted_not_a_link),
          TEST(test_wanted_hidden),
          TEST(test_wanted_without_file),
          TEST(test_dangling_unit),
          TEST(test_unit_masked),
          TEST(test_instance_from_template),
          TEST(test_instance_before_template),
          TEST(test_instance_masked),
          TEST(test_alias),
          TEST(test_alias_only),
          TEST(test_alias_of_template),
          TEST(test_alias_loop),
          TEST(test_alias_of_other_type),
          TEST(test_alias_of_itself),
          TEST(test_linked),
          TEST(test_links_stay_in_root),
          TEST(test_load_path_unreadable),
          TEST(test_load_path_forbidden),
          TEST(test_unit_is_fifo),
          TEST(test_unit_is_directory),
          TEST(test_unit_is_link_loop),
          TEST(test_unit_too_large),
          TEST(test_many_instances))
