/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/httpd-address.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "basic/parse.h"

/* Reads one to three octets with dots between them, and possibly one behind them. */
static bool httpd_address_parse_partial(const char *s, uint8_t ret[static 4], unsigned *ret_bits) {
        unsigned n = 0;

        while (*s && n < 3) {
                size_t k = strspn(s, "0123456789");
                unsigned octet = 0;

                if (k == 0 || k > 3 || (k > 1 && *s == '0') || (s[k] && s[k] != '.'))
                        return false;

                for (size_t i = 0; i < k; i++)
                        octet = octet * 10 + (unsigned) (s[i] - '0');
                if (octet > 255)
                        return false;

                ret[n++] = (uint8_t) octet;
                s += s[k] ? k + 1 : k;
        }

        *ret_bits = n * 8;
        return n > 0 && !*s;
}

/* Reads a number of bits, or for IPv4 a mask such as 255.255.0.0. */
static bool httpd_address_parse_mask(const char *s, int family, unsigned *ret_bits) {
        struct in_addr mask;
        uint32_t holes;

        if (parse_unsigned(s, ret_bits) >= 0)
                return *ret_bits > 0 && *ret_bits <= (family == AF_INET ? 32u : 128u);

        if (family != AF_INET || inet_pton(AF_INET, s, &mask) != 1)
                return false;

        holes = ~ntohl(mask.s_addr);
        *ret_bits = holes == 0 ? 32 : (unsigned) __builtin_clz(holes);
        return (holes & (holes + 1)) == 0 && *ret_bits > 0;
}

bool httpd_address_to_source(const char *word, char ret[static HTTPD_ADDRESS_MAX]) {
        const char *slash = strchr(word, '/');
        char text[INET6_ADDRSTRLEN] = "";
        size_t n = slash ? (size_t) (slash - word) : strlen(word);
        int family = memchr(word, ':', n) ? AF_INET6 : AF_INET;
        unsigned bits, max = family == AF_INET ? 32 : 128;
        uint8_t address[16] = {};

        if (n >= sizeof(text))
                return false;

        memcpy(text, word, n);
        bits = max;
        if (inet_pton(family, text, address) != 1) {
                memset(address, 0, sizeof(address));
                if (slash || family != AF_INET || !httpd_address_parse_partial(text, address, &bits))
                        return false;
        }
        if (family == AF_INET6 && IN6_IS_ADDR_V4MAPPED((const struct in6_addr *) (const void *) address))
                return false;
        if (slash && !httpd_address_parse_mask(slash + 1, family, &bits))
                return false;

        /* httpd ignores host bits. */
        for (unsigned i = bits; i < max; i++)
                address[i / 8] &= (uint8_t) ~(0x80 >> i % 8);

        if (!inet_ntop(family, address, text, sizeof(text)))
                return false;
        (void) snprintf(ret, HTTPD_ADDRESS_MAX, bits < max ? "%s/%u" : "%s", text, bits);
        return true;
}
