/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/address-config.h"

#include <arpa/inet.h>

#include "basic/array.h"
#include "basic/parse.h"

/* A network with host bits set is probably a typing error, so it is refused. */
static bool address_config_has_host_bits(const AddressRange *range) {
        size_t size = range->family == AF_INET ? 4 : 16;

        for (size_t i = range->n_bits; i < size * 8; i++)
                if (range->address[i / 8] & (0x80 >> i % 8))
                        return true;

        return false;
}

bool config_parse_range(const char *word, AddressRange *ret) {
        const char *slash = strchr(word, '/');
        size_t n = slash ? (size_t) (slash - word) : strlen(word);
        char address[INET6_ADDRSTRLEN];
        AddressRange range = {};
        unsigned max;

        if (n >= sizeof(address))
                return false;

        memcpy(address, word, n);
        address[n] = '\0';

        range.family = strchr(address, ':') ? AF_INET6 : AF_INET;
        if (inet_pton(range.family, address, range.address) != 1)
                return false;

        max = range.family == AF_INET ? 32 : 128;
        range.n_bits = max;
        if (slash && (parse_unsigned(slash + 1, &range.n_bits) < 0 || range.n_bits > max))
                return false;

        *ret = range;
        return !address_config_has_host_bits(&range);
}

/* Array that addresses are appended to. */
typedef struct AddressTarget {
        AddressRange **items;
        size_t *n_items;
} AddressTarget;

static int address_config_take(const char *word, void *field) {
        AddressTarget *target = field;
        AddressRange range;

        if (!config_parse_range(word, &range))
                return 1;

        if (!ARRAY_GROW(*target->items, *target->n_items))
                return -ENOMEM;

        (*target->items)[(*target->n_items)++] = range;
        return 0;
}

static int address_config_take_peer(const char *word, void *field) {
        AddressTarget *target = field;

        if (!streq(word, "unix"))
                return address_config_take(word, field);

        if (!ARRAY_GROW(*target->items, *target->n_items))
                return -ENOMEM;

        (*target->items)[(*target->n_items)++] = (AddressRange){ .family = AF_UNIX };
        return 0;
}

static int address_config_parse(ConfigContext *c, const Assignment *a, AddressTarget target, const char *wants,
                                ConfigTakeWord take) {
        if (!*a->value) {
                free(TAKE_PTR(*target.items));
                *target.n_items = 0;
        }

        return config_parse_words(c, a, wants, take, &target);
}

int config_parse_addresses(ConfigContext *c, const Assignment *a, AddressRange **items, size_t *n_items) {
        return address_config_parse(c, a, (AddressTarget){ items, n_items },
                                    "IP addresses, or networks such as 192.0.2.0/24 with no host bits set",
                                    address_config_take);
}

int config_parse_peers(ConfigContext *c, const Assignment *a, AddressRange **items, size_t *n_items) {
        return address_config_parse(c, a, (AddressTarget){ items, n_items },
                                    "IP addresses, networks such as 192.0.2.0/24 with no host bits set, or \"unix\"",
                                    address_config_take_peer);
}
