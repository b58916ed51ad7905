/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The keys of the broker in its own unit. */

#include "test-config.h"

static void test_broker(_unused_ void **state) {
        static const struct {
                const char *value;
                LogHandoffs log_handoffs;
        } cases[] = {
                { "no", LOG_HANDOFFS_NO },       { "yes", LOG_HANDOFFS_YES },   { "failures", LOG_HANDOFFS_FAILURES },
                { "false", LOG_HANDOFFS_NO },    { "1", LOG_HANDOFFS_YES },     { "", LOG_HANDOFFS_NO },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_tree_ Tree t;
                char content[128];

                tree_init(&t);
                (void) snprintf(content, sizeof(content), "[X-FDPass]\nLogHandoffs=yes\nLogHandoffs=%s\nMaxClients=77\n",
                                cases[i].value);
                tree_file(&t, USR "/fdpass.service", content);
                tree_load_clean(&t);
                assert_int_equal(t.config->broker.log_handoffs, cases[i].log_handoffs);
                assert_int_equal(t.config->broker.max_clients, 77);
                assert_int_equal(t.config->n_routes, 0);
        }
}

/* A drop-in for the broker's unit, and a key of a route, which is none of the broker's. */
static void test_broker_dropin(_unused_ void **state) {
        _cleanup_tree_ Tree t;

        tree_init(&t);
        tree_file(&t, USR "/fdpass.service", "[Service]\nExecStart=/bin/true\n");
        tree_file(&t, ETC "/fdpass.service.d/x.conf", "[X-FDPass]\nLogHandoffs=maybe\nMaxClients=-1\nListener=a\n");
        tree_load(&t);
        assert_int_equal(t.n_found, 3);
        assert_found(&t, 0, CONFIG_ERROR, "fdpass.service", ETC "/fdpass.service.d/x.conf", 2,
                     "LogHandoffs= wants \"no\", \"failures\" or \"yes\", not \"maybe\".");
        assert_found(&t, 1, CONFIG_ERROR, "fdpass.service", ETC "/fdpass.service.d/x.conf", 3,
                     "MaxClients= wants a number from 0 to 4294967295, not \"-1\".");
        assert_found(&t, 2, CONFIG_WARNING, "fdpass.service", ETC "/fdpass.service.d/x.conf", 4,
                     "The unknown key \"Listener\" in [X-FDPass] is ignored; it belongs into a worker's unit.");
        assert_int_equal(t.config->n_errors, 2);
        assert_int_equal(t.config->broker.log_handoffs, LOG_HANDOFFS_NO);
        assert_int_equal(t.config->broker.max_clients, 0);
}

TEST_MAIN(TEST(test_broker),
          TEST(test_broker_dropin))
