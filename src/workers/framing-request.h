/* SPDX-License-Identifier: MIT-0 */
#pragma once

#include "probe/http.h"
#include "workers/framing.h"

/*
 * Begins to follow a request, whose head probe_http1() has read. *ret_is_last: the client wants no further request.
 * Returns false if the request can't be followed.
 */
bool framing_begin_head(Framing *f, const HttpFacts *facts, bool *ret_is_last);
