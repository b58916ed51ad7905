/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which workers are drained, for the next process. A memfd has their paths (store.h).
 */

#include "broker/broker.h"

/* Name of the memfd in the store of systemd. */
#define DRAINED_NAME "drained"

typedef struct Drained {
        Broker *broker;       /* borrowed */
        int fd;               /* memfd with the paths, each with a NUL at its end; -EBADF: there is none. Owned */
} Drained;

void drained_done(Drained *d);

/* True if @fd, which systemd passed under DRAINED_NAME, can be such a memfd. */
bool drained_is_store(int fd);

/* Drains the workers that were drained in the process before this one, and logs that. */
void drained_restore(Drained *d);

/* Writes which workers are drained. To be called if that has changed. Errors are logged. */
void drained_save(Drained *d);

/* Logs that drained workers stay drained if the stop is a restart. */
void drained_log_stop(const Drained *d);
