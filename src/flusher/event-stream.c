/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Flusher=event-stream [SECONDS]: begins a stream of Server-Sent Events (HTML standard, section 9.2). The client sees
 * at once that it is connected, and gets the time to wait before it reconnects (3 s by default). The worker writes only
 * events.
 *
 * It uses only the public header, so that it is an example for other flushers.
 */

#include <stdio.h>
#include <string.h>

#include "fdpass-flusher.h"

/* Time to wait before a reconnect, in seconds. */
#define RETRY_DEFAULT 3
#define RETRY_MAX 86400

/* Parses a number of digits only, at most RETRY_MAX. Returns -1 for anything else. */
static long event_stream_parse(const char *argument) {
        long n = 0;

        for (const char *p = argument; *p; p++) {
                if (*p < '0' || *p > '9' || n > RETRY_MAX)
                        return -1;
                n = n * 10 + (*p - '0');
        }

        return n <= RETRY_MAX ? n : -1;
}

static int event_stream_check(const char *argument) {
        return event_stream_parse(argument) < 0;
}

static int event_stream_flush(const struct fdpass_flusher_request *request, struct fdpass_flusher_output *output) {
        long retry = *request->argument ? event_stream_parse(request->argument) : RETRY_DEFAULT;
        int n, r;

        r = request->head(request, output, "Content-Type: text/event-stream\r\nCache-Control: no-store\r\n");
        if (r != FDPASS_FLUSHER_GO)
                return r;

        /* The unit is milliseconds. An empty line ends the event. */
        n = snprintf(output->bytes + output->len, output->capacity - output->len, "retry: %ld000\n\n", retry);
        if (n < 0 || (size_t) n >= output->capacity - output->len)
                return -1;

        output->len += (size_t) n;
        return FDPASS_FLUSHER_GO;
}

FDPASS_FLUSHER_PUBLIC extern const struct fdpass_flusher fdpass_flusher;

const struct fdpass_flusher fdpass_flusher = {
        .abi = FDPASS_FLUSHER_ABI,
        .size = sizeof(struct fdpass_flusher),
        .name = "event-stream",
        .flush = event_stream_flush,
        .check = event_stream_check,
};
