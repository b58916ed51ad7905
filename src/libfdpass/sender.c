/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "libfdpass/sender.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SENDER_UID_UNKNOWN ((uid_t) -1)
#define SENDER_UID_UNMAPPED ((uid_t) 65534) /* the default of /proc/sys/kernel/overflowuid */

/* Finds the file that @fd is bound to. Returns false for an abstract address, no address, or a file out of sight. */
static bool sender_stat_socket(int fd, struct stat *ret) {
        struct sockaddr_un address = {};
        socklen_t length = sizeof(address) - 1; /* a path may fill sun_path without NUL (unix(7), "BUGS") */

        if (getsockname(fd, (struct sockaddr *) &address, &length) < 0)
                return false;

        return address.sun_path[0] == '/' && stat(address.sun_path, ret) >= 0 && S_ISSOCK(ret->st_mode);
}

int sender_check(int fd, uid_t *ret_uid) {
        struct ucred cred = { .uid = SENDER_UID_UNKNOWN };
        socklen_t length = sizeof(cred);
        struct stat st;
        bool is_known;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) < 0)
                return -errno;

        *ret_uid = cred.uid;

        is_known = cred.uid != SENDER_UID_UNKNOWN && cred.uid != SENDER_UID_UNMAPPED;
        if (is_known && (cred.uid == 0 || cred.uid == geteuid()))
                return 0;

        if (!sender_stat_socket(fd, &st))
                return -EPERM;

        return !(st.st_mode & S_IWOTH) || (is_known && cred.uid == st.st_uid) ? 0 : -EPERM;
}
