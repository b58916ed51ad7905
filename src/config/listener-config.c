/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/listener-config.h"

#include <limits.h>

#include "basic/parse.h"
#include "config/address-config.h"
#include "config/connections-need.h"

/* Limits of the interval of RateLimitPerSource=. */
#define RATE_INTERVAL_MIN (10 * USEC_PER_MSEC)
#define RATE_INTERVAL_MAX (24 * 3600 * USEC_PER_SEC)

#define VALUE(field) CONFIG_VALUE(ListenerConfig, field)
#define OBJECT(field) CONFIG_OBJECT(ListenerConfig, field)

void listener_config_done(ListenerConfig *listener) {
        free(listener->unit);
        free(listener->name);
        free(listener->trusted_proxies);
        free(listener->need.path);
        *listener = (ListenerConfig){};
}

static int listener_config_parse_proxies(ConfigContext *c, const Assignment *a, void *field) {
        ListenerConfig *listener = CONTAINER_OF(field, ListenerConfig, trusted_proxies);

        return config_parse_peers(c, a, &listener->trusted_proxies, &listener->n_trusted_proxies);
}

static int listener_config_parse_name(ConfigContext *c, const Assignment *a, void *field) {
        char value[VALUE_SIZE];

        return config_expand(c, a, a->value, value) ? config_set_string(field, value) : 0;
}

/* Parses "100/10s". */
static int listener_config_parse_rate(ConfigContext *c, const Assignment *a, void *field) {
        size_t n = strcspn(a->value, "/");
        char number[16] = {};
        SourceRate rate;

        if (n < sizeof(number))
                memcpy(number, a->value, n);

        if (a->value[n] == '\0' || parse_unsigned(number, &rate.n) < 0 || rate.n == 0 ||
            parse_timespan(a->value + n + 1, &rate.interval) < 0)
                config_bad_value(c, a, "a number of connections and a time span such as \"100/10s\"");
        else if (rate.interval < RATE_INTERVAL_MIN || rate.interval > RATE_INTERVAL_MAX)
                config_bad_value(c, a, "a time span from 10ms to 1d behind the \"/\"");
        else
                *(SourceRate *) field = rate;

        return 0;
}

static const char *const proxy_protocol_names[] = {
        [PROXY_PROTOCOL_NO] = "no",
        [PROXY_PROTOCOL_OPTIONAL] = "optional",
        [PROXY_PROTOCOL_REQUIRE] = "require",
        NULL,
};

static const char *const inspect_names[] = { [false] = "yes", [true] = "no", NULL };

static const ConfigKey listener_config_keys[] = {
        { SECTION_FDPASS, "HeadTimeoutSec",      config_parse_timespan, VALUE(head_timeout_usec) },
        { SECTION_FDPASS, "Inspect",             config_parse_choice, VALUE(is_unread), .choices = inspect_names },
        { SECTION_FDPASS, "MaxClientsPerSource", config_parse_unsigned, VALUE(max_clients_per_source),
          .max = UINT_MAX },
        { SECTION_FDPASS, "MaxConnectionsPerSource", config_parse_unsigned, VALUE(max_connections_per_source),
          .max = UINT_MAX },
        { SECTION_FDPASS, "MaxHeadSize",         config_parse_size, VALUE(max_head_size), .min = 1024, .max = 65536 },
        { SECTION_FDPASS, "ProxyProtocol",       config_parse_choice, VALUE(proxy_protocol),
          .choices = proxy_protocol_names },
        { SECTION_FDPASS, "RateLimitPerSource",  listener_config_parse_rate, VALUE(source_rate) },
        { SECTION_FDPASS, "SilentTimeoutSec",    config_parse_timespan, VALUE(silent_timeout_usec) },
        { SECTION_FDPASS, "TrustedProxies",      listener_config_parse_proxies, OBJECT(trusted_proxies),
          .is_list = true },

        { SECTION_SOCKET, "FileDescriptorName", listener_config_parse_name, OBJECT(name) },
};

static const ListenerConfig listener_config_defaults = {
        .proxy_protocol = PROXY_PROTOCOL_NO,
        .head_timeout_usec = 5 * USEC_PER_SEC,
        .silent_timeout_usec = 2 * USEC_PER_SEC,
        .max_head_size = 16384,
};

const ConfigKind config_kind_listener = {
        .name = "the unit of a public socket, such as fdpass.socket",
        .keys = listener_config_keys,
        .n_keys = ELEMENTSOF(listener_config_keys),
        .defaults = &listener_config_defaults,
};

ListenerConfig listener_config_default(void) {
        return listener_config_defaults;
}

int listener_config_read(ConfigContext *c, ListenerConfig *ret) {
        _cleanup_(listener_config_done) ListenerConfig listener = listener_config_defaults;
        int r;

        r = config_table_apply(&config_kind_listener, c, &listener);
        if (r < 0)
                return r;

        if (listener.proxy_protocol != PROXY_PROTOCOL_NO && listener.n_trusted_proxies == 0)
                config_error(c, config_last(c->unit, SECTION_FDPASS, "ProxyProtocol"),
                             "ProxyProtocol= needs TrustedProxies=, because no PROXY header is believed without it.");

        if (listener.max_connections_per_source > 0) {
                r = connections_need_set(&listener.need, c->unit, "MaxConnectionsPerSource");
                if (r < 0)
                        return r;
        }

        listener.stamp = c->unit->stamp;
        listener.unit = strdup(c->unit->id);
        if (!listener.unit)
                return -ENOMEM;

        /* systemd names a socket after its unit (systemd.socket(5), FileDescriptorName=). */
        if (!listener.name) {
                listener.name = strdup(c->unit->id);
                if (!listener.name)
                        return -ENOMEM;
        }

        *ret = listener;
        listener = (ListenerConfig){};
        return 0;
}
