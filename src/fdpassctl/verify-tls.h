/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "config/config.h"

/*
 * Warns about TLS stages: certificates that can't be used or end soon, and names of routes that no certificate has. Warns
 * about h2 inside of TLS that no route takes. fdpass-tls reads the certificates, because only it has a library for that.
 * Returns 0 or a negative errno.
 */
int verify_tls(int root_fd, const Config *config);
