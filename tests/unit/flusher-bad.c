/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Built several times: flushers that don't keep to their interface. */

#include "flusher/fdpass-flusher.h"

#ifndef BAD_ABI
#  define BAD_ABI FDPASS_FLUSHER_ABI
#endif

static int flush(const struct fdpass_flusher_request *request, struct fdpass_flusher_output *output) {
        (void) request;
#ifdef BAD_LENGTH
        output->len = output->capacity + 1;
        return FDPASS_FLUSHER_GO;
#else
        (void) output;
        return 77;
#endif
}

FDPASS_FLUSHER_PUBLIC extern const struct fdpass_flusher BAD_SYMBOL;

const struct fdpass_flusher BAD_SYMBOL = { BAD_ABI, sizeof(struct fdpass_flusher), BAD_NAME, flush, NULL };
