/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The message of the SEQPACKET form as bytes; handoff/protocol.h has the format. Pure functions: no allocation, no I/O,
 * no state. Encoder and decoder handle the VERSION TLV by themselves.
 */

#include <netinet/in.h>

#include "handoff/protocol.h"
#include "probe/slice.h"

#define MESSAGE_NO_DEADLINE UINT64_MAX

/*
 * An address of AF_INET or AF_INET6, without scope, which the PROXY protocol lacks. AF_UNSPEC: the socket's own is
 * valid.
 */
typedef union MessageAddress {
        struct sockaddr_in6 in6; /* first, because it is the longest and = {} has to clear all */
        struct sockaddr_in in;
        struct sockaddr sa;
} MessageAddress;

/*
 * All facts of one message. A slice of length 0 is a fact that is absent. The slices are borrowed: from the caller of
 * message_encode(), or from the bytes given to message_decode().
 */
typedef struct Message {
        MessageAddress source;      /* the client */
        MessageAddress destination; /* the address that the client connected to; of the same family */
        Slice alpn;
        Slice authority;
        Slice unique_id;
        Slice ssl;                  /* value of the SSL TLV; reader_tlv() reads it from the sixth byte on */
        Slice route;
        Slice listener;
        Slice data;
        Slice proxy;                /* TLVs of the PROXY header before the client, for reader_tlv() */
        uint64_t deadline;          /* µs of CLOCK_MONOTONIC, or MESSAGE_NO_DEADLINE */
        Slice protocol;
        Slice name;
        uint8_t persistent_max;     /* most clients in a message, if the connection becomes persistent; 0: it may not */
        uint8_t hops;               /* 0: from a worker */
        uint16_t status;            /* of the response whose head was sent; 0: none was */
        uint32_t head_length;       /* with @status: bytes of the request's head, at the beginning of @consumed */
        Slice scope;                /* value of SCOPE, for scope_decode() */
        Slice seal;                 /* value of SEAL */
        Slice next;                 /* value of NEXT */
        Slice tlvs;                 /* all TLVs of a decoded message, for reader_tlv(); ignored by the encoder */
        Slice consumed;
} Message;

#define MESSAGE_NULL ((Message){ .deadline = MESSAGE_NO_DEADLINE })

/* Returns the length of the sockaddr of @a, in bytes; 0 for AF_UNSPEC. */
socklen_t message_address_length(const MessageAddress *a);

/* Copies an address of AF_INET or AF_INET6. Any other address, and one that is too short, becomes AF_UNSPEC. */
void message_address_set(MessageAddress *ret, const struct sockaddr *sa, socklen_t length);

/*
 * Writes the header: all but the consumed bytes, which handoff_send_message() adds. FDPASS_HEADER_MAX bytes of room are
 * always enough. Returns 0, or
 *
 *   -EMSGSIZE   a fact is longer than its limit in protocol.h, or @size is too small
 *   -EINVAL     a text has control characters, or the value of SSL or of PROXY is malformed
 */
int message_encode(const Message *m, uint8_t *ret, size_t size, size_t *ret_n);

/* True if @value may be Message.ssl: its form is right, and its length is within the limit. */
bool message_ssl_is_valid(Slice value);

/* Conditions of message_decode(). */
enum {
        MESSAGE_INVALID = 1,
        MESSAGE_VERSION, /* the message is of another version: neither the sender nor the receiver is at fault */
};

/*
 * Decodes a whole message of @n bytes: each length has to fit, each fact comes once and in its form, and a checksum has
 * to be right. Returns 0 or a condition. The facts of *ret point into @p; after a condition *ret is undefined.
 */
int message_decode(const uint8_t *p, size_t n, Message *ret);

/*
 * Returns the length in bytes of the header that @p begins with, for messages with several clients; 0 if @p does not
 * begin with a whole header.
 */
size_t message_header_length(const uint8_t *p, size_t n);
