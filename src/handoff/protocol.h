/* SPDX-License-Identifier: MIT-0 */
#ifndef FDPASS_PROTOCOL_H
#define FDPASS_PROTOCOL_H

/*
 * The handoff protocol, whole: see fdpass-protocol(7). Written for copying into other programs.
 *
 * One message passes one client: exactly one descriptor in SCM_RIGHTS, of a connected stream socket
 * (AF_INET, AF_INET6; AF_UNIX only from the broker to a worker). The receiver's socket decides the form:
 *
 *   SOCK_STREAM      the one byte 0x00. One client per connection.
 *   SOCK_SEQPACKET   a header, and behind it, to the end of the message, the bytes that were consumed from the
 *                    client already and precede what its socket still holds. Or the one byte, for no metadata.
 *                    One client per connection to a worker that does not keep it (below), any number per
 *                    connection to the broker.
 *
 * The header is one of the PROXY protocol, version 2, command PROXY (first byte behind the signature 0x21).
 * Family and transport are 0x11 (TCP over IPv4) or 0x21 (IPv6) with the client's and the listener's address
 * as the sender believes them, perhaps from a proxy before it; or 0x00 (UNSPEC): the socket's own addresses
 * stand. So it is for AF_UNIX clients. LOCAL is never sent: its TLVs would have to be ignored (section 2.2
 * there).
 *
 * TLVs, each at most once, in any order but for the version. Receivers ignore types that they don't know.
 * Text is UTF-8 without control characters or a NUL at its end. No value is empty.
 */
#define FDPASS_TLV_ALPN 0x01      /* chosen by a TLS stage, or else the client's first offer */
#define FDPASS_TLV_AUTHORITY 0x02 /* text: HTTP's Host or TLS's server name, lower case, without port */
#define FDPASS_TLV_CRC32C 0x03    /* 4 bytes, of the header: checked where it is there, not sent by fdpass */
#define FDPASS_TLV_UNIQUE_ID 0x05 /* up to 128 bytes: the client's, from accept to its end */
#define FDPASS_TLV_SSL 0x20       /* from a TLS stage, or a proxy before the listener */

#define FDPASS_TLV_VERSION 0xE0   /* 1 byte: 1. There always, and before the other types 0xE1 to 0xEF */
#define FDPASS_TLV_ROUTE 0xE1     /* text: the unit whose route was taken, "chat.socket" */
#define FDPASS_TLV_LISTENER 0xE2  /* text: FileDescriptorName= of the public listener */
#define FDPASS_TLV_DATA 0xE3      /* what the worker that handed it back has to say to the next one */
#define FDPASS_TLV_DEADLINE 0xE4  /* 8 bytes, big endian: µs of CLOCK_MONOTONIC, when the sender gives it up */
#define FDPASS_TLV_PROTOCOL 0xE5  /* text, as the route's Protocol= has it: "http", "tls", … */
#define FDPASS_TLV_NAME 0xE6      /* text, to the broker only: InternalName= of the route that is to get the client */
#define FDPASS_TLV_PERSISTENT 0xE7      /* 1 byte: the worker may keep this connection; the most clients in one message */
#define FDPASS_TLV_HOPS 0xE8      /* 1 byte, from brokers only: how many have passed it on since a worker had it */
#define FDPASS_TLV_RESPONSE 0xE9  /* 6 bytes, big endian: 2 of the status that the client was sent, with the whole head of
                                   * the response (Flusher=), and 4 that say how many of the consumed bytes, from the
                                   * first on, are the head of the request that it answers. A body is to be written */

#define FDPASS_PROTOCOL_VERSION 1

/* A broker that gets a client with more HOPS answers ERROR: two of them point at each other. */
#define FDPASS_HOPS_MAX 16

/* In bytes. A receiver with room for FDPASS_MESSAGE_MAX never sees a true message truncated. */
#define FDPASS_TEXT_MAX 255       /* ALPN too */
#define FDPASS_UNIQUE_ID_MAX 128
#define FDPASS_SSL_MAX 1024
#define FDPASS_DATA_MAX 8192
#define FDPASS_HEADER_MAX 16384
#define FDPASS_CONSUMED_MAX 65536
#define FDPASS_MESSAGE_MAX (FDPASS_HEADER_MAX + FDPASS_CONSUMED_MAX)

/*
 * The receipt: the sender keeps its copy of the client until the connection tells it what became of it.
 *
 *   end of file      the message was received, the client is the receiver's
 *   ECONNRESET       it was not: the client is still the sender's (the kernel's word, not the receiver's)
 *   one byte         the receiver's own answer, and then the end. Other values than these count as TAKEN, for
 *                    nobody can tell any more whether the client was touched; 0x11 to 0x1F are for later versions.
 */
#define FDPASS_ANSWER_TAKEN 0x01   /* as the end of file; with Receipt=ack only now */
#define FDPASS_ANSWER_REFUSED 0x02 /* untouched, and no copy kept: another worker may have it */
#define FDPASS_ANSWER_ERROR 0x03   /* the same, but no other worker: the broker answers the client */

/*
 * Kept connections. Where the message has a KEEP, the worker may answer with the eight bytes below instead of
 * one, and not close the connection: then more clients come on it. They are numbered from 0, the one that came
 * with KEEP, and the numbers wrap at 65536.
 *
 *   byte 0     FDPASS_ANSWER_PERSISTENT
 *   byte 1     FDPASS_ANSWER_TAKEN, _REFUSED or _ERROR, with the meanings above
 *   bytes 2-3  the first client that this is about, big endian as all of these
 *   bytes 4-5  and how many from there on; 0: none, only the limit is new
 *   bytes 6-7  the limit: clients with numbers below it may be sent (the difference is at most 32767)
 *
 * A message on a kept connection has one to KEEP descriptors and as many headers, in the same order, one behind
 * the other. It has no consumed bytes, and at most FDPASS_HEADER_MAX bytes in all: other clients get a
 * connection of their own. No message is sent that the limit does not allow.
 *
 * Either end may close a kept connection at any time. What has no answer then was not taken: another worker may
 * have it, unless the broker sees by the client's socket that somebody has read from it or written to it.
 */
#define FDPASS_ANSWER_PERSISTENT 0x10
#define FDPASS_ANSWER_PERSISTENT_SIZE 8
#define FDPASS_PERSISTENT_MAX 16

/*
 * Handing back is the same message to the broker's return socket (SOCK_SEQPACKET), with these
 * differences. NAME says which route the client goes to, and DATA what its worker is told; without NAME the
 * client is parked, and its next bytes are routed afresh. Consumed bytes are those that the worker has read
 * and not used: the next one gets them. ROUTE and DEADLINE are ignored. What else the worker was told of the
 * client it passes on, so that it is not lost, but never HOPS: that is how a broker hands on a client that is
 * new, or has begun a request. TAKEN or the end of file says that the broker has the client,
 * REFUSED that it has no room for it, and ERROR that this is no message, no client, or not for this sender
 * to hand back.
 */
#define FDPASS_RETURN_PATH "/run/fdpass/return.sock"

#endif
