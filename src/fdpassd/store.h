/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Facts for the next process of this service, in memfds. systemd keeps them through a restart and a crash
 * (FileDescriptorStoreMax=, sd_pid_notify_with_fds(3)), and drops them if the service is stopped.
 */

/* Makes an empty memfd. @flags are added to those of memfd_create(2). The caller closes *ret. Returns 0 or a negative errno. */
int store_new(const char *name, unsigned flags, int *ret);

/*
 * Gives @fd to systemd under @name. systemd then has the same file. Returns 0 or more, or a negative errno. An error of
 * systemd itself, such as a full store, is in its own log.
 */
int store_put(const char *name, int fd);
