/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

#include "libfdpass/fdpass.h"

/*
 * fdpass_accept(), but that a connection whose sender would keep it is left to the caller, without an answer, where
 * @ret_conn_fd is not NULL. Otherwise that stays as it was. @caller_reads: whoever gets the client looks at what is told
 * of it, so that it may have consumed bytes. The flags were checked.
 */
int accept_client(int fd, int flags, bool caller_reads, struct fdpass **ret, int *ret_conn_fd);

/* Are these flags of fdpass_accept()? 0 or -EINVAL. */
int accept_check_flags(int flags, struct fdpass **ret);

/* As accept4() would: what the sender left set on the socket is no concern of ours. */
int accept_set_flags(int client_fd, int flags);
