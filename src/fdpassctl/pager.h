/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Connects standard output to $SYSTEMD_PAGER, $PAGER or less(1). It does nothing if standard output is no terminal,
 * with --no-pager, and if the pager is "" or "cat".
 */
void pager_open(void);

/* Waits until the pager ends, if there is one. */
void pager_close(void);
