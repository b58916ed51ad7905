/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpass_draining(): whether the host or this worker is drained. */

#include <errno.h>
#include <unistd.h>

#include "handoff/protocol.h"
#include "libfdpass/object.h"
#include "libfdpass/return-conn.h"

_public_ int fdpass_draining(void) {
        if (return_conn_is_drained())
                return 1;

        return access(FDPASS_DRAINING_PATH, F_OK) == 0 ? 1 : errno == ENOENT ? 0 : -errno;
}
