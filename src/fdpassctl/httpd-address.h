/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Addresses and networks of "Require ip" (mod_authz_host, apr_ipsubnet_create()) as values of Source=. */

#include <netinet/in.h>

#include "basic/macro.h"

#define HTTPD_ADDRESS_MAX (INET6_ADDRSTRLEN + 4) /* with "/128" and a NUL */

/*
 * Writes @word as an address, or as a network without host bits: "10.1" becomes "10.1.0.0/16". Returns false if httpd
 * refuses @word, or if it has a mask with holes.
 */
bool httpd_address_to_source(const char *word, char ret[static HTTPD_ADDRESS_MAX]);
