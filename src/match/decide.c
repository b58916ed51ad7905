/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "match/decide.h"

#include <arpa/inet.h>

#include "match/facts.h"

static Decision decide_malformed(ProbeReason reason) {
        return (Decision){ .kind = DECISION_MALFORMED, .reason = reason };
}

static Decision decide_route(const MatchResult *result) {
        return (Decision){ .kind = DECISION_ROUTE, .pool = result->pool, .match = result->match };
}

/*
 * True if the Host field, which the target overrides (RFC 9112 3.2.2), leads to another pool than @pool. Some servers
 * read that field all the same.
 */
static bool decide_host_leads_elsewhere(const MatchIndex *index, const ClientFacts *facts, size_t pool) {
        ClientFacts other = *facts;
        MatchResult result;

        other.host = facts->overridden_host;
        match_index_find(index, &other, &result);
        return result.ambiguous_path || (result.found && result.pool != pool);
}

static bool decide_begins_authority(Slice path) {
        return path.n > 1 && (path.p[1] == '/' || path.p[1] == '\\');
}

/*
 * Splits a path that begins with "//" as a parser of URLs does (RFC 3986 4.2): "//name/path" is "/path" of the host
 * "name". Some take a backslash for a slash. Returns false if there is no name of a host.
 */
static bool decide_split_authority(Slice path, ProbeName *ret_host, Slice *ret_path) {
        size_t n = 0, begin;
        uint16_t port;

        while (n < path.n && (path.p[n] == '/' || path.p[n] == '\\'))
                n++;

        for (begin = n; n < path.n && path.p[n] != '/' && path.p[n] != '\\'; n++)
                if (path.p[n] == '@')
                        begin = n + 1;

        *ret_path = n < path.n ? slice_skip(path, n) : SLICE_LITERAL("/");
        return probe_name_set_authority(ret_host, &port, slice_skip(slice_head(path, n), begin));
}

/* True if the path begins with "//" and a name that is in a Host=, and leads to another pool than @pool by that. */
static bool decide_authority_leads_elsewhere(const MatchIndex *index, const ClientFacts *facts, size_t pool) {
        MatchResult result;
        ClientFacts other;
        ProbeName host;
        Slice path;

        if (!decide_split_authority(facts->path, &host, &path))
                return false;

        other = *facts;
        other.host = &host;
        other.path = path;
        match_index_find(index, &other, &result);
        return result.ambiguous_path || (result.host_is_known && (!result.found || result.pool != pool));
}

/* Clients send no name for an address (RFC 6066 3), and no name is needed for a request without a host. */
static bool decide_is_tls_name(const ClientFacts *facts, const ProbeName *host) {
        struct in_addr in;

        if (!host || host->n == 0)
                return true;
        if (facts->tls_name->n > 0)
                return probe_name_equal(facts->tls_name, host);

        return host->text[0] == '[' || inet_pton(AF_INET, host->text, &in) == 1;
}

/*
 * True if a request is for another host than the handshake was made for. The certificate and the demand for one of the
 * client were chosen by that name, so another name would lead around them.
 */
static bool decide_is_misdirected(const ClientFacts *facts) {
        if (!facts->tls_name || facts->protocol != 1U << PROBE_HTTP)
                return false;

        return !decide_is_tls_name(facts, facts->host) || !decide_is_tls_name(facts, facts->overridden_host);
}

Decision decide_facts(const MatchIndex *index, const ClientFacts *facts) {
        MatchResult result;

        match_index_find(index, facts, &result);

        if (result.ambiguous_path)
                return decide_malformed(PROBE_REASON_HTTP_AMBIGUOUS_PATH);
        if (result.found && facts->overridden_host && decide_host_leads_elsewhere(index, facts, result.pool))
                return decide_malformed(PROBE_REASON_HTTP_HOST_MISMATCH);
        if (result.found && decide_begins_authority(facts->path) &&
            decide_authority_leads_elsewhere(index, facts, result.pool))
                return decide_malformed(PROBE_REASON_HTTP_AMBIGUOUS_PATH);
        if (result.found && !result.match->allows_other_host && decide_is_misdirected(facts))
                return decide_malformed(PROBE_REASON_HTTP_NOT_TLS_NAME);
        if (result.found)
                return decide_route(&result);
        if (facts->host && facts->host->n > 0 && match_index_has_hosts(index) && !result.host_is_known)
                return (Decision){ .kind = DECISION_NO_HOST };
        if (facts->protocol == 1U << PROBE_HTTP2)
                return (Decision){ .kind = DECISION_NO_HTTP2 };

        return (Decision){ .kind = DECISION_NO_ROUTE };
}

Decision decide_incomplete(const MatchIndex *index, const ClientFacts *facts) {
        ClientFacts hostless = *facts;
        MatchResult result;

        /* The bytes may name another host than the PROXY header. */
        hostless.host = NULL;

        match_index_find(index, &hostless, &result);
        if (!result.found || result.match->n_prefixes == 0)
                return (Decision){ .kind = DECISION_MORE };

        return decide_route(&result);
}

/*
 * Decides when the probe does not know the protocol of the bytes, or, with @is_malformed, finds an error in them. Bytes
 * of an unknown protocol may go to a route with Prefix=, or to one that asks for the listener or the source only.
 * Malformed bytes may only go to a route with Prefix=.
 */
static Decision decide_unknown(const MatchIndex *index, const ClientFacts *facts, bool is_malformed, ProbeReason reason) {
        Decision d;

        if (match_index_prefix_needs_more(index, facts))
                return (Decision){ .kind = DECISION_MORE };
        if (!is_malformed)
                return decide_facts(index, facts);

        d = decide_incomplete(index, facts);
        return d.kind == DECISION_ROUTE ? d : decide_malformed(reason);
}

Decision decide_head(const MatchIndex *index, ClientFacts *facts, size_t max_head_size, Probe *ret_probe) {
        Decision d = { .kind = DECISION_MORE };

        switch (probe_client(facts->head.p, facts->head.n, max_head_size, ret_probe)) {

        case PROBE_NEED_MORE:
                break;

        case PROBE_MATCH:
                facts_add_probe(facts, ret_probe);
                d = decide_facts(index, facts);
                d.is_known = true;
                return d;

        case PROBE_NO_MATCH:
                d = decide_unknown(index, facts, /* is_malformed= */ false, PROBE_REASON_NONE);
                break;

        case PROBE_MALFORMED:
                d = decide_unknown(index, facts, /* is_malformed= */ true, ret_probe->reason);
                break;
        }

        return d.kind == DECISION_MORE && facts->head.n >= max_head_size ? decide_malformed(PROBE_REASON_TOO_LARGE) : d;
}

Decision decide_silent(const MatchIndex *index, ClientFacts *facts) {
        MatchResult result;

        facts->protocol = PROTOCOL_SILENT;
        match_index_find(index, facts, &result);
        if (!result.found ||
            !(result.match->protocols & PROTOCOL_SILENT || (result.match->listeners && !match_needs_head(result.match))))
                return (Decision){ .kind = DECISION_NO_ROUTE };

        return decide_route(&result);
}

const char *decision_result(const Decision *d) {
        switch (d->kind) {

        case DECISION_MORE:
                return "more";

        case DECISION_ROUTE:
                return "route";

        case DECISION_NO_ROUTE:
        case DECISION_NO_HOST:
        case DECISION_NO_HTTP2:
        case DECISION_MALFORMED:
                break;
        }

        return "refused";
}

const char *decision_reason(const Decision *d) {
        switch (d->kind) {

        case DECISION_NO_ROUTE:
                return "no-route";

        case DECISION_NO_HOST:
                return "no-such-host";

        case DECISION_NO_HTTP2:
                return "no-http2";

        case DECISION_MALFORMED:
                return probe_reason_to_string(d->reason);

        case DECISION_MORE:
        case DECISION_ROUTE:
                break;
        }

        return NULL;
}
