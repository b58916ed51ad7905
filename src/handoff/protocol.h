/* SPDX-License-Identifier: MIT-0 */
#ifndef FDPASS_PROTOCOL_H
#define FDPASS_PROTOCOL_H

/*
 * The handoff protocol, version 1, as in fdpass-protocol(7). This file is written for copying into other programs.
 *
 * FORMS
 *
 * A handoff is one message over an AF_UNIX connection, with exactly one descriptor in SCM_RIGHTS (unix(7)). The
 * descriptor is a connected stream socket of AF_INET or AF_INET6, or of AF_UNIX if a broker sends it to a worker. The
 * type of the receiver's socket decides the form:
 *
 *   SOCK_STREAM      the byte FDPASS_STREAM_BYTE. One client per connection.
 *   SOCK_SEQPACKET   a header, and then, to the end of the message, the consumed bytes: those that were read from the
 *                    client's socket already, and precede what the socket still holds. Or FDPASS_STREAM_BYTE alone,
 *                    which is a message without metadata. One client per connection to a worker unless the connection
 *                    is persistent (below); any number per connection to a broker.
 *
 * HEADER
 *
 * The header is a header of the PROXY protocol, version 2 (doc/proxy-protocol.txt of HAProxy). All numbers in it are
 * big endian.
 *
 *   bytes 0-11    the signature 0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a
 *   byte 12       0x21: version 2, command PROXY. LOCAL (0x20) is not sent, because a receiver has to ignore its TLVs
 *   byte 13       0x11: TCP over IPv4; 0x21: TCP over IPv6; 0x00: UNSPEC, no addresses
 *   bytes 14-15   length of all that follows in the header
 *   then          source and destination address and port: 12 bytes for IPv4, 36 for IPv6, none for UNSPEC
 *   then          TLVs: 1 byte of type, 2 bytes of length, value
 *
 * The source is the client and the destination the address that it connected to. A trusted proxy before the broker may
 * have told them. With UNSPEC the socket's own addresses are valid; clients over AF_UNIX have no others.
 *
 * Each TLV appears at most once, with a value of 1 byte or more. The order is free, but VERSION precedes the others of
 * the types 0xE1 to 0xEF. Receivers ignore unknown types. "Text" is UTF-8 without control characters and without a NUL
 * at its end, 255 bytes at most.
 */
#define FDPASS_STREAM_BYTE 0x00

#define FDPASS_PROTOCOL_VERSION 1

#define FDPASS_TLV_ALPN 0x01       /* what a TLS stage chose, or else the client's first offer; 255 bytes at most */
#define FDPASS_TLV_AUTHORITY 0x02  /* text: HTTP's Host or TLS's server name, in lower case, without port */
#define FDPASS_TLV_CRC32C 0x03     /* 4 bytes: checksum of the header. fdpass checks it, and does not send it */
#define FDPASS_TLV_UNIQUE_ID 0x05  /* the client's, from accept(2) to its end; 128 bytes at most */
#define FDPASS_TLV_SSL 0x20        /* from a TLS stage, or else from the PROXY header; 1024 bytes at most */

#define FDPASS_TLV_VERSION 0xE0    /* 1 byte: FDPASS_PROTOCOL_VERSION. Always present */
#define FDPASS_TLV_ROUTE 0xE1      /* text: the unit of the route, "chat.socket" */
#define FDPASS_TLV_LISTENER 0xE2   /* text: FileDescriptorName= of the public listener */
#define FDPASS_TLV_DATA 0xE3       /* the last worker's message to the next one; 8192 bytes at most */
#define FDPASS_TLV_DEADLINE 0xE4   /* 8 bytes: when the sender gives the client up, in µs of CLOCK_MONOTONIC */
#define FDPASS_TLV_PROTOCOL 0xE5   /* text: a value of Protocol= in routes, "http", "tls", … */
#define FDPASS_TLV_NAME 0xE6       /* text, to brokers only: InternalName= of the route that is to get the client */
#define FDPASS_TLV_PERSISTENT 0xE7 /* 1 byte, from brokers only: this connection may become persistent. The value is the
                                    * most clients in one message, 1 to FDPASS_PERSISTENT_MAX */
#define FDPASS_TLV_HOPS 0xE8       /* 1 byte, from brokers only: how many passed the client on since a worker had it */
#define FDPASS_TLV_RESPONSE 0xE9   /* 6 bytes: the client was sent the head of a response (Flusher=), and the worker
                                    * writes the body. 2 bytes: the status, 200 to 599. 4 bytes: length of the head of
                                    * the answered request, with which the consumed bytes begin */
#define FDPASS_TLV_SCOPE 0xEB      /* from brokers only: which next requests on this connection are the worker's own
                                    * (SCOPE below) */
#define FDPASS_TLV_SEAL 0xEC       /* 8 bytes, beside SCOPE: goes back with the client on a return connection */
#define FDPASS_TLV_NEXT 0xEF       /* on return connections, to brokers: the whole head of the next request, as it is in the
                                    * socket. From brokers, beside SCOPE: the byte 1 (NEXT below) */
#define FDPASS_TLV_PROXY 0xED      /* TLVs of the PROXY header of a trusted proxy, as they came, but no CRC32C and NOOP.
                                    * 1024 bytes at most. TLVs that don't fit are left out */

/*
 * The value of SSL is that of the PROXY protocol (2.2.6), with one TLV more: the name that the client asked the TLS stage
 * for (SNI), as text. It is empty if the client gave none. With this TLV the broker demands that the Host of a request
 * is this name (HostMismatch=). The SEAL covers it.
 */
#define FDPASS_SSL_TLV_NAME 0xE0
#define FDPASS_SSL_TLVS_AT 5       /* bytes of SSL before its TLVs */

/*
 * Of other types that are in PROXY, the header has a copy of the first one of each, which may be empty: AWS's 0xEA,
 * Azure's 0xEE, NETNS 0x30. So they are where a parser of the PROXY protocol looks for them. The types 0xE0 to 0xEF
 * without 0xEA and 0xEE belong to this protocol, also those that it does not use yet. They have no copy, because a
 * proxy must not be able to forge them. A proxy's own TLV of such a type (Google Cloud's 0xE0) is in PROXY only.
 */

/* A broker that gets a client with more HOPS answers ERROR, because two brokers point at each other. */
#define FDPASS_HOPS_MAX 16

/* Limits in bytes. A receiver with room for FDPASS_MESSAGE_MAX never gets a valid message truncated (MSG_TRUNC). */
#define FDPASS_TEXT_MAX 255        /* also of ALPN */
#define FDPASS_UNIQUE_ID_MAX 128
#define FDPASS_SSL_MAX 1024
#define FDPASS_DATA_MAX 8192
#define FDPASS_SCOPE_MAX 1024
#define FDPASS_SEAL_SIZE 8
#define FDPASS_NEXT_MAX 4096
#define FDPASS_PROXY_MAX 1024
#define FDPASS_HEADER_MAX 16384
#define FDPASS_CONSUMED_MAX 65536
#define FDPASS_MESSAGE_MAX (FDPASS_HEADER_MAX + FDPASS_CONSUMED_MAX)

/*
 * SCOPE
 *
 * HTTP is routed by the request. Between two requests a worker compares the next request with the scope, and hands the
 * client back (HANDING BACK) untouched unless the scope covers the request. The value of SCOPE is:
 *
 *   byte 0      flags: FDPASS_SCOPE_ASK, FDPASS_SCOPE_DRAINED
 *   bytes 1-4   generation, big endian: it changes with each reload that changes the broker's routes
 *   then        items: 1 byte of kind, 1 byte of length, text
 *
 * A request is covered if all of this holds. Its whole head has arrived. It is HTTP/1.1 with a target in origin form
 * ("/path?query"). Its Host is the text of FDPASS_SCOPE_HOST, without regard to case, port, and a dot at the end. Of
 * the items PREFIX and EXCEPT of which its path has the segments ("/a" has those of "/a" and "/a/b", not of "/ab"), the
 * longest is a PREFIX. Servers agree on the segments of the path.
 *
 * A receiver hands every next request back if ASK is set, or if it finds a flag or a kind that it does not know.
 */
#define FDPASS_SCOPE_ASK 0x01      /* routes depend on more than host and path: no next request is covered */
#define FDPASS_SCOPE_DRAINED 0x02  /* beside ASK: the host is drained. The client goes back after its response at once, and not
                                    * only with its next request. The broker closes it when it is idle for some seconds */
#define FDPASS_SCOPE_HOST 'h'      /* at most once: the host of the request that was routed. Without it none is covered */
#define FDPASS_SCOPE_PREFIX 'p'    /* paths that the route takes */
#define FDPASS_SCOPE_EXCEPT 'x'    /* paths below them that it does not take */

/*
 * RECEIPT
 *
 * The sender keeps its copy of the client until the connection tells it what happened to the message:
 *
 *   EOF           the message was received: the client is taken
 *   ECONNRESET    the message was not received: the client is still the sender's. The kernel sets this error if a
 *                 connection is closed with unread messages in it
 *   one byte      the receiver's own answer, and then EOF. An unknown byte counts as TAKEN, because nothing tells
 *                 whether the receiver touched the client. 0x14 to 0x1F are for later versions
 *
 * Another worker gets a client only if the broker finds it untouched (UNTOUCHED CLIENTS in fdpass-protocol(7)).
 */
#define FDPASS_ANSWER_TAKEN 0x01   /* the same as EOF. A route with Receipt=ack waits for it */
#define FDPASS_ANSWER_REFUSED 0x02 /* another worker should have the client. It was not touched, and no copy is kept */
#define FDPASS_ANSWER_ERROR 0x03   /* no worker should have the client. It was not touched; the broker answers it */
#define FDPASS_ANSWER_RETURN 0x11  /* TAKEN, and the connection stays open for handing back (RETURN CONNECTIONS) */
#define FDPASS_RETURN_TELL 0x01    /* flag in a second byte of RETURN (TELLING OF DRAINS) */
#define FDPASS_TELL_DRAINED 0x12
#define FDPASS_TELL_UNDRAINED 0x13

/*
 * PERSISTENT CONNECTIONS
 *
 * A worker whose message has PERSISTENT may answer with eight bytes instead of one, and leave the connection open. Then
 * the broker sends more clients on it. Clients have numbers: 0 for the one that came with PERSISTENT, wrapping at
 * 65536. All numbers are big endian.
 *
 *   Byte 0     FDPASS_ANSWER_PERSISTENT.
 *   Byte 1     FDPASS_ANSWER_TAKEN, _REFUSED or _ERROR.
 *   Bytes 2-3  number of the first client that this answer is about.
 *   Bytes 4-5  number of clients from there on; 0: only the limit is new.
 *   Bytes 6-7  the limit: clients with numbers below it may be sent. At most 32767 above the next number.
 *
 * A message on a persistent connection has one or more descriptors, at most as many as PERSISTENT says. It has one
 * header for each, in the same order, one behind the other: no consumed bytes, and FDPASS_HEADER_MAX bytes at most in
 * all. Clients that don't fit, and those of AF_UNIX, get a connection of their own. The sender sends no message beyond
 * the limit.
 *
 * Either end may close the connection at any time. A client that has no answer then was not taken. The broker passes it
 * to another worker if it is untouched.
 */
#define FDPASS_ANSWER_PERSISTENT 0x10
#define FDPASS_ANSWER_PERSISTENT_SIZE 8
#define FDPASS_PERSISTENT_MAX 16

/*
 * HANDING BACK
 *
 * A worker hands a client back by the same message to the broker's return socket (SOCK_SEQPACKET), with these
 * differences:
 *
 *   NAME, DATA       the route that gets the client, and what its worker is told. Without NAME the client is parked,
 *                    and its next bytes are routed afresh
 *   consumed bytes   what the worker has read and the next one is to read
 *   ROUTE, DEADLINE, SCOPE  ignored
 *   HOPS             not sent by a worker, because a client that comes with HOPS is new, or has begun a request
 *   all others       passed on by the worker as it got them, otherwise they are lost
 *
 * TAKEN or EOF: the broker has the client. REFUSED: the broker has no room for the client. ERROR: the message is
 * invalid, the descriptor is not a connected client, or the sender may not hand back.
 *
 * RETURN CONNECTIONS
 *
 * A worker that may not connect, or has no right to the return socket, answers a message with RETURN. The broker sends the
 * byte RETURN when it is ready; before that a descriptor may be refused (EPERM). If it has no room it closes the
 * connection. From then on the worker sends messages as to the return socket, and gets the same answers. Differences:
 *
 *   SEAL             as it came with the client. Without it, or with other addresses, LISTENER, SSL, ALPN or PROXY than
 *                    the client came with, the answer is ERROR. An earlier process of the broker made other seals
 *   NAME             not allowed
 *
 * TELLING OF DRAINS
 *
 * Between two requests a client stays with its worker until it sends the next one. A worker that should get no more
 * clients hands idle ones back before that. So RETURN may have a second byte, with flags. Others than this one are ignored:
 *
 *   FDPASS_RETURN_TELL  the broker sends a byte when it changes whether idle clients are to go back. It does not answer
 *                       TAKEN on the connection, because the worker waits for events of it
 *
 * The bytes come behind RETURN, and between answers. The state is FDPASS_TELL_UNDRAINED at first. Each byte says what the
 * state is from then on, so the same one twice says nothing new. A state that was left at once may not be told at all.
 *
 *   FDPASS_TELL_DRAINED    the host or the worker is drained. Each client between two requests goes back now, and the
 *                          others do after their responses. The broker closes those of a drained host that are idle for
 *                          some seconds, and gives the next requests of those of a drained worker to other workers
 *   FDPASS_TELL_UNDRAINED  clients stay again, as their scopes say
 *
 * With the end of the connection the state is UNDRAINED.
 *
 * NEXT
 *
 * A broker looks at the next request of a client that comes back, and makes its socket as accept(2) returned it. Both
 * cost more than the handoff itself, because the worker shares the socket. A worker may spare the broker that by NEXT on
 * its return connection, if the message has no consumed bytes. It promises:
 *
 *   - The value is the head of the next request, to the empty line that ends it, and the socket begins with these bytes.
 *   - It has changed no option of the socket but TCP_NODELAY, TCP_CORK (which is off), TCP_QUICKACK and O_NONBLOCK.
 *   - It keeps the promise of a receiver of NEXT, in all of its processes.
 *
 * The broker then routes by these bytes. It believes them only if the next worker has sent NEXT before, too, and if the
 * scope of the next worker covers them. To that worker it sends the byte 1 as NEXT. A receiver of NEXT
 * compares the first request with the scope, as it does with later ones. It hands the client back unless the scope covers
 * the request. So a worker that lies gets no request to a worker that the request is not for.
 *
 * The broker does not answer such a message with TAKEN.
 *
 * If the next worker declines the client, or ends without it, the broker closes the client, because it does not know
 * what the socket was like before.
 */
#define FDPASS_RETURN_PATH "/run/fdpass/return.sock"

/*
 * DRAINED HOST
 *
 * While this file exists, an administrator wants the clients of this host to go to other hosts. Its first line is the
 * reason, in at most 255 bytes of text.
 */
#define FDPASS_DRAINING_PATH "/run/fdpass/draining"

#endif
