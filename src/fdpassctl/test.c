/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl test: shows which route a client would take, and why each other route would not take it. */

#include <stdio.h>

#include "fdpassctl/load-units.h"
#include "fdpassctl/options.h"
#include "fdpassctl/test-bytes.h"
#include "fdpassctl/test-print.h"
#include "fdpassctl/test-request.h"
#include "fdpassctl/test-running.h"
#include "fdpassctl/verbs.h"

/* Returns the listener's settings. Like the broker, it uses the defaults for a listener that no unit configures. */
static const ListenerConfig *test_find_listener(const Config *config, const TestRequest *d) {
        const ListenerConfig *listener = load_find_listener_name(config, d->facts.listener);

        if (!listener && d->has_listener && !arg_quiet)
                fprintf(stderr, "--listener=%s: warning: no public socket of this name is enabled.\n",
                        d->facts.listener);

        return listener ?: &config->listener_default;
}

/*
 * Takes off the PROXY header that the listener expects, as if the proxy were trusted. Returns false if more bytes are
 * needed.
 */
static bool test_take_proxy_header(TestRequest *d, const ListenerConfig *listener) {
        ProxyFacts proxy;

        if (listener->proxy_protocol == PROXY_PROTOCOL_NO)
                return true;

        switch (probe_proxy(d->facts.head.p, d->facts.head.n, &proxy)) {

        case PROBE_NEED_MORE:
                return false;

        case PROBE_MATCH:
                d->facts.head = slice_skip(d->facts.head, proxy.header_length);
                d->proxied = proxy.source;
                if (proxy.source_length > 0)
                        d->facts.source = (const struct sockaddr *) &d->proxied;
                return true;

        case PROBE_NO_MATCH:
                if (listener->proxy_protocol == PROXY_PROTOCOL_REQUIRE)
                        d->malformed = PROBE_REASON_PROXY_V1;
                return true;

        case PROBE_MALFORMED:
                d->malformed = proxy.reason;
                return true;
        }

        return true;
}

/* Looks at --bytes= or at a request, as the broker does at this listener. Returns false if more bytes are needed. */
static bool test_probe(TestRequest *d, const ListenerConfig *listener) {
        Slice *head = &d->facts.head;

        if (!head->p) {
                if (d->facts.protocol == 1U << PROBE_HTTP)
                        d->malformed = test_bytes_check_request(d, listener->max_head_size);
                return true;
        }

        if (!test_take_proxy_header(d, listener))
                return false;
        if (d->malformed != PROBE_REASON_NONE)
                return true;

        switch (probe_client(head->p, head->n, listener->max_head_size, &d->probe)) {

        case PROBE_NEED_MORE:
                return false;

        case PROBE_MALFORMED:
                d->malformed = d->probe.reason;
                return true;

        case PROBE_MATCH:
                facts_add_probe(&d->facts, &d->probe);
                return true;

        case PROBE_NO_MATCH:
                return true;
        }

        return true;
}

/* Finds the winner among all routes with the index that the broker uses. Returns 0 or -ENOMEM. */
static int test_find_winner(const Config *config, const Facts *facts, MatchResult *ret) {
        _cleanup_(match_index_freep) MatchIndex *index = NULL;
        int r;

        r = match_index_new(&index);
        for (size_t i = 0; r >= 0 && i < config->n_routes; i++)
                r = match_index_add(index, &config->routes[i].match, config->routes[i].unit, i);
        if (r >= 0)
                r = match_index_finish(index);
        if (r < 0)
                return r;

        match_index_find(index, facts, ret);
        return 0;
}

/* Returns 0 or -ENOMEM. */
static int test_decide(const Config *config, TestRequest *d, TestOutcome *ret) {
        const RouteConfig *winner;
        MatchResult result;
        int r;

        if (!test_probe(d, test_find_listener(config, d))) {
                *ret = (TestOutcome){ .result = "more" };
                return 0;
        }

        r = test_find_winner(config, &d->facts, &result);
        if (r < 0)
                return r;

        winner = result.found ? &config->routes[result.pool] : NULL;
        if (result.ambiguous_path)
                d->malformed = PROBE_REASON_HTTP_AMBIGUOUS_PATH;

        /* Only a route with Prefix= takes bytes that are no valid request. */
        if (result.ambiguous_path || (d->malformed != PROBE_REASON_NONE && (!winner || winner->match.n_prefixes == 0)))
                *ret = (TestOutcome){ .result = "refused", .reason = probe_reason_to_string(d->malformed) };
        else if (winner)
                *ret = (TestOutcome){ .result = "route", .winner = winner };
        else
                *ret = (TestOutcome){ .result = "refused", .reason = "no-route" };

        return 0;
}

static int test_by_units(TestRequest *d) {
        _cleanup_(config_freep) Config *config = load_units();
        TestOutcome outcome;

        if (!config)
                return EXIT_FAILURE;

        if (test_decide(config, d, &outcome) < 0) {
                fprintf(stderr, "Out of memory.\n");
                return EXIT_FAILURE;
        }

        return test_print(&outcome, config, &d->facts);
}

int verb_test(int argc, char *argv[]) {
        _cleanup_free_ TestRequest *d = calloc(1, sizeof(*d));
        int r;

        if (!d)
                return EXIT_FAILURE;

        r = test_request_parse(argc, argv, d);
        if (r <= 0)
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;

        return d->is_for_broker ? test_running(d) : test_by_units(d);
}
