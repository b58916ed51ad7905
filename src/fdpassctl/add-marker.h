/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The first line of each file that fdpassctl add writes: the name that was added, and a checksum of all further lines.
 * By it fdpassctl remove finds the files, and leaves those that were changed.
 */

#include "basic/macro.h"

typedef enum AddMarkerState {
        ADD_MARKER_NONE,    /* no file that add wrote for this name */
        ADD_MARKER_CHANGED, /* written by add for this name, and changed since */
        ADD_MARKER_WHOLE,   /* written by add for this name, and unchanged */
} AddMarkerState;

/*
 * Returns @text behind a marker for @name, for the caller to free. @enabled is a unit that was enabled before, and that
 * remove enables again; NULL: none. Returns NULL without memory.
 */
char *add_marker_prepend(const char *name, const char *enabled, const char *text);

/* Returns the state of a file with this text. */
AddMarkerState add_marker_check(const char *name, const char *text);

/* True if the file says that @unit was enabled before. */
bool add_marker_was_enabled(const char *text, const char *unit);
