/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Prints the facts and the decision about first bytes, one line for each input on stdin. An input has its length before
 * it, in four bytes, most significant first. Each argument is a route: "NAME HOST PATH". "-" stands for no Host= or no
 * Path=.
 */

#include "../fuzz/probe-text.h"
#include "match/decide.h"

#define MAX_SIZE (128 * 1024)
#define ROUTES_MAX 64

typedef struct TestRoute {
        char *name;
        char *hosts[2], *paths[2];
        RouteMatch match;
} TestRoute;

static TestRoute routes[ROUTES_MAX];

static int add_route(MatchIndex *index, TestRoute *r, char *words, size_t number) {
        char *rest = words, *host, *path;

        r->name = strsep(&rest, " ");
        host = strsep(&rest, " ");
        path = strsep(&rest, " ");
        if (!host || !path)
                return -EINVAL;

        r->hosts[0] = host;
        r->paths[0] = path;
        r->match.hosts = streq(host, "-") ? NULL : r->hosts;
        r->match.paths = streq(path, "-") ? NULL : r->paths;
        return match_index_add(index, &r->match, r->name, number);
}

static void print(const MatchIndex *index, const uint8_t *p, size_t n) {
        ClientFacts facts = { .listener = "public", .head = { p, n } };
        static ProbeText text;
        Probe probe;
        Decision d;

        (void) probe_text_client(&text, p, n, MAX_SIZE);
        d = decide_head(index, &facts, MAX_SIZE, &probe);
        printf("%s decision=%s:%s\n", text.text, decision_result(&d),
               d.kind == DECISION_ROUTE ? routes[d.pool].name : decision_reason(&d) ?: "");
}

int main(int argc, char *argv[]) {
        _cleanup_(match_index_freep) MatchIndex *index = NULL;
        static uint8_t bytes[MAX_SIZE];
        uint8_t header[4];

        if (match_index_new(&index) < 0)
                return EXIT_FAILURE;

        for (int i = 1; i < argc; i++)
                if (i > ROUTES_MAX || add_route(index, &routes[i - 1], argv[i], (size_t) i - 1) < 0) {
                        fprintf(stderr, "Usage: %s [\"NAME HOST PATH\"...] <INPUTS\n", argv[0]);
                        return EXIT_FAILURE;
                }

        if (match_index_finish(index) < 0)
                return EXIT_FAILURE;

        while (fread(header, 1, sizeof(header), stdin) == sizeof(header)) {
                Reader r = { header, sizeof(header) };
                uint32_t n;

                if (!reader_u32(&r, &n) || n > sizeof(bytes) || fread(bytes, 1, n, stdin) != n) {
                        fprintf(stderr, "The last input is cut off.\n");
                        return EXIT_FAILURE;
                }

                print(index, bytes, n);
        }

        return EXIT_SUCCESS;
}
