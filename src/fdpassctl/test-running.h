/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fdpassctl/test-request.h"

/* Sends the client's first bytes to the broker and prints which route it would take. Returns the exit status. */
int test_running(const TestRequest *d);
