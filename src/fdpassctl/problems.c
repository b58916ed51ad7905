/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is wrong, in the words of somebody who would have to mend it. */

#include <inttypes.h>
#include <stdio.h>

#include "fdpassctl/show.h"
#include "fdpassctl/table.h"

/* The lines of what was found in the units. */
static size_t print_findings(FILE *f, const char *findings) {
        size_t n = 0;

        while (*findings) {
                size_t k = strcspn(findings, "\n");
                _cleanup_free_ char *line = strndup(findings, k);

                text_print(f, line ?: "");
                fputc('\n', f);
                findings += k + (findings[k] == '\n');
                n++;
        }

        return n;
}

static size_t print_broker(FILE *f, const Value *properties) {
        uint64_t dropped = value_number(properties, "LogDropped");
        const char *state = value_string(properties, "State");
        char span[32];
        size_t n = 0;

        if (streq(state, "stopping")) {
                fprintf(f, "The broker is stopping.\n");
                n++;
        }
        if (streq(state, "paused")) {
                fprintf(f, "No clients are accepted: ");
                text_print(f, value_string(properties, "PauseReason"));
                fprintf(f, ".\n");
                n++;
        }
        if (value_number(properties, "ReloadFailed")) {
                uint64_t at = value_number(properties, "ReloadUSec"), now = usec_now_realtime();

                fprintf(f, "The last reload failed %s ago, the routes from before stay:\n",
                        format_span(span, now > at ? now - at : 0));
                n++;
        }

        n += print_findings(f, value_string(properties, "ReloadFindings"));

        if (dropped > 0) {
                fprintf(f, "%" PRIu64 " log lines were dropped, because the journal did not take them.\n", dropped);
                n++;
        }

        return n;
}

static size_t print_worker(FILE *f, const Value *w) {
        const char *state = value_string(w, "State");
        char span[32];

        if (streq(state, "ready") || streq(state, "resting"))
                return 0;

        fprintf(f, "Worker ");
        text_print(f, value_string(w, "Worker"));
        if (streq(state, "gone")) {
                const char *error = value_string(w, "GoneError"), *hint = value_string(w, "GoneHint");

                fprintf(f, " can't be reached for %s%s", format_span(span, value_number(w, "GoneForUSec")), *error ? ": " : "");
                text_print(f, error);
                fprintf(f, "%s", *hint ? " (" : "");
                text_print(f, hint);
                fprintf(f, "%s.\n", *hint ? ")" : "");
        } else if (streq(state, "stuck"))
                fprintf(f, " does not take its clients; %" PRIu64 " wait in its backlog.\n", value_number(w, "Pending"));
        else if (streq(state, "hanging"))
                fprintf(f, " holds up calls on the sockets of its clients, and gets no more of them.\n");
        else
                fprintf(f, " is drained.\n");

        return 1;
}

static size_t print_queue(FILE *f, const Value *route) {
        uint64_t queued = value_number(route, "Queued"), max = value_number(route, "MaxQueued");
        char span[32];

        /* Each pool once: by its first route. */
        if (queued == 0 || !streq(value_string(route, "Unit"), value_string(route, "Pool")))
                return 0;

        text_print(f, value_string(route, "Unit"));
        fprintf(f, queued >= max ? ": the queue is full: %" PRIu64 " clients wait, the first for %s.\n"
                                 : ": %" PRIu64 " clients wait for a worker, the first for %s.\n",
                queued, format_span(span, value_number(route, "OldestWaitUSec")));
        return 1;
}

char *problems_of(const Snapshot *s, size_t *ret_n) {
        char *text = NULL;
        size_t size, n;
        FILE *f;

        f = open_memstream(&text, &size);
        if (!f)
                return NULL;

        n = print_broker(f, &s->properties);
        for (size_t i = 0; i < s->workers.n_items; i++)
                n += print_worker(f, &s->workers.items[i]);
        for (size_t i = 0; i < s->routes.n_items; i++)
                n += print_queue(f, &s->routes.items[i]);
        if (s->routes.n_items == 0) {
                fprintf(f, "There are no routes: every client is refused. "
                           "See systemctl list-dependencies fdpass.target.\n");
                n++;
        }

        if (fclose(f) != 0) {
                free(text);
                return NULL;
        }

        *ret_n = n;
        return text;
}
