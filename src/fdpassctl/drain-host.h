/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Drains the host, or ends that: makes or removes the file FDPASS_DRAINING_PATH, and tells each broker of the host that
 * runs to read it. @reason is one line; NULL: the host is not drained any more. Below --root= no broker is told. Returns
 * as a verb (verbs.h).
 */
int drain_host_set(const char *reason);
