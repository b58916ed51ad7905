/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Flusher=flush: writes the head of a response, and the worker writes the body. It behaves as the flusher of
 * mod_proxy_fdpass, except that it handles HEAD and Expect as RFC 9110 and RFC 9112 require (head.c).
 */

#include "flusher/flusher.h"

static int flusher_flush_run(const struct fdpass_flusher_request *request, struct fdpass_flusher_output *output) {
        return request->head(request, output, NULL);
}

const struct fdpass_flusher flusher_flush = {
        .abi = FDPASS_FLUSHER_ABI,
        .size = sizeof(struct fdpass_flusher),
        .name = "flush",
        .flush = flusher_flush_run,
};
