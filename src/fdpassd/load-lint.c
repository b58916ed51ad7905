/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassd/load-lint.h"

#include "basic/array.h"
#include "basic/hash.h"

/* Limit of the findings that are known again at the next load. Later ones are logged again. */
#define LOAD_LINT_KNOWN_MAX 4096

void load_lint_begin(LoadLint *l) {
        free(l->before);
        *l = (LoadLint){ .before = l->now, .n_before = l->n_now };
}

void load_lint_done(LoadLint *l) {
        free(l->before);
        free(l->now);
        *l = (LoadLint){};
}

static bool load_lint_has(const uint64_t *hashes, size_t n, uint64_t hash) {
        for (size_t i = 0; i < n; i++)
                if (hashes[i] == hash)
                        return true;

        return false;
}

/* Without memory the finding is logged again at the next load. */
static void load_lint_remember(LoadLint *l, uint64_t hash) {
        if (l->n_now < LOAD_LINT_KNOWN_MAX && ARRAY_GROW(l->now, l->n_now))
                l->now[l->n_now++] = hash;
}

bool load_lint_take(LoadLint *l, const char *unit, const char *path, unsigned line, const char *message) {
        uint64_t hash = hash_string_more(HASH_BEGIN, path ?: unit);

        hash = mix64(hash_string_more(hash_byte(hash, (uint8_t) line), message));
        if (load_lint_has(l->before, l->n_before, hash)) {
                load_lint_remember(l, hash);
                return false;
        }

        if (l->n_logged == LOAD_LINT_LOGGED_MAX) {
                l->n_hidden++;
                return false;
        }

        load_lint_remember(l, hash);
        l->n_logged++;
        return true;
}
