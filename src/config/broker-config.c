/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/broker-config.h"

#include <limits.h>

#include "basic/parse.h"

static int parse_log_handoffs(ConfigContext *c, _unused_ const ConfigKey *key, const Assignment *a, void *field,
                              const void *fallback) {
        LogHandoffs *v = field;
        bool b;

        if (!*a->value)
                *v = *(const LogHandoffs *) fallback;
        else if (streq(a->value, "failures"))
                *v = LOG_HANDOFFS_FAILURES;
        else if (parse_bool(a->value, &b) >= 0)
                *v = b ? LOG_HANDOFFS_YES : LOG_HANDOFFS_NO;
        else
                config_bad_value(c, a, "\"no\", \"failures\" or \"yes\"");

        return 0;
}

static const ConfigKey broker_keys[] = {
        { SECTION_FDPASS, "ExitIdleTimeSec", config_parse_timespan, offsetof(BrokerConfig, exit_idle_usec), 0, 0, false, NULL },
        { SECTION_FDPASS, "LogHandoffs",     parse_log_handoffs,    offsetof(BrokerConfig, log_handoffs), 0, 0, false, "no" },
        { SECTION_FDPASS, "MaxClients",      config_parse_unsigned, offsetof(BrokerConfig, max_clients), 0, UINT_MAX, false, NULL },
        { SECTION_FDPASS, "MaxParked",       config_parse_unsigned, offsetof(BrokerConfig, max_parked), 0, UINT_MAX, false, NULL },
        { SECTION_FDPASS, "ParkTimeoutSec",  config_parse_timespan, offsetof(BrokerConfig, park_timeout_usec), 0, 0, false, NULL },
};

ConfigKeys broker_config_keys(void) {
        return (ConfigKeys){ broker_keys, ELEMENTSOF(broker_keys) };
}

static const BrokerConfig defaults = {
        .log_handoffs = LOG_HANDOFFS_NO,
        .max_clients = 0,
        .park_timeout_usec = 60 * USEC_PER_SEC,
        .exit_idle_usec = USEC_INFINITY,
};

BrokerConfig broker_config_default(void) {
        return defaults;
}

int broker_config_read(Reporter *reporter, const Unit *unit, const char *hostname, BrokerConfig *ret) {
        const ConfigKeys keys = broker_config_keys();
        ConfigContext c = {
                .reporter = reporter,
                .unit = unit,
                .specifiers = { .unit = &unit->name, .hostname = hostname },
        };
        BrokerConfig broker = defaults;
        int r;

        r = config_table_apply(&keys, &c, &broker, &defaults);
        if (r < 0)
                return r;

        *ret = broker;
        return 0;
}

void broker_config_describe(const Unit *unit, const char *hostname, ConfigEmit emit, void *userdata) {
        const ConfigKeys keys = broker_config_keys();
        ConfigContext c = { .unit = unit, .specifiers = { .unit = &unit->name, .hostname = hostname } };

        config_table_describe(&keys, &c, &defaults, emit, userdata);
}
