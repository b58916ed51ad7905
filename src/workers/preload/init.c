/* SPDX-License-Identifier: MIT-0 */

#include "workers/preload/preload.h"

#include "basic/confine.h"
#include "workers/preload/back.h"
#include "workers/preload/io.h"
#include "workers/preload/kept.h"

/* Leaves listen(2), because servers listen on AF_UNIX. The service's SystemCallFilter= can forbid it. */
static void init_confine(void) {
        int saved_errno = errno, r;

        r = confine(CONFINE_MAY_CONNECT | CONFINE_MAY_LISTEN);
        if (r < 0 && environment.confine == CONFINE_MODE_YES)
                log_fatal("FDPASS_CONFINE=yes can't be had: %s.",
                          r == -EOPNOTSUPP ? "the kernel has no Landlock with rights for TCP" : strerror(-r));
        errno = saved_errno;
}

__attribute__((constructor)) void preload_init(void) {
        static atomic_bool is_done;

        /* A load is cheaper than an exchange, and each wrapper calls this. */
        if (atomic_load_explicit(&is_done, memory_order_acquire) || atomic_exchange(&is_done, true))
                return;

        log_init();
        real_init();
        io_init();
        environment_init();
        back_init();
        forks_init();
        kept_init();
        passed_init();
        if (environment.confine == CONFINE_MODE_YES || (environment.confine == CONFINE_MODE_AUTO && confine_is_due()))
                init_confine();
}
