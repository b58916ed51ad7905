/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Finds the ends of TLS records (RFC 8446 5.1) in the bytes of a client, so that the reader asks the socket for no byte
 * behind the present record. Then everything behind the handshake is still in the socket when the handshake is done.
 */

#include <stddef.h>
#include <stdint.h>

#define RECORD_HEADER_SIZE 5

/* {} is the place before the first record. */
typedef struct RecordPlace {
        uint8_t header[RECORD_HEADER_SIZE];
        size_t n_header; /* bytes of @header that are known */
        size_t n_left;   /* bytes of the record's body that are still to come, once @header is whole */
} RecordPlace;

/* Conditions of record_advance(). */
enum {
        RECORD_INVALID = 1, /* the header is none of TLS. No later byte can be read */
};

/* Returns how many bytes may be read: up to the end of the header, or of the body. At least 1. */
size_t record_wanted(const RecordPlace *r);

/* Takes note of the next @n bytes, at most record_wanted(). Returns 0 or a condition. */
int record_advance(RecordPlace *r, const uint8_t *p, size_t n);
