/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/add-proxy.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/un.h>

#include "basic/parse.h"
#include "fdpassctl/add-command.h"

#define PROXY_PATH FDPASS_LIBEXEC_DIR "/fdpass-proxy"

/* Kinds of addresses, by what the sandbox has to allow. */
typedef enum AddProxyKind {
        PROXY_BAD,
        PROXY_PATH_NAME, /* AF_UNIX, a path */
        PROXY_ABSTRACT,  /* AF_UNIX, in the network namespace */
        PROXY_VSOCK,
        PROXY_LOCAL,     /* TCP to this host */
        PROXY_IP,        /* TCP to an address */
        PROXY_HOST,      /* TCP to a name */
} AddProxyKind;

static bool add_proxy_is_port(const char *s) {
        unsigned port;

        return parse_unsigned(s, &port) >= 0 && port > 0 && port <= UINT16_MAX;
}

static bool add_proxy_is_vsock(const char *s) {
        char cid[16];
        const char *colon = strchr(s, ':');
        unsigned n;

        if (!colon || (size_t) (colon - s) >= sizeof(cid))
                return false;

        memcpy(cid, s, (size_t) (colon - s));
        cid[colon - s] = '\0';
        return parse_unsigned(cid, &n) >= 0 && parse_unsigned(colon + 1, &n) >= 0;
}

/* Names of hosts have letters, digits, dashes, underscores and dots (RFC 1123, section 2.1). */
static bool add_proxy_is_name(const char *s) {
        for (const char *p = s; *p; p++)
                if (!(*p >= 'a' && *p <= 'z') && !(*p >= 'A' && *p <= 'Z') && !(*p >= '0' && *p <= '9') &&
                    !strchr("-_.", *p))
                        return false;

        return *s && *s != '-' && *s != '.';
}

/* Writes the host of "HOST", "HOST:PORT", "[IPV6]" or "[IPV6]:PORT". Returns false if it has none of these forms. */
static bool add_proxy_split(const char *address, char host[static 256]) {
        bool is_v6 = address[0] == '[';
        size_t n = strcspn(address + is_v6, is_v6 ? "]" : ":");
        const char *rest = address + is_v6 + n;

        if (n == 0 || n > 255 || (is_v6 && *rest != ']'))
                return false;

        memcpy(host, address + is_v6, n);
        host[n] = '\0';
        rest += is_v6;
        return !*rest || (*rest == ':' && add_proxy_is_port(rest + 1));
}

static AddProxyKind add_proxy_tcp_kind(const char *address, char host[static 256]) {
        uint8_t ip[16];

        if (!add_proxy_split(address, host))
                return PROXY_BAD;
        if (inet_pton(AF_INET, host, ip) == 1)
                return ip[0] == 127 ? PROXY_LOCAL : PROXY_IP;
        if (inet_pton(AF_INET6, host, ip) == 1)
                return address[0] != '[' ? PROXY_BAD : streq(host, "::1") ? PROXY_LOCAL : PROXY_IP;
        if (address[0] == '[' || !add_proxy_is_name(host))
                return PROXY_BAD;

        return streq(host, "localhost") ? PROXY_LOCAL : PROXY_HOST;
}

static AddProxyKind add_proxy_kind(const char *address, char host[static 256]) {
        const char *rest = startswith(address, "vsock:");

        if (rest)
                return add_proxy_is_vsock(rest) ? PROXY_VSOCK : PROXY_BAD;
        if (address[0] == '/' || address[0] == '@')
                return !address[1] || strlen(address) >= sizeof(((struct sockaddr_un *) NULL)->sun_path) ? PROXY_BAD
                       : address[0] == '/' ? PROXY_PATH_NAME : PROXY_ABSTRACT;

        return add_proxy_tcp_kind(address, host);
}

bool add_proxy_is_address(const char *address) {
        char host[256];

        return add_proxy_kind(address, host) != PROXY_BAD;
}

int add_proxy_check(const char *address) {
        if (add_proxy_is_address(address))
                return 1;

        fprintf(stderr, "--proxy=%s: must be HOST:PORT, [IPV6]:PORT, /PATH, @NAME or vsock:CID:PORT.\n", address);
        return -EINVAL;
}

static char *add_proxy_command(const AddPlan *plan) {
        char *text = NULL;
        size_t n;
        FILE *f = open_memstream(&text, &n);

        if (!f)
                return NULL;

        fprintf(f, "ExecStart=%s --exit-idle-time=5min --retry-time=10s", PROXY_PATH);
        if (plan->http)
                fputs(" --http", f);
        if (plan->proxy_protocol)
                fprintf(f, " --proxy-protocol=%s", plan->proxy_protocol);
        for (size_t i = 0; i < plan->proxy.n_items; i++) {
                fputc(' ', f);
                add_command_write(f, plan->proxy.items[i], /* is_first= */ false);
        }

        if (fclose(f) == 0)
                return text;

        free(text);
        return NULL;
}

/* Allows the network that the addresses need, and no more. */
static void add_proxy_edit_network(const AddPlan *plan, AddEdits *edits) {
        bool has[PROXY_HOST + 1] = {};
        char host[256];

        for (size_t i = 0; i < plan->proxy.n_items; i++) {
                AddProxyKind kind = add_proxy_kind(plan->proxy.items[i], host);

                has[kind] = true;
                if (kind == PROXY_IP)
                        add_edit(edits, ADD_EDIT_AFTER, "IPAddressDeny=any", "IPAddressAllow=%s", host);
        }

        if (has[PROXY_HOST]) {
                add_edit(edits, ADD_EDIT_REPLACE, "IPAddressDeny=any",
                         "# systemd can't allow a host by its name, so there is no IPAddressDeny=.");
                add_edit_drop(edits, "IPAddressAllow=localhost");
        } else if (!has[PROXY_LOCAL])
                add_edit_drop(edits, "IPAddressAllow=localhost");

        if (has[PROXY_VSOCK] && !has[PROXY_LOCAL] && !has[PROXY_IP] && !has[PROXY_HOST])
                add_edit(edits, ADD_EDIT_REPLACE,
                         "RestrictAddressFamilies=", "RestrictAddressFamilies=AF_UNIX AF_VSOCK");
        else if (has[PROXY_VSOCK])
                add_edit(edits, ADD_EDIT_REPLACE, "RestrictAddressFamilies=",
                         "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_VSOCK");
        else if (!has[PROXY_LOCAL] && !has[PROXY_IP] && !has[PROXY_HOST])
                add_edit(edits, ADD_EDIT_REPLACE, "RestrictAddressFamilies=", "%sRestrictAddressFamilies=AF_UNIX",
                         has[PROXY_ABSTRACT] ? "" : "PrivateNetwork=yes\n");
}

void add_proxy_edit(const AddPlan *plan, AddEdits *edits) {
        _cleanup_free_ char *command = add_proxy_command(plan);

        if (!command) {
                edits->error = -ENOMEM;
                return;
        }

        add_edit(edits, ADD_EDIT_REPLACE, "Description=", "Description=Proxy of %s", plan->name);
        add_edit(edits, ADD_EDIT_REPLACE, "ExecStart=", "%s", command);
        add_proxy_edit_network(plan, edits);
        if (plan->http)
                add_edit(edits, ADD_EDIT_AFTER, "DynamicUser=yes", "SupplementaryGroups=fdpass");
}
