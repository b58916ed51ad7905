/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/test-running.h"

#include <stdio.h>

#include "fdpassctl/bus.h"
#include "fdpassctl/running.h"
#include "fdpassctl/test-bytes.h"
#include "fdpassctl/test-print.h"

static int test_running_ask(sd_bus *bus, const TestRequest *d, const TestBytes *b, Value *ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, NULL, BUS_PATH, BUS_INTERFACE, "Test");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", d->facts.listener, d->source_text ?: "");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', b->p, b->n);
        if (r >= 0)
                r = sd_bus_call(bus, m, 0, &error, &reply);
        if (r >= 0)
                r = value_read(reply, ret);
        if (r < 0)
                fprintf(stderr, "%s\n", error.message ?: strerror(-r));

        return r;
}

int test_running(const TestRequest *d) {
        _cleanup_value_ Value outcome = {};
        _cleanup_bus_ sd_bus *bus = NULL;
        TestBytes b = {};
        int status;

        status = running_open(&bus);
        if (status != 0)
                return status;
        if (test_bytes_make(d, &b) < 0 || test_running_ask(bus, d, &b, &outcome) < 0)
                return EXIT_FAILURE;

        return test_print(&outcome);
}
