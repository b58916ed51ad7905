/* SPDX-License-Identifier: MIT-0 */

/*
 * Reads the message of a ListenSequentialPacket= socket (fdpass-protocol(7)) for what an unmodified server can use
 * of it, which is the addresses. As strict as libfdpass about the frame; the values of what isn't used are let pass.
 */

#include "workers/preload/preload.h"

#define FIXED 16
#define VERSION_AND_COMMAND 0x21 /* PROXY protocol 2, PROXY */

static const uint8_t signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static size_t read_u16(const uint8_t *p) {
        return (size_t) p[0] << 8 | p[1];
}

static uint64_t read_u64(const uint8_t *p) {
        uint64_t v = 0;

        for (size_t i = 0; i < 8; i++)
                v = v << 8 | p[i];

        return v;
}

static void read_in(const uint8_t *address, const uint8_t *port, Address *ret) {
        ret->in = (struct sockaddr_in){ .sin_family = AF_INET };
        memcpy(&ret->in.sin_addr, address, 4);
        memcpy(&ret->in.sin_port, port, 2);
}

static void read_in6(const uint8_t *address, const uint8_t *port, Address *ret) {
        ret->in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6 };
        memcpy(&ret->in6.sin6_addr, address, 16);
        memcpy(&ret->in6.sin6_port, port, 2);
}

/* Returns how long the addresses are; SIZE_MAX where they don't fit, or are of another kind. */
static size_t read_addresses(uint8_t family, const uint8_t *p, size_t n, Told *told) {
        switch (family) {

        case 0x00:
                return 0;

        case 0x11:
                if (n < 12)
                        return SIZE_MAX;
                read_in(p, p + 8, &told->peer);
                read_in(p + 4, p + 10, &told->local);
                return 12;

        case 0x21:
                if (n < 36)
                        return SIZE_MAX;
                read_in6(p, p + 32, &told->peer);
                read_in6(p + 16, p + 34, &told->local);
                return 36;

        default:
                return SIZE_MAX;
        }
}

/* A version that isn't ours may mean anything by the rest: another worker may be newer. */
static int read_tlvs(const uint8_t *p, size_t n, uint64_t now_usec, Told *told) {
        bool has_version = false, has_deadline = false;

        while (n > 0) {
                size_t length;

                if (n < 3)
                        return FDPASS_ANSWER_ERROR;
                length = read_u16(p + 1);
                if (length > n - 3)
                        return FDPASS_ANSWER_ERROR;

                if (p[0] == FDPASS_TLV_VERSION) {
                        if (has_version || length == 0)
                                return FDPASS_ANSWER_ERROR;
                        if (p[3] != FDPASS_PROTOCOL_VERSION)
                                return FDPASS_ANSWER_REFUSED;
                        if (length != 1)
                                return FDPASS_ANSWER_ERROR;
                        has_version = true;
                } else if (p[0] > FDPASS_TLV_VERSION && p[0] <= 0xEF && !has_version)
                        return FDPASS_ANSWER_ERROR;

                if (p[0] == FDPASS_TLV_DEADLINE) {
                        if (has_deadline || length != 8)
                                return FDPASS_ANSWER_ERROR;
                        has_deadline = true;
                        told->is_late = read_u64(p + 3) <= now_usec;
                }

                p += 3 + length;
                n -= 3 + length;
        }

        return has_version ? 0 : FDPASS_ANSWER_ERROR;
}

int told_read(const uint8_t *p, size_t n_read, bool is_cut, uint64_t now_usec, Told *ret) {
        size_t n, n_addresses;
        int r;

        *ret = (Told){};

        if (n_read == 1 && !is_cut)
                return p[0] == 0x00 ? 0 : FDPASS_ANSWER_ERROR;

        if (n_read < FIXED || memcmp(p, signature, sizeof(signature)) != 0 || p[12] != VERSION_AND_COMMAND)
                return FDPASS_ANSWER_ERROR;

        n = read_u16(p + 14);
        if (n > n_read - FIXED || n > FDPASS_HEADER_MAX - FIXED)
                return FDPASS_ANSWER_ERROR;

        n_addresses = read_addresses(p[13], p + FIXED, n, ret);
        if (n_addresses == SIZE_MAX)
                return FDPASS_ANSWER_ERROR;

        r = read_tlvs(p + FIXED + n_addresses, n - n_addresses, now_usec, ret);
        if (r != 0)
                return r;

        ret->has_consumed = is_cut || n_read > FIXED + n;
        return 0;
}
