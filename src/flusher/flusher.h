/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Flushers as the rest of the tree sees them: fdpass-flusher.h has the interface that all of them are written to. */

#include "basic/macro.h"
#include "flusher/fdpass-flusher.h"

/* Flusher=flush. It uses nothing that a loaded one could not. */
extern const struct fdpass_flusher flusher_flush;

/* What a request offers (struct fdpass_flusher_request). */
int flusher_header(const struct fdpass_flusher_request *request, const char *name, size_t index,
                   struct fdpass_flusher_text *ret_value);
int flusher_head(const struct fdpass_flusher_request *request, struct fdpass_flusher_output *output, const char *fields);

/* True for what may be the name of a flusher's file: letters, digits, "-" and "_", at most 64. No path, that is. */
bool flusher_name_is_valid(const char *name);

/* Conditions of flusher_load() */
enum {
        FLUSHER_MISSING = 1, /* there is no such file */
        FLUSHER_UNUSABLE,    /* it is no shared object, or not one for this machine, or something in it is missing */
        FLUSHER_FOREIGN,     /* it is no flusher: it does not export fdpass_flusher, or not what it should */
        FLUSHER_VERSION,     /* it was made for another version of the interface */
};

/*
 * Where the flusher @name is: sets *ret_path, which the caller frees, unless @ret_path is NULL. Returns 0,
 * FLUSHER_MISSING or -ENOMEM.
 */
int flusher_find(const char *directory, const char *name, char **ret_path);

/*
 * Loads the flusher @name from @directory. *ret_handle owns it (flusher_unload()). Returns 0, a condition or -ENOMEM.
 * After FLUSHER_UNUSABLE *ret_why says more; it is good until the next call, or NULL.
 */
int flusher_load(const char *directory, const char *name, const struct fdpass_flusher **ret, void **ret_handle,
                 const char **ret_why);

/* Takes NULL too. Returns NULL. */
void *flusher_unload(void *handle);
