/* SPDX-License-Identifier: MIT-0 */

/*
 * Parses the message of a ListenSequentialPacket= socket (fdpass-protocol(7)) for the addresses, which are all that an
 * unmodified server can use. It checks the frame as strictly as libfdpass does. It accepts any value of a TLV that it
 * does not use.
 */

#include "workers/preload/preload.h"

#define FIXED_SIZE 16            /* the header before the addresses: PROXY protocol, section 2.2 */
#define VERSION_AND_COMMAND 0x21 /* version 2, PROXY */
#define TLV_CUSTOM_MAX 0xEF      /* the last of the types for applications: PROXY protocol, section 2.2.7 */

static const uint8_t signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static size_t message_u16(const uint8_t *p) {
        return (size_t) p[0] << 8 | p[1];
}

static uint64_t message_u64(const uint8_t *p) {
        uint64_t v = 0;

        for (size_t i = 0; i < 8; i++)
                v = v << 8 | p[i];

        return v;
}

static void message_read_in(const uint8_t *address, const uint8_t *port, IpAddress *ret) {
        ret->in = (struct sockaddr_in){ .sin_family = AF_INET };
        memcpy(&ret->in.sin_addr, address, 4);
        memcpy(&ret->in.sin_port, port, 2);
}

static void message_read_in6(const uint8_t *address, const uint8_t *port, IpAddress *ret) {
        ret->in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6 };
        memcpy(&ret->in6.sin6_addr, address, 16);
        memcpy(&ret->in6.sin6_port, port, 2);
}

/* Returns the length of the addresses, or SIZE_MAX if they don't fit or are of an unknown family. */
static size_t message_read_addresses(uint8_t family, const uint8_t *p, size_t n, ClientInfo *info) {
        switch (family) {

        case 0x00: /* UNSPEC */
                return 0;

        case 0x11: /* TCP over IPv4 */
                if (n < 12)
                        return SIZE_MAX;
                message_read_in(p, p + 8, &info->peer);
                message_read_in(p + 4, p + 10, &info->local);
                return 12;

        case 0x21: /* TCP over IPv6 */
                if (n < 36)
                        return SIZE_MAX;
                message_read_in6(p, p + 32, &info->peer);
                message_read_in6(p + 16, p + 34, &info->local);
                return 36;

        default:
                return SIZE_MAX;
        }
}

/* TLVs that may stand in a message once. */
typedef struct MessageSeen {
        bool version;
        bool deadline;
} MessageSeen;

/* Refused is the answer to an unknown version, because another worker may be newer. */
static int message_read_version(const uint8_t *value, size_t length, MessageSeen *seen) {
        if (seen->version || length == 0)
                return FDPASS_ANSWER_ERROR;
        if (value[0] != FDPASS_PROTOCOL_VERSION)
                return FDPASS_ANSWER_REFUSED;

        seen->version = true;
        return length == 1 ? 0 : FDPASS_ANSWER_ERROR;
}

/* The version has to come before all other TLVs of fdpass, because it says what they mean. */
static int message_read_tlv(uint8_t type, const uint8_t *value, size_t length, uint64_t now_usec, MessageSeen *seen,
                            ClientInfo *info) {
        if (type == FDPASS_TLV_VERSION)
                return message_read_version(value, length, seen);

        if (type > FDPASS_TLV_VERSION && type <= TLV_CUSTOM_MAX && !seen->version)
                return FDPASS_ANSWER_ERROR;

        if (type == FDPASS_TLV_PERSISTENT)
                info->may_persist = true;
        if (type == FDPASS_TLV_NEXT)
                info->is_unseen = true;
        if (type == FDPASS_TLV_SSL)
                info->is_secure = true;

        if (type == FDPASS_TLV_DEADLINE) {
                if (seen->deadline || length != 8)
                        return FDPASS_ANSWER_ERROR;
                seen->deadline = true;
                info->is_late = message_u64(value) <= now_usec;
        }

        return 0;
}

static int message_read_tlvs(const uint8_t *p, size_t n, uint64_t now_usec, ClientInfo *info) {
        MessageSeen seen = {};

        while (n > 0) {
                size_t length;
                int r;

                if (n < 3)
                        return FDPASS_ANSWER_ERROR;
                length = message_u16(p + 1);
                if (length > n - 3)
                        return FDPASS_ANSWER_ERROR;

                r = message_read_tlv(p[0], p + 3, length, now_usec, &seen, info);
                if (r != 0)
                        return r;

                p += 3 + length;
                n -= 3 + length;
        }

        return seen.version ? 0 : FDPASS_ANSWER_ERROR;
}

int message_read(const uint8_t *p, size_t n_read, bool is_cut, uint64_t now_usec, ClientInfo *ret) {
        size_t n, n_addresses;
        int r;

        *ret = (ClientInfo){};

        /* The message of a ListenStream= socket: one NUL byte. */
        if (n_read == 1 && !is_cut)
                return p[0] == 0x00 ? 0 : FDPASS_ANSWER_ERROR;

        if (n_read < FIXED_SIZE || memcmp(p, signature, sizeof(signature)) != 0 || p[12] != VERSION_AND_COMMAND)
                return FDPASS_ANSWER_ERROR;

        n = message_u16(p + 14);
        if (n > n_read - FIXED_SIZE || n > FDPASS_HEADER_MAX - FIXED_SIZE)
                return FDPASS_ANSWER_ERROR;

        n_addresses = message_read_addresses(p[13], p + FIXED_SIZE, n, ret);
        if (n_addresses == SIZE_MAX)
                return FDPASS_ANSWER_ERROR;

        r = message_read_tlvs(p + FIXED_SIZE + n_addresses, n - n_addresses, now_usec, ret);
        if (r != 0)
                return r;

        ret->has_consumed = is_cut || n_read > FIXED_SIZE + n;
        return 0;
}
