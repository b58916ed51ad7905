/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpass_draining(): whether the host is drained. */

#include <errno.h>
#include <unistd.h>

#include "handoff/protocol.h"
#include "libfdpass/object.h"

_public_ int fdpass_draining(void) {
        return access(FDPASS_DRAINING_PATH, F_OK) == 0 ? 1 : errno == ENOENT ? 0 : -errno;
}
