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
        ProbeReason reason;

        if (listener->proxy_protocol == PROXY_PROTOCOL_NO)
                return true;

        switch (facts_take_proxy(&d->facts, &d->proxied, &reason)) {

        case PROBE_NEED_MORE:
                return false;

        case PROBE_MATCH:
                return true;

        case PROBE_NO_MATCH:
                if (listener->proxy_protocol == PROXY_PROTOCOL_REQUIRE)
                        d->malformed = PROBE_REASON_PROXY_MISSING;
                return true;

        case PROBE_MALFORMED:
                d->malformed = reason;
                return true;
        }

        return true;
}

/* Decides by --bytes=, as the broker does at a listener whose routes ask for bytes. */
static Decision test_decide_bytes(const MatchIndex *index, TestRequest *d, const ListenerConfig *listener) {
        if (d->facts.head.n == 0)
                return decide_silent(index, &d->facts);

        return decide_head(index, &d->facts, listener->max_head_size, &d->probe);
}

/* Decides by the hello that the options describe, because only the probe knows which names in it are used. */
static int test_set_hello(TestRequest *d) {
        TestBytes b = {};
        int r = test_bytes_make(d, &b);

        if (r < 0)
                return r;

        memcpy(d->bytes, b.p, b.n);
        d->facts.head = (Slice){ d->bytes, b.n };
        return 0;
}

/* Decides by the other options. They have to describe a request that the broker takes. */
static Decision test_decide_options(const MatchIndex *index, TestRequest *d, const ListenerConfig *listener) {
        if (d->facts.protocol == PROTOCOL_SILENT)
                return decide_silent(index, &d->facts);
        if (d->facts.protocol == 1U << PROBE_HTTP)
                d->malformed = test_bytes_check_request(d, listener->max_head_size);
        if (d->malformed != PROBE_REASON_NONE)
                return (Decision){ .kind = DECISION_MALFORMED, .reason = d->malformed };

        return decide_facts(index, &d->facts);
}

static Decision test_decide(const MatchIndex *index, TestRequest *d, const ListenerConfig *listener) {
        bool has_bytes = d->facts.head.p;

        if (has_bytes && !test_take_proxy_header(d, listener))
                return (Decision){ .kind = DECISION_MORE };
        if (d->malformed != PROBE_REASON_NONE)
                return (Decision){ .kind = DECISION_MALFORMED, .reason = d->malformed };

        /* The broker does not read the first bytes if no route of the listener asks for them. */
        if (listener->is_unread || !match_index_needs_head(index, d->facts.listener)) {
                d->is_unread = true;
                d->facts = (ClientFacts){
                        .listener = d->facts.listener,
                        .source = d->facts.source,
                        .is_tls = d->facts.is_tls,
                };
                return decide_facts(index, &d->facts);
        }

        return has_bytes ? test_decide_bytes(index, d, listener) : test_decide_options(index, d, listener);
}

static int test_by_units(TestRequest *d) {
        _cleanup_(match_index_freep) MatchIndex *index = NULL;
        _cleanup_(config_freep) Config *config = load_units();
        const ListenerConfig *listener;
        Decision decision;

        if (!config)
                return EXIT_FAILURE;

        if (load_make_index(config, &index) < 0) {
                fprintf(stderr, "Out of memory.\n");
                return EXIT_FAILURE;
        }

        if (!d->facts.head.p && d->facts.protocol == 1U << PROBE_TLS && test_set_hello(d) < 0)
                return EXIT_FAILURE;

        listener = test_find_listener(config, d);
        decision = test_decide(index, d, listener);
        return test_print_decision(&decision, config, index, d);
}

int verb_test(int argc, char *argv[]) {
        _cleanup_free_ TestRequest *d = calloc(1, sizeof(*d));
        int r;

        if (!d)
                return EXIT_FAILURE;

        r = test_request_parse(argc, argv, d);
        if (r <= 0)
                return r;

        return d->is_for_broker ? test_running(d) : test_by_units(d);
}
