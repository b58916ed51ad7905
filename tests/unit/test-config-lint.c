/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The findings of `fdpassctl verify` about the services behind workers' sockets. */

#include "test-config.h"

#define LIMIT "TriggerLimitIntervalSec=0\n"
#define UNIT "[Unit]\nStartLimitIntervalSec=0\n"
#define PRIVATE_SOCKET "[Socket]\nListenStream=/run/w\nSocketUser=fdpass\nSocketMode=0600\n" LIMIT
#define ROUTE "[X-FDPass]\n"
#define REST "PrivateNetwork=yes\nPrivateDevices=yes\nRestrictNamespaces=yes\n"
#define SHUT REST "SystemCallFilter=~connect bind listen\n"

/* The tree has no other findings than those of the sandbox. */
static void lint(Tree *t) {
        tree_check(t);
        for (size_t i = 0; i < t->n_found; i++)
                if (t->found[i].severity != CONFIG_NOTE)
                        print_error("%s:%u: %s\n", t->found[i].path, t->found[i].line, t->found[i].message);
        assert_int_equal(t->config->n_errors, 0);
}

static void assert_lacks(Tree *t, size_t i, const char *unit, const char *path, const char *what) {
        char message[512];

        (void) snprintf(message, sizeof(message), "%s lacks %s; see SECURITY in fdpass(7). LintSandbox=no in the "
                        "worker's unit turns this note off.", strrchr(path, '/') + 1, what);
        assert_found(t, i, CONFIG_NOTE, unit, path, 0, message);
}

/* One worker a.socket with a service of these lines; NULL: it lacks nothing. */
static void check(const char *lines, const char *lacks) {
        _cleanup_tree_ Tree t;
        char content[1024];

        tree_init(&t);
        (void) snprintf(content, sizeof(content), UNIT "[Service]\nExecStart=/bin/true\n%s", lines);
        tree_worker(&t, "a.socket", PRIVATE_SOCKET ROUTE);
        tree_file(&t, USR "/a.service", content);
        lint(&t);
        assert_int_equal(t.n_found, lacks ? 1 : 0);
        if (lacks)
                assert_lacks(&t, 0, "a.service", USR "/a.service", lacks);
}

static void test_lines(_unused_ void **state) {
        check("", "PrivateNetwork=yes, PrivateDevices=yes, RestrictNamespaces=yes, SystemCallFilter=~connect bind listen");
        check(SHUT, NULL);
        check(SHUT "PrivateDevices=no\n", "PrivateDevices=yes");
        check(SHUT "PrivateNetwork=\n", "PrivateNetwork=yes");
        check(SHUT "PrivateNetwork=1\nPrivateDevices=true\nRestrictNamespaces=on\n", NULL);
}

static void test_namespaces(_unused_ void **state) {
        check(SHUT "RestrictNamespaces=net mnt\n", NULL);
        check(SHUT "RestrictNamespaces=net user\n", "RestrictNamespaces=yes");
        check(SHUT "RestrictNamespaces=~user net\n", NULL);
        check(SHUT "RestrictNamespaces=~net\n", "RestrictNamespaces=yes");
        check(SHUT "RestrictNamespaces=no\n", "RestrictNamespaces=yes");
        check(SHUT "RestrictNamespaces=\n", "RestrictNamespaces=yes");
}

/* systemd.exec(5): the first line says whether the list is of what is allowed, an empty one begins anew. */
static void test_filters(_unused_ void **state) {
        check(REST "SystemCallFilter=@system-service\n", "SystemCallFilter=~connect bind listen");
        check(REST "SystemCallFilter=@basic-io @process\n", NULL);
        check(REST "SystemCallFilter=@basic-io listen\n", "SystemCallFilter=~listen");
        check(REST "SystemCallFilter=@system-service\nSystemCallFilter=~@privileged connect:EPERM bind listen\n", NULL);
        check(REST "SystemCallFilter=@system-service\nSystemCallFilter=~@network-io\n", NULL);
        check(REST "SystemCallFilter=@system-service\nSystemCallFilter=~@network-io\nSystemCallFilter=connect bind\n",
              "SystemCallFilter=~connect bind");
        check(SHUT "SystemCallFilter=connect\n", "SystemCallFilter=~connect");
        check(SHUT "SystemCallFilter=\n", "SystemCallFilter=~connect bind listen");
        check(SHUT "SystemCallFilter=\nSystemCallFilter=@file-system\n", NULL);
        check(REST "SystemCallFilter=~connector binder listener\n", "SystemCallFilter=~connect bind listen");
}

/* The program confines itself, but for listen(2), which it can let be forbidden. */
static void test_landlock(_unused_ void **state) {
        check(REST "SystemCallFilter=@system-service landlock_restrict_self\n", "SystemCallFilter=~listen");
        check(REST "SystemCallFilter=@system-service landlock_restrict_self\nSystemCallFilter=~listen\n", NULL);
}

/* The service is found as systemd finds it, and its drop-ins are merged. */
static void test_which_service(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.socket", PRIVATE_SOCKET "Service=%p-other.service\n" ROUTE);
        tree_file(&t, USR "/a.service", UNIT "[Service]\n" SHUT);
        tree_file(&t, USR "/a-other.service", UNIT "[Service]\n");
        tree_worker(&t, "b.socket", "[Socket]\nListenStream=/run/b\nAccept=yes\nSocketUser=fdpass\nSocketMode=0600\n" LIMIT ROUTE);
        tree_file(&t, USR "/b@.service", UNIT "[Service]\n" SHUT "PrivateDevices=no\n");
        tree_worker(&t, "c.socket", "[Socket]\nListenStream=/run/c\nSocketUser=fdpass\nSocketMode=0600\n" LIMIT ROUTE);
        tree_file(&t, USR "/c.service", UNIT "[Service]\nPrivateNetwork=yes\n");
        tree_file(&t, ETC "/c.service.d/box.conf", "[Service]\nSystemCallFilter=~connect bind listen\nRestrictNamespaces=yes\n");
                lint(&t);
        assert_int_equal(t.n_found, 3);
        assert_lacks(&t, 1, "b@0.service", USR "/b@.service", "PrivateDevices=yes");
        assert_lacks(&t, 2, "c.service", USR "/c.service", "PrivateDevices=yes");
        assert_lacks(&t, 0, "a-other.service", USR "/a-other.service",
                     "PrivateNetwork=yes, PrivateDevices=yes, RestrictNamespaces=yes, SystemCallFilter=~connect bind listen");
}

/* One note for a service with two sockets, or with many instances. */
static void test_once(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_file(&t, USR "/a@.socket", "[Socket]\nListenStream=/run/%i\nSocketUser=fdpass\nSocketMode=0600\n" LIMIT ROUTE);
        tree_link(&t, USR "/a@1.socket", "a@.socket");
        tree_link(&t, USR "/a@2.socket", "a@.socket");
        tree_enable(&t, "a@1.socket");
        tree_enable(&t, "a@2.socket");
        tree_file(&t, USR "/a@.service", UNIT "[Service]\n" SHUT "PrivateDevices=no\n");
        lint(&t);
        assert_int_equal(t.n_found, 1);
}

static void test_turned_off(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_worker(&t, "a.socket", PRIVATE_SOCKET ROUTE "LintSandbox=no\n");
        tree_file(&t, USR "/a.service", UNIT "[Service]\n");
        tree_worker(&t, "b.socket", "[Socket]\nListenStream=9\n" ROUTE "Worker=/run/x\n"); /* not its worker */
        tree_file(&t, USR "/b.service", UNIT "[Service]\n");
        lint(&t);
        assert_int_equal(t.n_found, 0);
}

TEST_MAIN(TEST(test_lines),
          TEST(test_namespaces),
          TEST(test_filters),
          TEST(test_landlock),
          TEST(test_which_service),
          TEST(test_once),
          TEST(test_turned_off))
