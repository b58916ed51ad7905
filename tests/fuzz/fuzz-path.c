/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * If a path is taken, each reading of it leads to the same route. An input has one byte for a host, some bytes for the
 * steps of a server, one of 0xff, and the path.
 */

#include "path-routes.h"

/* A path longer than that has more pieces than are looked at. */
#define FUZZ_PATH_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const MatchIndex *index, size_t n_routes, const char *host, Slice steps, Slice path) {
        int route = path_ask(index, host, path);
        uint8_t reading[FUZZ_PATH_MAX];
        size_t n = path.n;

        if (route == PATH_REFUSED)
                return;

        memcpy(reading, path.p, path.n);
        for (size_t i = 0; n > 0 && i < steps.n; i++) {
                n = path_step((PathStep) (steps.p[i] % _PATH_STEP_MAX), reading, n);
                if (n > 0 && path_ask_plainly(n_routes, host, (Slice){ reading, n }) != route)
                        abort();
        }
}

/* True for a path that the probe takes. */
static bool is_path(Slice s) {
        for (size_t i = 0; i < s.n; i++)
                if (s.p[i] <= ' ' || s.p[i] == 0x7f || s.p[i] == '?' || s.p[i] == '#')
                        return false;

        return s.n > 0 && s.n <= FUZZ_PATH_MAX && s.p[0] == '/';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char *const hosts[] = { "h", "plain", "only", "other" };
        static MatchIndex *all, *without_escapes;
        const uint8_t *end = size > 1 ? memchr(data + 1, 0xff, size - 1) : NULL;
        Slice steps, path;

        if (!all) {
                all = path_make_index(ELEMENTSOF(path_routes));
                without_escapes = path_make_index(CAFE);
        }

        if (!end)
                return 0;

        steps = (Slice){ data + 1, (size_t) (end - data) - 1 };
        path = (Slice){ end + 1, size - steps.n - 2 };
        if (!is_path(path))
                return 0;

        check(all, ELEMENTSOF(path_routes), hosts[data[0] % ELEMENTSOF(hosts)], steps, path);
        check(without_escapes, CAFE, hosts[data[0] % ELEMENTSOF(hosts)], steps, path);
        return 0;
}
