/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpass_confine(): takes rights from the calling worker. */

#include "basic/confine.h"
#include "basic/macro.h"
#include "libfdpass/fdpass.h"

_Static_assert((int) FDPASS_MAY_CONNECT == (int) CONFINE_MAY_CONNECT &&
               (int) FDPASS_MAY_LISTEN == (int) CONFINE_MAY_LISTEN, "the flags are passed on as they are");

_public_ int fdpass_confine(unsigned flags) {
        return confine(flags);
}
