/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The message of the SEQPACKET form, as bytes (handoff/protocol.h has the format). Pure
 * functions: no allocation, no I/O. The version TLV is the encoder's and the decoder's own business.
 */

#include <netinet/in.h>

#include "handoff/protocol.h"
#include "probe/slice.h"

#define MESSAGE_NO_DEADLINE UINT64_MAX

typedef union MessageAddress {
        struct sockaddr_in6 in6; /* without a scope, the PROXY protocol has none. First: it is the longest */
        struct sockaddr_in in;
        struct sockaddr sa;
} MessageAddress;

/*
 * All facts of one message. A slice of no length is a fact that is not told; the others belong to somebody
 * else (the caller of message_encode(), the bytes given to message_decode()).
 */
typedef struct Message {
        MessageAddress source;      /* the client; AF_UNSPEC: the socket's own addresses stand */
        MessageAddress destination; /* of the same family */
        Slice alpn;
        Slice authority;
        Slice unique_id;
        Slice ssl;                  /* the value of the SSL TLV, for message_next_tlv() from its sixth byte on */
        Slice route;
        Slice listener;
        Slice data;
        uint64_t deadline;          /* in µs of CLOCK_MONOTONIC, or MESSAGE_NO_DEADLINE */
        Slice protocol;
        Slice name;
        uint8_t persistent_max;     /* the connection may be kept: how many clients a message may have. 0: it may not */
        uint8_t hops;               /* 0: from a worker */
        uint16_t status;            /* of the response that was begun; 0: none was */
        uint32_t head_length;       /* so many of the consumed bytes are the request's head, with that only */
        Slice tlvs;                 /* decoded ones: all of them, for message_next_tlv(). Not encoded */
        Slice consumed;
} Message;

#define MESSAGE_NULL ((Message){ .deadline = MESSAGE_NO_DEADLINE })

/* The length of a sockaddr of this address; 0 for AF_UNSPEC. */
socklen_t message_address_length(const MessageAddress *a);

/* Fills in what an address of AF_INET or AF_INET6 says; AF_UNSPEC for every other family. */
void message_address_set(MessageAddress *ret, const struct sockaddr *sa, socklen_t length);

/*
 * Writes the header, that is all but the consumed bytes, which the sender puts behind it
 * (handoff_send_message() takes both). FDPASS_HEADER_MAX bytes of room are always enough. Returns -EMSGSIZE
 * where a fact is longer than the protocol lets it be or @size too small, -EINVAL where a text is none.
 */
int message_encode(const Message *m, uint8_t *ret, size_t size, size_t *ret_n);

/* Conditions of message_decode(). */
enum {
        MESSAGE_INVALID = 1,
        MESSAGE_VERSION, /* one of a version that we don't know: not the sender's fault, nor ours */
};

/*
 * Reads a whole message of @n bytes. Strict: every length has to fit, facts come once and have a valid form,
 * and a checksum has to be right. The facts of *ret point into @p; after a condition *ret is of no use.
 */
int message_decode(const uint8_t *p, size_t n, Message *ret);

/*
 * The length of the header that the bytes begin with, for one message with several clients; 0 where they are none,
 * or not all of it.
 */
size_t message_header_length(const uint8_t *p, size_t n);

/* Takes the next TLV off *tlvs, a copy of Message.tlvs or of what an SSL TLV has inside; false at the end. */
bool message_next_tlv(Slice *tlvs, uint8_t *ret_type, Slice *ret_value);
