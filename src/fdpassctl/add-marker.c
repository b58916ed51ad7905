/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/add-marker.h"

#include <inttypes.h>
#include <stdio.h>

#include "basic/siphash.h"

#define MARKER_BEGIN "# Written by fdpassctl add "
#define MARKER_MIDDLE ", checksum "
#define MARKER_END ". \"fdpassctl remove\" removes it unless it is changed.\n"
#define MARKER_ENABLED_BEGIN "# Before that, "
#define MARKER_ENABLED_END " was enabled. \"fdpassctl remove\" enables it again.\n"

/* The checksum finds edits. It is no protection, so the key need not be secret. */
static uint64_t add_marker_sum(const char *text) {
        static const uint8_t key[SIPHASH_KEY_SIZE] = "fdpassctl add";

        return siphash24(key, text, strlen(text));
}

char *add_marker_prepend(const char *name, const char *enabled, const char *text) {
        _cleanup_free_ char *body = NULL;
        char *all;

        if (asprintf(&body, "%s%s%s\n%s", enabled ? MARKER_ENABLED_BEGIN : "", enabled ?: "",
                     enabled ? MARKER_ENABLED_END : "", text) < 0) {
                body = NULL;
                return NULL;
        }

        return asprintf(&all, MARKER_BEGIN "%s" MARKER_MIDDLE "%016" PRIx64 MARKER_END "%s", name, add_marker_sum(body),
                        body) < 0 ? NULL : all;
}

/* Returns the text behind the name of the marker, or NULL: it is none for this name. */
static const char *add_marker_skip_name(const char *name, const char *text) {
        const char *p = startswith(text, MARKER_BEGIN);

        p = p ? startswith(p, name) : NULL;
        return p ? startswith(p, MARKER_MIDDLE) : NULL;
}

AddMarkerState add_marker_check(const char *name, const char *text) {
        const char *sum = add_marker_skip_name(name, text), *body;
        char expected[17];

        if (!sum)
                return ADD_MARKER_NONE;

        body = strlen(sum) < 16 ? NULL : startswith(sum + 16, MARKER_END);
        if (!body)
                return ADD_MARKER_CHANGED;

        (void) snprintf(expected, sizeof(expected), "%016" PRIx64, add_marker_sum(body));
        return strncmp(sum, expected, 16) == 0 ? ADD_MARKER_WHOLE : ADD_MARKER_CHANGED;
}

bool add_marker_was_enabled(const char *text, const char *unit) {
        const char *line = strchr(text, '\n'), *p;

        p = line ? startswith(line + 1, MARKER_ENABLED_BEGIN) : NULL;
        p = p ? startswith(p, unit) : NULL;
        return p && startswith(p, MARKER_ENABLED_END);
}
