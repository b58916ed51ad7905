/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/spelling.h"

#include <limits.h>

#include "basic/macro.h"

/* Longest word that is compared, in bytes. */
#define WORD_MAX 31

static char spelling_lower(char c) {
        return c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

unsigned spelling_distance(const char *a, const char *b) {
        unsigned d[WORD_MAX + 1][WORD_MAX + 1];
        size_t n = strlen(a), m = strlen(b);

        if (n > WORD_MAX || m > WORD_MAX)
                return UINT_MAX;

        for (size_t i = 0; i <= n; i++)
                d[i][0] = (unsigned) i;
        for (size_t k = 0; k <= m; k++)
                d[0][k] = (unsigned) k;

        for (size_t i = 1; i <= n; i++)
                for (size_t k = 1; k <= m; k++) {
                        bool same = spelling_lower(a[i - 1]) == spelling_lower(b[k - 1]);

                        d[i][k] = MIN(d[i - 1][k] + 1, d[i][k - 1] + 1);
                        d[i][k] = MIN(d[i][k], d[i - 1][k - 1] + !same);
                        if (i > 1 && k > 1 && spelling_lower(a[i - 1]) == spelling_lower(b[k - 2]) &&
                            spelling_lower(a[i - 2]) == spelling_lower(b[k - 1]))
                                d[i][k] = MIN(d[i][k], d[i - 2][k - 2] + 1);
                }

        return d[n][m];
}
