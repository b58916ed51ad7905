/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The key of the seals (broker/state/seal.h), for the next process. Otherwise a client that a worker got before a restart
 * or a crash could not be handed back after it, and would be closed between two requests.
 *
 * Each shard has a key of its own, because it has a store of its own.
 */

#include "broker/broker.h"

/* Name of the memfd in the store of systemd. */
#define SEAL_STORE_NAME "seal-key"

/* True if @fd, which systemd passed under SEAL_STORE_NAME, has a key and can't be changed any more. */
bool seal_store_is_key(int fd);

/*
 * Gives the broker the key in the memfd @fd, which is consumed. If it is -EBADF, or has no key, puts the broker's own key
 * into a new one. Errors are logged.
 */
void seal_store_share(Broker *b, int fd);
