/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/tls/record.h"

#include "basic/macro.h"

/* Types of records: change_cipher_spec, alert, handshake and application_data. */
#define RECORD_TYPE_MIN 20
#define RECORD_TYPE_MAX 23

/* Versions of records are 3.x (RFC 8446 5.1, RFC 5246 6.2.1). */
#define RECORD_MAJOR 3

size_t record_wanted(const RecordPlace *r) {
        return r->n_header < RECORD_HEADER_SIZE ? RECORD_HEADER_SIZE - r->n_header : r->n_left;
}

int record_advance(RecordPlace *r, const uint8_t *p, size_t n) {
        if (n == 0)
                return 0;

        if (r->n_header < RECORD_HEADER_SIZE) {
                memcpy(r->header + r->n_header, p, n);
                r->n_header += n;
                if (r->header[0] < RECORD_TYPE_MIN || r->header[0] > RECORD_TYPE_MAX ||
                    (r->n_header > 1 && r->header[1] != RECORD_MAJOR))
                        return RECORD_INVALID;
                if (r->n_header < RECORD_HEADER_SIZE)
                        return 0;
                r->n_left = (size_t) r->header[3] << 8 | r->header[4];
        } else
                r->n_left -= n;

        if (r->n_left == 0)
                *r = (RecordPlace){};
        return 0;
}
