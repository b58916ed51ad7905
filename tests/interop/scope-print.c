/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Prints a line for each pair that it reads: "1" if the scope covers the request, otherwise "0". A pair is two lengths
 * of two bytes each, the scope, and the request.
 */

#include <stdio.h>
#include <stdlib.h>

#include "handoff/scope.h"

/* Reads exactly @n bytes. Returns false at the end of the input. */
static bool read_all(uint8_t *p, size_t n) {
        return fread(p, 1, n, stdin) == n;
}

int main(void) {
        static uint8_t value[UINT16_MAX], request[UINT16_MAX];
        uint8_t lengths[4];

        while (read_all(lengths, sizeof(lengths))) {
                size_t n_value = (size_t) lengths[0] << 8 | lengths[1], n_request = (size_t) lengths[2] << 8 | lengths[3];
                Scope scope;

                if (!read_all(value, n_value) || !read_all(request, n_request))
                        return EXIT_FAILURE;

                (void) scope_decode((Slice){ value, n_value }, &scope);
                puts(scope_covers(&scope, (Slice){ request, n_request }) ? "1" : "0");
        }

        return EXIT_SUCCESS;
}
