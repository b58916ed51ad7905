/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/metrics-host.h"

#include <arpa/inet.h>
#include <strings.h>
#include <unistd.h>

static bool metrics_host_is_address(const char *s) {
        struct in_addr in;

        /* In brackets, probe_name_set_authority() accepts an IPv6 address only. */
        return s[0] == '[' || inet_pton(AF_INET, s, &in) == 1;
}

static bool metrics_host_is_hostname(const char *s) {
        char name[PROBE_NAME_MAX + 1] = {};

        return gethostname(name, sizeof(name) - 1) >= 0 && name[0] != '\0' && strcasecmp(name, s) == 0;
}

bool metrics_host_is_ours(const ProbeName *host, const MetricsNames *names) {
        if (host->n == 0 || streq(host->text, "localhost") || metrics_host_is_address(host->text) ||
            metrics_host_is_hostname(host->text))
                return true;

        for (size_t i = 0; i < names->n; i++)
                if (strcasecmp(names->names[i], host->text) == 0)
                        return true;

        return false;
}
