/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * An administrator drains the host: load balancers are told that they should send its clients elsewhere. The broker
 * goes on serving everybody, because a balancer needs seconds to learn it. Three things change so that kept connections
 * end soon:
 *
 * - A parked client may be idle for HOST_DRAIN_PARK_USEC at most.
 * - Workers that ask for it are told by a byte on their return connections. They hand idle clients back at once.
 * - Scopes have FDPASS_SCOPE_DRAINED. So workers hand clients back after each response, and they are parked. No connection
 *   ends between a request and its response.
 */

#include "broker/broker.h"

/* Longest idle time of a parked client of a drained host, in µs. */
#define HOST_DRAIN_PARK_USEC (5 * USEC_PER_SEC)

/*
 * Begins to drain the host, or ends that. @reason is a line of text, which is cut after HOST_DRAIN_REASON_MAX bytes; NULL:
 * the host is not drained. Returns whether anything has changed.
 */
bool host_drain_set(Broker *b, const char *reason);
