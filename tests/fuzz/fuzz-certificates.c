/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A report of a TLS stage that has any bytes. What fdpassctl prints of it has no character that acts on a terminal. */

#include <stdlib.h>

#include "fdpassctl/certificates.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_assert(bool is_true) {
        if (!is_true)
                abort();
}

static void check_text(const char *s) {
        for (; *s; s++)
                fuzz_assert(*s >= ' ' && *s <= '~');
}

static void check(const Certificates *c) {
        char *text = NULL;
        size_t n;
        FILE *f = open_memstream(&text, &n);

        for (size_t i = 0; i < c->n_items; i++) {
                check_text(c->items[i].name);
                for (size_t k = 0; k < c->items[i].hosts.n_items; k++) {
                        check_text(c->items[i].hosts.items[k]);
                        fuzz_assert(certificate_has_host(&c->items[i], c->items[i].hosts.items[k]));
                }
        }

        certificates_print_problems(f, c);
        fuzz_assert(fclose(f) == 0);
        for (size_t i = 0; i < n; i++)
                fuzz_assert(text[i] == '\n' || (text[i] >= ' ' && text[i] <= '~'));
        free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Certificates c = {};
        char *text = strndup((const char *) data, size);

        fuzz_assert(text && certificates_parse(&c, "unit.service", text) == 0);
        check(&c);
        certificates_done(&c);
        free(text);
        return 0;
}
