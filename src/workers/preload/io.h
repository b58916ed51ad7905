/* SPDX-License-Identifier: MIT-0 */
#pragma once

/* libc's functions behind the wrappers of reads, writes and registrations. */

#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

typedef struct IoReal {
        ssize_t (*read)(int, void *, size_t);
        ssize_t (*readv)(int, const struct iovec *, int);
        ssize_t (*recv)(int, void *, size_t, int);
        ssize_t (*recvfrom)(int, void *, size_t, int, struct sockaddr *, socklen_t *);
        ssize_t (*recvmsg)(int, struct msghdr *, int);
        ssize_t (*write)(int, const void *, size_t);
        ssize_t (*writev)(int, const struct iovec *, int);
        ssize_t (*send)(int, const void *, size_t, int);
        ssize_t (*sendto)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
        ssize_t (*sendmsg)(int, const struct msghdr *, int);
        ssize_t (*sendfile)(int, int, off_t *, size_t);
        ssize_t (*splice)(int, off_t *, int, off_t *, size_t, unsigned);
        int (*recvmmsg)(int, struct mmsghdr *, unsigned, int, struct timespec *);
        int (*sendmmsg)(int, struct mmsghdr *, unsigned, int);
        int (*close)(int);
        int (*epoll_ctl)(int, int, int, struct epoll_event *);
        int (*epoll_wait)(int, struct epoll_event *, int, int);
        int (*epoll_pwait)(int, struct epoll_event *, int, int, const sigset_t *);
        int (*epoll_pwait2)(int, struct epoll_event *, int, const struct timespec *, const sigset_t *);
        int (*close_range)(unsigned, unsigned, int);
        void (*closefrom)(int);
        int (*dup)(int);
        int (*dup2)(int, int);
        int (*dup3)(int, int, int);
        int (*fcntl)(int, int, ...);
        int (*fcntl64)(int, int, ...);
        int (*initgroups)(const char *, gid_t);
        int (*setgroups)(size_t, const gid_t *);
        long (*syscall)(long, ...);
        int (*posix_spawn)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                           char *const *, char *const *);
        int (*posix_spawnp)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                            char *const *, char *const *);
} IoReal;

extern IoReal io_real;

/* Set when all of @io_real is. */
extern atomic_bool io_is_ready;

/* Finds the functions. Ends the process if one is missing. */
void io_init(void);
