/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Finding, loading and calling flushers. fdpass-flusher.h is the interface that all flushers implement. */

#include "basic/macro.h"
#include "flusher/fdpass-flusher.h"

/* Flusher=flush, which is built in. It uses only the public interface. */
extern const struct fdpass_flusher flusher_flush;

/* The functions of a request (struct fdpass_flusher_request). */
int flusher_header(const struct fdpass_flusher_request *request, const char *name, size_t index,
                   struct fdpass_flusher_text *ret_value);
int flusher_head(const struct fdpass_flusher_request *request, struct fdpass_flusher_output *output,
                 const char *fields);

/* True for a valid name: 1 to 64 letters, digits, "-" and "_". A name is never a path. */
bool flusher_name_is_valid(const char *name);

/* Conditions of flusher_load() */
enum {
        FLUSHER_MISSING = 1, /* there is no such file */
        FLUSHER_UNUSABLE,    /* it is not a shared object for this machine, or a symbol that it needs is missing */
        FLUSHER_FOREIGN,     /* it does not export fdpass_flusher with this name and a flush() */
        FLUSHER_VERSION,     /* it was built for another version of the interface */
};

/*
 * Finds the file of the flusher @name. Sets *ret_path, which the caller frees, unless @ret_path is NULL. Returns 0,
 * FLUSHER_MISSING or -ENOMEM.
 */
int flusher_find(const char *directory, const char *name, char **ret_path);

/*
 * Loads the flusher @name from @directory. *ret_handle owns *ret, and the caller frees it by flusher_unload(). Returns
 * 0, a condition or -ENOMEM. After FLUSHER_UNUSABLE *ret_why is the text of dlerror(3), valid until the next call, or
 * NULL.
 */
int flusher_load(const char *directory, const char *name, const struct fdpass_flusher **ret, void **ret_handle,
                 const char **ret_why);

/* Unloads a shared object; NULL is allowed. Returns NULL. */
void *flusher_unload(void *handle);
