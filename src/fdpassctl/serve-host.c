/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/serve-host.h"

#include <arpa/inet.h>
#include <strings.h>
#include <unistd.h>

static bool serve_is_address(const char *s) {
        struct in_addr in;

        /* probe_name_set_authority() lets nothing but an IPv6 address stand in brackets. */
        return s[0] == '[' || inet_pton(AF_INET, s, &in) == 1;
}

static bool serve_is_hostname(const char *s) {
        char name[PROBE_NAME_MAX + 1] = {};

        return gethostname(name, sizeof(name) - 1) >= 0 && name[0] != '\0' && strcasecmp(name, s) == 0;
}

bool serve_host_is_ours(const ProbeName *host, const ServeNames *names) {
        if (host->n == 0 || streq(host->text, "localhost") || serve_is_address(host->text) || serve_is_hostname(host->text))
                return true;

        for (size_t i = 0; i < names->n; i++)
                if (strcasecmp(names->names[i], host->text) == 0)
                        return true;

        return false;
}
