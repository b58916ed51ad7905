/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * New certificates for a running stage. systemd reads credentials once, when it starts a service, and the stage itself may
 * not read the files. So ExecReload= runs this program once more as root, which sends the open files to the stage. Then no
 * restart is needed, which would cut connections.
 */

#include "workers/tls/certificate.h"

/* Listens at @path. Returns an owned descriptor or a negative errno. */
int renewal_listen(const char *path);

/*
 * Takes the files of one sender, and sorts them. Waits for them for 1 s at most. *ret_conn_fd is for renewal_answer().
 * Returns 0 or a negative errno: -EPERM if the sender is not root.
 */
int renewal_receive(int listen_fd, CertificateFiles *ret, int *ret_conn_fd);

/* Takes the files of a sender that is known. Returns 0 or a negative errno. */
int renewal_receive_files(int conn_fd, CertificateFiles *ret);

/* Tells the sender that its files are in use. @conn_fd is consumed. */
void renewal_answer(int conn_fd);

/*
 * Sends the regular files of @directory, and those in directories of it, to the stage that listens at @path. Waits until
 * they are in use, for 10 s at most. Returns 0 or a negative errno.
 */
int renewal_send(const char *path, const char *directory);

/*
 * Does the same with files that were read, for the process at the other end of @control_fd. That process gets a descriptor
 * for renewal_receive_files() with one byte. Each call waits for 3 s at most. Returns 0 or a negative errno.
 */
int renewal_forward(int control_fd, const CertificateFiles *files);
