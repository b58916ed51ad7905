/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/broker-config.h"

#include <limits.h>

#define VALUE(field) CONFIG_VALUE(BrokerConfig, field)

static const char *const broker_config_log_handoffs[] = {
        [LOG_HANDOFFS_NO] = "no",
        [LOG_HANDOFFS_FAILURES] = "failures",
        [LOG_HANDOFFS_YES] = "yes",
        NULL,
};

static const ConfigKey broker_config_keys[] = {
        { SECTION_FDPASS, "ExitIdleTimeSec", VALUE(exit_idle_usec),    .parse = config_parse_timespan },
        { SECTION_FDPASS, "LogHandoffs",     VALUE(log_handoffs),      .parse = config_parse_choice,
          .choices = broker_config_log_handoffs },
        { SECTION_FDPASS, "MaxClients",      VALUE(max_clients),       .parse = config_parse_unsigned, .max = UINT_MAX },
        { SECTION_FDPASS, "MaxParked",       VALUE(max_parked),        .parse = config_parse_unsigned, .max = UINT_MAX },
        { SECTION_FDPASS, "ParkTimeoutSec",  VALUE(park_timeout_usec), .parse = config_parse_timespan },
};

static const BrokerConfig broker_config_defaults = {
        .log_handoffs = LOG_HANDOFFS_NO,
        .max_clients = 0,
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
        *ret = broker_config_defaults;
        return config_table_apply(&config_kind_broker, c, ret);
}
