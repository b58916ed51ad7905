/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Serves health checks and agents on the sockets from systemd. Returns as a verb (verbs.h). */
int health_serve(void);
