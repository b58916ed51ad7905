/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The file FDPASS_DRAINING_PATH says that the host is drained. Its first line is the reason. It outlives the broker, and
 * a reboot removes it. `fdpassctl drain --host` makes it, and tells each broker of the host to read it.
 */

#include "broker/broker.h"

/*
 * Reads the file below the directory @root, and has the broker do what it says. Logs a change, and an error: then nothing
 * changes.
 */
void host_file_read(Broker *b, const char *root);
