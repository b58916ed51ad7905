/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The main process of fdpass-tls. It reads the certificates, and starts processes that serve clients. They share the sockets
 * of systemd, and each has a stage of its own.
 *
 *     renewal.h ── files ──▶ supervisor ── files ──▶ process, process, ...
 *
 * When it ends, the processes take no more clients. They go on with those that they have, until the last one has ended. So
 * a restart cuts no connection. It needs KillMode=process in the unit, otherwise systemd would end them.
 */

#include "workers/tls/stage.h"

/* The most processes. */
#define SUPERVISOR_PROCESSES_MAX 64

/*
 * Serves with @n processes until the service is stopped. In this process, it returns 0, a value of sysexits.h, or a negative
 * errno, all logged. In the others it returns what a stage returns. @stage has options only.
 */
int supervisor_run(TlsStage *stage, unsigned n);
