/* SPDX-License-Identifier: MIT-0 */

#include "workers/preload/preload.h"

#include <dlfcn.h>

Real real;

/* Uses memcpy(), because ISO C has no cast from a pointer to an object to one to a function. POSIX allows the conversion. */
void real_find(const char *name, void *ret) {
        void *f = dlsym(RTLD_NEXT, name);

        if (!f)
                log_fatal("There is no function %s() to wrap.", name);
        memcpy(ret, &f, sizeof(f));
}

void real_init(void) {
        real_find("accept4", &real.accept4);
        real_find("bind", &real.bind);
        real_find("connect", &real.connect);
        real_find("getpeername", &real.getpeername);
        real_find("getsockname", &real.getsockname);
        real_find("getsockopt", &real.getsockopt);
        real_find("listen", &real.listen);
        real_find("setsockopt", &real.setsockopt);
        real_find("shutdown", &real.shutdown);
        real_find("socket", &real.socket);
}

int socket_option(int fd, int option) {
        int value = 0;
        socklen_t length = sizeof(value);

        return real.getsockopt(fd, SOL_SOCKET, option, &value, &length) < 0 ? -errno : value;
}

uint64_t socket_cookie(int fd) {
        int saved_errno = errno;
        uint64_t value = 0;
        socklen_t length = sizeof(value);

        if (real.getsockopt(fd, SOL_SOCKET, SO_COOKIE, &value, &length) < 0)
                value = 0;

        errno = saved_errno;
        return value;
}
