/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "libfdpass/object.h"

#define UID_UNKNOWN ((uid_t) -1)
#define UID_UNMAPPED ((uid_t) 65534) /* /proc/sys/kernel/overflowuid, which nobody changes */

/* Nobody's where the socket is abstract, has no name, or its file can't be seen from here. */
static bool socket_file(int fd, struct stat *ret) {
        struct sockaddr_un address = {};
        socklen_t length = sizeof(address) - 1; /* a path may fill sun_path without NUL (unix(7), "BUGS") */

        if (getsockname(fd, (struct sockaddr *) &address, &length) < 0)
                return false;

        return address.sun_path[0] == '/' && stat(address.sun_path, ret) >= 0 && S_ISSOCK(ret->st_mode);
}

int sender_check(int fd, uid_t *ret_uid) {
        struct ucred cred = { .uid = UID_UNKNOWN };
        socklen_t length = sizeof(cred);
        struct stat st;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) < 0)
                return -errno;

        *ret_uid = cred.uid;

        bool is_known = cred.uid != UID_UNKNOWN && cred.uid != UID_UNMAPPED;
        if (is_known && (cred.uid == 0 || cred.uid == geteuid()))
                return 0;

        if (!socket_file(fd, &st))
                return -EPERM;

        return !(st.st_mode & S_IWOTH) || (is_known && cred.uid == st.st_uid) ? 0 : -EPERM;
}
