/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/sslh-setting.h"

#include <arpa/inet.h>
#include <netdb.h>

#include "basic/parse.h"
#include "fdpassctl/libconfig.h"

const char *sslh_text(const LibconfigValue *group, const char *name) {
        const LibconfigValue *v = libconfig_get(group, name);

        return v && v->type == LIBCONFIG_STRING ? v->text : NULL;
}

bool sslh_is_on(const LibconfigValue *group, const char *name) {
        const LibconfigValue *v = libconfig_get(group, name);

        return v && v->type == LIBCONFIG_BOOL && v->number;
}

bool sslh_port(const LibconfigValue *group, unsigned *ret) {
        const LibconfigValue *v = libconfig_get(group, "port");
        const struct servent *found;

        if (v && v->type == LIBCONFIG_NUMBER) {
                *ret = v->number > 0 && v->number <= UINT16_MAX ? (unsigned) v->number : 0;
                return *ret > 0;
        }

        if (!v || v->type != LIBCONFIG_STRING)
                return false;
        if (parse_unsigned(v->text, ret) >= 0)
                return *ret > 0 && *ret <= UINT16_MAX;

        found = getservbyname(v->text, "tcp");
        *ret = found ? ntohs((uint16_t) found->s_port) : 0;
        return found;
}

bool sslh_is_word(const LibconfigValue *v) {
        if (v->type != LIBCONFIG_STRING || !*v->text)
                return false;

        for (const char *p = v->text; *p; p++)
                if (*p <= ' ' || *p > '~' || *p == '\\')
                        return false;

        return true;
}

const char *sslh_protocol(const char *name, bool is_on_timeout) {
        static const struct {
                const char *name, *value, *value_with_silent;
        } names[] = {
                { "ssh", "ssh", "ssh silent" },       { "tls", "tls", "tls silent" }, { "ssl", "tls", "tls silent" },
                { "http", "http", "http silent" },    { "timeout", "silent", "silent" },
                { "anyprot", "", "" },
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (streq(names[i].name, name))
                        return is_on_timeout ? names[i].value_with_silent : names[i].value;

        return NULL;
}
