/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The types of the configuration (config.h), which the files that read it share. */

#include <stddef.h>
#include <stdint.h>

#include "basic/macro.h"
#include "basic/time.h"

struct fdpass_flusher;

/* The severity of a finding about a unit. This folder logs nothing. The caller shows the findings. */
typedef enum ConfigSeverity {
        CONFIG_WARNING, /* the line or the unit was ignored, and everything else is used */
        CONFIG_ERROR,   /* the unit declares no usable route */
        CONFIG_LINT,    /* the unit is used as it is, but probably not as intended; from config_check() only */
        CONFIG_NOTE,    /* the unit is valid, but could be safer; from config_check() only */
} ConfigSeverity;

/*
 * Called once for each finding. @unit is the name of the unit, NULL for a directory of the load path. @path is the
 * file, below the root directory, NULL if the finding is about no file. @line is the line, from 1, 0 if it is about no
 * single line. @message is one sentence for an administrator, which follows the other three.
 */
typedef void (*ConfigReport)(void *userdata, ConfigSeverity severity, const char *unit, const char *path,
                             unsigned line, const char *message);

/* The form of a handoff, from the kind of the worker's Listen…= line. */
typedef enum Transport {
        TRANSPORT_STREAM,    /* ListenStream=: one byte 0x00 and the fd */
        TRANSPORT_SEQPACKET, /* ListenSequentialPacket=: a message with metadata */
} Transport;

typedef enum LogHandoffs {
        LOG_HANDOFFS_NO,       /* changes only: a worker unreachable, a queue full */
        LOG_HANDOFFS_FAILURES, /* also every client that no worker took */
        LOG_HANDOFFS_YES,      /* also every client that a worker took */
} LogHandoffs;

/* Protocol= as a set has the bit 1 << ProbeProtocol of each protocol. This bit is for a client that sends nothing. */
#define PROTOCOL_SILENT (1U << 31)

/* "any silent": all protocols, also those that are not known, and silent clients. "any" alone is 0, as without the key. */
#define PROTOCOL_ANY \
        (1U << PROBE_UNKNOWN | 1U << PROBE_HTTP | 1U << PROBE_HTTP2 | 1U << PROBE_TLS | 1U << PROBE_SSH)

/* Header=Name: glob */
typedef struct HeaderMatch {
        char *name; /* in lower case; owned */
        char *glob; /* pattern (fnmatch(3)) for the trimmed value, in lower case if http_field_is_list(name); owned */
} HeaderMatch;

/* Source=192.0.2.0/24, TrustedProxies=unix */
typedef struct AddressRange {
        int family;          /* AF_INET, AF_INET6, or AF_UNIX for all clients of that family */
        uint8_t address[16]; /* in network byte order; 4 bytes are used for AF_INET */
        unsigned n_bits;     /* length of the network prefix, in bits */
} AddressRange;

/* Prefix= */
typedef struct BytesMatch {
        uint8_t *p; /* owned */
        size_t n;   /* length in bytes, at least 1 */
} BytesMatch;

/* TLS= */
typedef enum TlsMatch {
        TLS_MATCH_ANY,
        TLS_MATCH_NO,  /* only clients whose TLS was not taken off before, those that speak TLS themselves included */
        TLS_MATCH_YES, /* only clients whose TLS was taken off */
} TlsMatch;

/*
 * The clients that a route takes. Every key that is set must match. The values of a key are alternatives; those of
 * Header= only if they have the same name. Lists of strings are NULL-terminated. A list is NULL if its key is not set.
 * Lists are sorted, so that equal sets are equal lists. Lists of strings have no duplicates.
 */
typedef struct RouteMatch {
        int priority;         /* RoutePriority= */
        char **listeners;     /* Listener= */
        unsigned protocols;   /* Protocol=, a set; 0: any */
        char **hosts;         /* Host=, in the form of ProbeName; "*.example.org" matches all names below it */
        char **paths;         /* Path=, without a slash at the end; "/" matches every path */
        char **methods;       /* Method= */
        HeaderMatch *headers; /* Header=, sorted by name */
        size_t n_headers;
        char **alpns;         /* ALPN= */
        AddressRange *sources; /* Source= */
        size_t n_sources;
        BytesMatch *prefixes; /* Prefix= */
        size_t n_prefixes;
        TlsMatch tls;         /* TLS= */
        bool allows_other_host; /* HostMismatch=allow: Host may be another name than that of the TLS handshake */
        char *name;           /* InternalName=: only clients that a worker hands back for this name; NULL: not set */
} RouteMatch;

/* Receipt= */
typedef enum ReceiptKind {
        RECEIPT_BY_KERNEL, /* the kernel reports that the worker received the message */
        RECEIPT_BY_ACK,    /* the worker answers that it begins with the client */
} ReceiptKind;

/* Balance= */
typedef enum Balance {
        BALANCE_LEAST_PENDING,
        BALANCE_LEAST_CONNECTIONS,
        BALANCE_ROUND_ROBIN,
        BALANCE_SOURCE_HASH,
} Balance;

/* Fallback= */
typedef enum Fallback {
        FALLBACK_REFUSE, /* answer in the client's protocol */
        FALLBACK_CLOSE,  /* close without an answer */
        FALLBACK_ROUTE,  /* pass the client to another route */
} Fallback;

/* The place of a key that needs the kernel's reports about connections (fdpass-connections.socket). */
typedef struct ConnectionsNeed {
        const char *key; /* NULL: there is none. The string is static */
        char *path;      /* file, below the root directory; owned */
        unsigned line;   /* from 1 */
} ConnectionsNeed;

/* The route of one worker. It owns all strings. */
typedef struct RouteConfig {
        char *unit;                 /* name of the unit: "chat.socket" */
        char *path;                 /* main file of the unit, below the root directory */
        uint64_t stamp;             /* Unit.stamp */
        RouteMatch match;

        char *worker;               /* absolute path of the worker's socket; "": none, see @redirects */
        Transport transport;       /* form of a handoff; only a first guess if @transport_is_open */
        bool transport_is_open;          /* the unit sets Worker=, so the broker finds the form by connecting */

        bool metadata;              /* Metadata=, for the form that carries it */
        bool hands_back;            /* HandsBack=: the worker is told its scope */
        ReceiptKind receipt;        /* Receipt= */
        Balance balance;            /* Balance=; the first route of a pool decides */
        unsigned weight;            /* Weight=, at least 1 */
        bool backup;                /* Backup= */
        Fallback fallback;          /* Fallback= */
        char *failure_route;        /* name of the other route's unit; NULL unless FALLBACK_ROUTE */

        /* Flusher= and its keys: NULL or 0 if no flusher is set. */
        char *flusher;              /* name of the flusher; NULL: the worker writes the whole response */
        char *flusher_argument;     /* text after the name; "": none */
        char *flusher_path;         /* file of the Flusher= line */
        unsigned flusher_line;      /* number of the Flusher= line, from 1 */
        const struct fdpass_flusher *provider; /* the flusher; NULL before config_load_flushers() */
        void *flusher_handle;       /* shared object of @provider (dlopen(3)); NULL: it is built in */
        unsigned response_status;   /* ResponseStatus= */
        char *response_reason;      /* phrase of @response_status */
        char *response_fields;      /* Server and ResponseHeader=, as lines with CR LF */
        bool redirects;             /* Flusher=redirect: there is no worker, and @worker is "" */

        unsigned max_connections;   /* MaxConnections=; 0: no limit */
        unsigned max_pending;       /* MaxPending=, at least 1 */
        unsigned max_queued;        /* MaxQueued=; 0: no client waits in a queue */
        usec_t queue_timeout_usec;  /* QueueTimeoutSec=; USEC_INFINITY: no limit */
        bool lint_sandbox;          /* LintSandbox= */
        ConnectionsNeed need;       /* key that needs the kernel's reports */
} RouteConfig;

/* ProxyProtocol= */
typedef enum ProxyProtocol {
        PROXY_PROTOCOL_NO,       /* clients with a PROXY header are refused */
        PROXY_PROTOCOL_OPTIONAL, /* clients from a trusted address may have a header */
        PROXY_PROTOCOL_REQUIRE,  /* only clients from a trusted address with a header are accepted */
} ProxyProtocol;

/* A number of new connections in an interval: RateLimitPerSource= */
typedef struct SourceRate {
        unsigned n;      /* 0: no limit */
        usec_t interval; /* µs */
} SourceRate;

/* The settings of one listener, from the unit of its public socket. */
typedef struct ListenerConfig {
        char *unit;                      /* name of the unit: "fdpass.socket" */
        char *name;                      /* FileDescriptorName= */
        uint64_t stamp;                  /* Unit.stamp; 0: there is no unit */
        bool is_enabled;                 /* fdpass.service wants or requires the unit, by a link */
        bool is_unread;                  /* Inspect=no: no first byte is read, except of a PROXY header */
        ProxyProtocol proxy_protocol;    /* ProxyProtocol= */
        AddressRange *trusted_proxies;   /* TrustedProxies= */
        size_t n_trusted_proxies;
        usec_t head_timeout_usec;        /* HeadTimeoutSec= */
        usec_t silent_timeout_usec;      /* SilentTimeoutSec= */
        unsigned max_head_size;          /* MaxHeadSize=, bytes */
        unsigned max_clients_per_source; /* MaxClientsPerSource=; 0: the broker chooses */
        unsigned max_connections_per_source; /* MaxConnectionsPerSource=; 0: no limit */
        SourceRate source_rate;          /* RateLimitPerSource= */
        ConnectionsNeed need;            /* key that needs the kernel's reports */
} ListenerConfig;

/* The broker's own settings, from fdpass.service. */
typedef struct BrokerConfig {
        LogHandoffs log_handoffs; /* LogHandoffs= */
        unsigned max_clients;     /* MaxClients=; 0: as many as RLIMIT_NOFILE allows */
        usec_t park_timeout_usec; /* ParkTimeoutSec= */
        unsigned max_parked;      /* MaxParked=; 0: half of all clients */
        usec_t exit_idle_usec;    /* ExitIdleTimeSec=; USEC_INFINITY: never */
        bool auto_reload;         /* AutoReload= */
        bool log_connections;     /* LogConnections= */
        unsigned max_tracked;     /* MaxTrackedConnections= */
        ConnectionsNeed need;     /* key that needs the kernel's reports */
        uint64_t stamp;           /* Unit.stamp; 0: there is no unit */
} BrokerConfig;

typedef struct Config {
        BrokerConfig broker;
        RouteConfig *routes;             /* sorted by the names of their units */
        size_t n_routes;
        ListenerConfig *listeners;       /* listeners whose units were found */
        size_t n_listeners;
        ListenerConfig listener_default; /* settings of all other listeners */
        unsigned n_errors;               /* number of CONFIG_ERRORs that were reported */
} Config;

/*
 * Called for each line that is in effect. @section is without its brackets. @path and @line are its place; NULL and 0
 * for a default.
 */
typedef void (*ConfigEmit)(void *userdata, const char *section, const char *key, const char *value, const char *path,
                           unsigned line);
