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

/* True if the file of the socket admits some users only. Then the kernel let no others connect. */
static bool sender_is_admitted(int fd, Listener *listener, uid_t uid) {
        struct stat st;

        if (!sender_stat_socket(fd, &st))
                return false;
        if (st.st_mode & S_IWOTH)
                return uid == st.st_uid;

        if (listener)
                listener->private_until = usec_now() + SENDER_FILE_USEC;
        return true;
}

int sender_check(int fd, Listener *listener, uid_t *ret_uid) {
        struct ucred cred = { .uid = SENDER_UID_UNKNOWN };
        socklen_t length = sizeof(cred);
        bool is_known;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) < 0)
                return -errno;

        *ret_uid = cred.uid;
        if (cred.uid == 0 || (listener && listener->private_until > usec_now()))
                return 0;

        is_known = cred.uid != SENDER_UID_UNKNOWN && cred.uid != SENDER_UID_UNMAPPED;
        if (is_known && cred.uid == geteuid())
                return 0;

        return sender_is_admitted(fd, listener, is_known ? cred.uid : SENDER_UID_UNKNOWN) ? 0 : -EPERM;
}
