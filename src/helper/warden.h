/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The first thread of the helper: it watches the others, and closes everything when the helper is dismissed. */

#include "helper/shared.h"

void warden_run(Shared *s) __attribute__((noreturn));
