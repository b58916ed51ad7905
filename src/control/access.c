/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "control/access.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Supplementary groups of a peer that are compared; the kernel allows 65536. */
#define GROUPS_MAX 1024

/* A group that has no number in the broker's user namespace (/proc/sys/kernel/overflowgid, PrivateUsers=). */
#define GID_UNKNOWN 65534

static bool access_stat_listener(int fd, struct stat *ret) {
        struct sockaddr_un sun = {};
        socklen_t len = sizeof(sun) - 1; /* so that the path ends with a NUL */

        return getsockname(fd, (struct sockaddr *) &sun, &len) >= 0 && sun.sun_family == AF_UNIX &&
               sun.sun_path[0] == '/' && stat(sun.sun_path, ret) >= 0;
}

static bool access_has_group(int fd, const struct ucred *cred, gid_t gid) {
        gid_t groups[GROUPS_MAX];
        socklen_t len = sizeof(groups);

        if (cred->gid == gid)
                return true;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
                return false;

        for (size_t i = 0; i < len / sizeof(*groups); i++)
                if (groups[i] == gid)
                        return true;

        return false;
}

/*
 * With PrivateUsers= the broker sees a number for root, its own user and its own group only: all other groups have the
 * number GID_UNKNOWN. So the mode of the socket decides, and the kernel checks it in connect(2). If the mode
 * lets everybody connect, the broker trusts only a number that it knows.
 */
bool access_is_allowed(int listener_fd, int fd) {
        struct stat st = { .st_mode = S_IWOTH, .st_gid = GID_UNKNOWN };
        struct ucred cred;
        socklen_t len = sizeof(cred);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
                return false;

        if (cred.uid == 0 || cred.uid == geteuid())
                return true;

        if (!access_stat_listener(listener_fd, &st))
                return false;

        return !(st.st_mode & S_IWOTH) || (st.st_gid != GID_UNKNOWN && access_has_group(fd, &cred, st.st_gid));
}
