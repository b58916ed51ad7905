/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/broker-config.h"

#include <limits.h>

#include "config/connections-need.h"

#define VALUE(field) CONFIG_VALUE(BrokerConfig, field)

static const char *const log_handoffs_names[] = {
        [LOG_HANDOFFS_NO] = "no",
        [LOG_HANDOFFS_FAILURES] = "failures",
        [LOG_HANDOFFS_YES] = "yes",
        NULL,
};

static const ConfigKey broker_config_keys[] = {
        { SECTION_FDPASS, "AutoReload",      config_parse_bool, VALUE(auto_reload) },
        { SECTION_FDPASS, "ExitIdleTimeSec", config_parse_timespan, VALUE(exit_idle_usec) },
        { SECTION_FDPASS, "LogConnections",  config_parse_bool, VALUE(log_connections) },
        { SECTION_FDPASS, "LogHandoffs",     config_parse_choice, VALUE(log_handoffs), .choices = log_handoffs_names },
        { SECTION_FDPASS, "MaxClients",      config_parse_unsigned, VALUE(max_clients), .max = UINT_MAX },
        { SECTION_FDPASS, "MaxParked",       config_parse_unsigned, VALUE(max_parked), .max = UINT_MAX },
        { SECTION_FDPASS, "MaxTrackedConnections", config_parse_unsigned, VALUE(max_tracked), .min = 1,
          .max = CONNECTIONS_TRACKED_MAX },
        { SECTION_FDPASS, "ParkTimeoutSec",  config_parse_timespan, VALUE(park_timeout_usec) },
};

static const BrokerConfig broker_config_defaults = {
        .auto_reload = true,
        .log_handoffs = LOG_HANDOFFS_NO,
        .max_clients = 0,
        .max_tracked = 262144,
        .park_timeout_usec = 60 * USEC_PER_SEC,
        .exit_idle_usec = USEC_INFINITY,
};

const ConfigKind config_kind_broker = {
        .name = "fdpass.service",
        .keys = broker_config_keys,
        .n_keys = ELEMENTSOF(broker_config_keys),
        .defaults = &broker_config_defaults,
};

BrokerConfig broker_config_default(void) {
        return broker_config_defaults;
}

int broker_config_read(ConfigContext *c, BrokerConfig *ret) {
        int r;

        *ret = broker_config_defaults;
        ret->stamp = c->unit->stamp;
        r = config_table_apply(&config_kind_broker, c, ret);
        if (r < 0 || !ret->log_connections)
                return r;

        return connections_need_set(&ret->need, c->unit, "LogConnections");
}
