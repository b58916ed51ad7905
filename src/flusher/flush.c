/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Flusher=flush: the head of a response, of which the worker writes the body. As the one of mod_proxy_fdpass does it,
 * but for what RFC 9110 and RFC 9112 say about HEAD and Expect (head.c).
 */

#include "flusher/flusher.h"

static int flush(const struct fdpass_flusher_request *request, struct fdpass_flusher_output *output) {
        return request->head(request, output, NULL);
}

const struct fdpass_flusher flusher_flush = {
        .abi = FDPASS_FLUSHER_ABI,
        .size = sizeof(struct fdpass_flusher),
        .name = "flush",
        .flush = flush,
};
