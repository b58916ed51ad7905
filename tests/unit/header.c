/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A program that includes only the public headers, in C90 and in C++. */

#include "flusher/fdpass-flusher.h"
#include "libfdpass/fdpass.h"
#include "handoff/protocol.h"

#include <errno.h>

int main(void) {
        struct fdpass_return_args args = { sizeof(args), NULL, NULL, NULL, 0, NULL, 0, NULL };
        int flags = SOCK_CLOEXEC | FDPASS_DEFER | FDPASS_ANY_SENDER;
        struct fdpass *f = NULL;

        if (fdpass_accept(-1, flags, &f) != -EBADF || fdpass_return_with(-1, &args) != -EBADF)
                return 1;

        fdpass_free(f);
        return FDPASS_MESSAGE_MAX == 81920 ? 0 : 1;
}
