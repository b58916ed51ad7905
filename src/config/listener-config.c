/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/listener-config.h"

#include <limits.h>

#include "basic/parse.h"
#include "config/match-config.h"

/* A listener while it is being read. */
typedef struct Draft {
        ListenerConfig listener;
        AddressList trusted_proxies;
} Draft;

static void draft_done(Draft *d) {
        address_list_clear(&d->trusted_proxies);
        listener_config_done(&d->listener);
}

void listener_config_done(ListenerConfig *listener) {
        free(listener->unit);
        free(listener->name);
        free(listener->trusted_proxies);
        *listener = (ListenerConfig){};
}

static int parse_proxy_protocol(ConfigContext *c, _unused_ const ConfigKey *key, const Assignment *a, void *field,
                                const void *fallback) {
        ProxyProtocol *v = field;
        bool b;

        if (!*a->value)
                *v = *(const ProxyProtocol *) fallback;
        else if (streq(a->value, "optional"))
                *v = PROXY_PROTOCOL_OPTIONAL;
        else if (streq(a->value, "require"))
                *v = PROXY_PROTOCOL_REQUIRE;
        else if (parse_bool(a->value, &b) >= 0 && !b)
                *v = PROXY_PROTOCOL_NO;
        else
                config_bad_value(c, a, "\"no\", \"optional\" or \"require\"");

        return 0;
}

/* The name of the socket, as the broker gets to know it. */
static int parse_fd_name(ConfigContext *c, _unused_ const ConfigKey *key, const Assignment *a, void *field,
                         _unused_ const void *fallback) {
        char value[VALUE_SIZE];

        return config_expand(c, a, a->value, value) ? config_set_string(field, value) : 0;
}

static const ConfigKey listener_keys[] = {
        { SECTION_FDPASS, "HeadTimeoutSec",      config_parse_timespan,  offsetof(Draft, listener.head_timeout_usec), 0, 0, false, NULL },
        { SECTION_FDPASS, "MaxClientsPerSource", config_parse_unsigned,  offsetof(Draft, listener.max_clients_per_source), 0, UINT_MAX, false, NULL },
        { SECTION_FDPASS, "MaxHeadSize",         config_parse_size,      offsetof(Draft, listener.max_head_size), 1024, 65536, false, NULL },
        { SECTION_FDPASS, "ProxyProtocol",       parse_proxy_protocol,   offsetof(Draft, listener.proxy_protocol), 0, 0, false, "no" },
        { SECTION_FDPASS, "SilentTimeoutSec",    config_parse_timespan,  offsetof(Draft, listener.silent_timeout_usec), 0, 0, false, NULL },
        { SECTION_FDPASS, "TrustedProxies",      config_parse_addresses, offsetof(Draft, trusted_proxies), 0, 0, true, NULL },

        { SECTION_SOCKET, "FileDescriptorName",  parse_fd_name,          offsetof(Draft, listener.name), 0, 0, false, NULL },
};

ConfigKeys listener_config_keys(void) {
        return (ConfigKeys){ listener_keys, ELEMENTSOF(listener_keys) };
}

ListenerConfig listener_config_default(void) {
        return (ListenerConfig){
                .proxy_protocol = PROXY_PROTOCOL_NO,
                .head_timeout_usec = 5 * USEC_PER_SEC,
                .silent_timeout_usec = 2 * USEC_PER_SEC,
                .max_head_size = 16384,
        };
}

int listener_config_read(Reporter *reporter, const Unit *unit, const char *hostname, ListenerConfig *ret) {
        const ConfigKeys keys = listener_config_keys();
        const Draft defaults = { .listener = listener_config_default() };
        _cleanup_(draft_done) Draft d = defaults;
        ConfigContext c = {
                .reporter = reporter,
                .unit = unit,
                .specifiers = { .unit = &unit->name, .hostname = hostname },
        };
        int r;

        r = config_table_apply(&keys, &c, &d, &defaults);
        if (r < 0)
                return r;

        if (d.listener.proxy_protocol != PROXY_PROTOCOL_NO && d.trusted_proxies.n_items == 0)
                config_error(&c, config_last(unit, SECTION_FDPASS, "ProxyProtocol"),
                             "ProxyProtocol= is of no use without TrustedProxies=: nobody's header would be believed.");

        d.listener.unit = strdup(unit->id);
        if (!d.listener.unit)
                return -ENOMEM;

        /* systemd names a socket after its unit (systemd.socket(5), FileDescriptorName=). */
        if (!d.listener.name) {
                d.listener.name = strdup(unit->id);
                if (!d.listener.name)
                        return -ENOMEM;
        }

        d.listener.trusted_proxies = TAKE_PTR(d.trusted_proxies.items);
        d.listener.n_trusted_proxies = d.trusted_proxies.n_items;
        d.trusted_proxies.n_items = 0;

        *ret = d.listener;
        d.listener = (ListenerConfig){};
        return 0;
}

void listener_config_describe(const Unit *unit, const char *hostname, ConfigEmit emit, void *userdata) {
        const ConfigKeys keys = listener_config_keys();
        const Draft defaults = { .listener = listener_config_default() };
        ConfigContext c = { .unit = unit, .specifiers = { .unit = &unit->name, .hostname = hostname } };

        config_table_describe(&keys, &c, &defaults, emit, userdata);
}
