/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <arpa/inet.h>
#include <stdio.h>

#include "config/address-config.h"
#include "config/lint-checks.h"

/* Size of the text of a range: an address, a slash and a number. */
#define RANGE_SIZE (INET6_ADDRSTRLEN + 11)

static void lint_source_format(const AddressRange *range, unsigned n_bits, char ret[static RANGE_SIZE]) {
        char address[INET6_ADDRSTRLEN];

        (void) inet_ntop(range->family, range->address, address, sizeof(address));
        (void) snprintf(ret, RANGE_SIZE, "%s/%u", address, n_bits);
}

/* Returns the number of zero bits at the end of the address. */
static unsigned lint_source_count_zeros(const AddressRange *range) {
        unsigned size = range->family == AF_INET ? 4 : 16, n = 0;

        while (n < size * 8 && !(range->address[size - 1 - n / 8] >> n % 8 & 1))
                n++;

        return n;
}

static bool lint_source_is_mapped(const AddressRange *range) {
        static const uint8_t mapped[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

        return range->family == AF_INET6 && range->n_bits >= 96 && memcmp(range->address, mapped, sizeof(mapped)) == 0;
}

/* A single address that ends like one of a network is most likely a network without its length. */
static void lint_source_check_single(const Lint *l, const Unit *unit, Assignment *a, const AddressRange *range) {
        unsigned max = range->family == AF_INET ? 32 : 128, zeros = lint_source_count_zeros(range);
        char network[RANGE_SIZE];

        if (zeros == max) {
                lint_warn(l, unit, a, "Source=%.60s is an address that no client has; write %s for all clients, or "
                          "remove the line.", a->value, max == 32 ? "0.0.0.0/0" : "::/0");
                return;
        }

        if (zeros < (max == 32 ? 8 : 64))
                return;

        lint_source_format(range, max == 32 ? max - zeros / 8 * 8 : 64, network);
        lint_warn(l, unit, a, "Source=%.60s takes this one address, which hardly any client has; write %s for the "
                  "network.",
                  a->value, network);
}

void lint_source(const Lint *l, const Unit *unit, Assignment *a, const char *word) {
        AddressRange range;
        char text[RANGE_SIZE];

        if (!config_parse_range(word, &range))
                return;

        if (lint_source_is_mapped(&range)) {
                AddressRange plain = { .family = AF_INET };

                memcpy(plain.address, range.address + 12, 4);
                lint_source_format(&plain, range.n_bits - 96, text);
                lint_warn(l, unit, a, "Source=%.60s matches no client, because IPv4 addresses are compared as such; "
                          "write %s.", word, text);
        } else if (range.n_bits == (range.family == AF_INET ? 32 : 128))
                lint_source_check_single(l, unit, a, &range);
}
