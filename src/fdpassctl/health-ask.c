/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/health-ask.h"

#include <stdio.h>

#include "basic/utf8.h"
#include "fdpassctl/text.h"

bool health_add(HealthQuestion *q, const char *unit, size_t n) {
        if (n == 0 || q->n_units == HEALTH_UNITS_MAX || n >= sizeof(q->names) - q->n_names || memchr(unit, '\0', n))
                return false;

        memcpy(q->names + q->n_names, unit, n);
        q->n_names += n;
        q->names[q->n_names++] = '\0';
        q->n_units++;
        return true;
}

/* Sends the question, and returns the broker's reply, or a negative errno. */
static int health_call(sd_bus *bus, const HealthQuestion *q, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, NULL, BUS_PATH, BUS_INTERFACE, "Health");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "s");
        for (const char *unit = q->names; r >= 0 && unit < q->names + q->n_names; unit += strlen(unit) + 1)
                r = sd_bus_message_append(m, "s", utf8_is_valid(unit) ? unit : "?");
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_call(bus, m, HEALTH_TIMEOUT_USEC, NULL, ret);

        return r;
}

static void health_set_reason(HealthAnswer *a, const char *format, ...) _printf_(2, 3);
static void health_set_reason(HealthAnswer *a, const char *format, ...) {
        va_list ap;

        if (a->reason[0])
                return; /* the first one is told */

        va_start(ap, format);
        (void) vsnprintf(a->reason, sizeof(a->reason), format, ap);
        va_end(ap);
        utf8_mask(a->reason);
}

/* Adds the state of one unit to the answer, and a line to @f. */
static void health_add_unit(HealthAnswer *a, FILE *f, const Value *row) {
        const char *unit = value_string(row, "Unit"), *state = value_string(row, "State");
        const char *reason = value_string(row, "Reason");
        unsigned percent = (unsigned) value_number(row, "Percent");

        if (streq(state, "unknown"))
                reason = "no such route";

        a->percent = MIN(a->percent, percent);
        if (percent == 0) {
                health_set_reason(a, "%s: %s%s%s", unit, state, *reason ? ", " : "", reason);
                a->is_well = false;
        }
        text_print(f, unit);
        fprintf(f, ": %s %u%%%s", state, percent, *reason ? ", " : "");
        text_print(f, reason);
        fputc('\n', f);
}

static int health_read(sd_bus_message *m, HealthAnswer *a) {
        _cleanup_value_ Value rows = {};
        const char *state, *reason;
        size_t n;
        FILE *f;
        int r;

        r = sd_bus_message_read(m, "ss", &state, &reason);
        if (r >= 0)
                r = value_read(m, &rows);
        if (r < 0)
                return r;

        f = open_memstream(&a->details, &n);
        if (!f)
                return -ENOMEM;

        a->is_draining = streq(state, "draining");
        a->is_well = a->is_draining || streq(state, "ready");
        a->percent = 100;
        if (a->is_draining)
                health_set_reason(a, "%s", reason);
        else if (!a->is_well)
                health_set_reason(a, "the broker is %s", state);
        for (size_t i = 0; i < rows.n_items; i++)
                health_add_unit(a, f, &rows.items[i]);

        return fclose(f) == 0 ? 0 : -ENOMEM;
}

void health_ask(const HealthQuestion *q, HealthAnswer *ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;
        int r;

        *ret = (HealthAnswer){};
        r = bus_open_within(&bus, HEALTH_TIMEOUT_USEC);
        if (r >= 0)
                r = health_call(bus, q, &m);
        if (r >= 0)
                r = health_read(m, ret);
        if (r < 0) {
                health_answer_done(ret);
                health_set_reason(ret, "the broker does not answer: %s", strerror(-r));
        }
}

void health_answer_done(HealthAnswer *a) {
        free(a->details);
        *a = (HealthAnswer){};
}

static bool health_question_equal(const HealthQuestion *a, const HealthQuestion *b) {
        return a->n_names == b->n_names && memcmp(a->names, b->names, a->n_names) == 0;
}

const HealthAnswer *health_get(HealthCache *cache, const HealthQuestion *q) {
        usec_t now = usec_now();
        unsigned i;

        for (i = 0; i < HEALTH_CACHE_SIZE; i++)
                if (cache->slots[i].at > 0 && now < cache->slots[i].at + HEALTH_AGE_USEC &&
                    health_question_equal(&cache->slots[i].question, q))
                        return &cache->slots[i].answer;

        i = cache->next++ % HEALTH_CACHE_SIZE;
        health_answer_done(&cache->slots[i].answer);
        cache->slots[i].question = *q;
        health_ask(q, &cache->slots[i].answer);
        cache->slots[i].at = usec_now();
        return &cache->slots[i].answer;
}
