/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The configuration: what the [X-FDPass] sections of the installed units say.
 *
 * There is no configuration file. A worker's unit, linked into fdpass.target.wants/ by `systemctl enable`,
 * brings its own route; fdpass.service brings the settings of the broker itself. config_load() reads both
 * from systemd's unit load path with the drop-ins merged as systemd merges them.
 */

#include <stddef.h>
#include <stdint.h>

#include "basic/macro.h"
#include "basic/time.h"

struct fdpass_flusher;

/* What is wrong with a unit, or odd. Nothing here is logged: the caller decides where it goes. */
typedef enum ConfigSeverity {
        CONFIG_WARNING, /* the line, or the unit, was ignored and the rest stands */
        CONFIG_ERROR,   /* the unit declares no usable route */
        CONFIG_NOTE,    /* nothing is wrong, but less is safe than could be: config_lint() only */
} ConfigSeverity;

/*
 * Called once for each finding. @unit is the unit's name, NULL where it is a directory of the load path that
 * can't be read; @path the file, as seen below the root directory, and @line its line (from 1), or NULL and 0
 * where no file, or no single line of it, is to blame. @message is one sentence; it stands behind these.
 */
typedef void (*ConfigReport)(void *userdata, ConfigSeverity severity, const char *unit, const char *path,
                             unsigned line, const char *message);

/* How a worker's socket takes a handoff: its unit says so by the kind of Listen…= line. */
typedef enum WorkerForm {
        WORKER_STREAM,    /* ListenStream=: one byte 0x00 and the fd */
        WORKER_SEQPACKET, /* ListenSequentialPacket=: a message with metadata */
} WorkerForm;

typedef enum LogHandoffs {
        LOG_HANDOFFS_NO,       /* edges only: worker gone, queue full, … */
        LOG_HANDOFFS_FAILURES, /* and every client that got no worker */
        LOG_HANDOFFS_YES,      /* and every client that got one */
} LogHandoffs;

/* Protocol= as a set: bit 1 << ProbeProtocol for each, and this one for a client that says nothing. */
#define PROTOCOL_SILENT (1U << 31)

/* Header=Name: glob */
typedef struct HeaderMatch {
        char *name; /* in lower case */
        char *glob; /* fnmatch(3), on the value without the white space around it */
} HeaderMatch;

/* Source=192.0.2.0/24 */
typedef struct AddressRange {
        int family;          /* AF_INET or AF_INET6 */
        uint8_t address[16]; /* network byte order; 4 bytes of it for AF_INET */
        unsigned n_bits;     /* of the prefix */
} AddressRange;

/* Prefix= */
typedef struct BytesMatch {
        uint8_t *p;
        size_t n; /* at least 1 */
} BytesMatch;

/*
 * Which clients a route takes. Every key that is given has to match; its values are alternatives (of Header=,
 * those with the same name). Lists are NULL-terminated where they consist of strings, and NULL or counted 0
 * where the key is not given. They are sorted and without duplicates, so that equal sets are equal lists.
 */
typedef struct RouteMatch {
        int priority;         /* RoutePriority= */
        char **listeners;     /* Listener= */
        unsigned protocols;   /* Protocol=, 0: any */
        char **hosts;         /* Host=, as the probes write names; "*.example.org" for what is below it */
        char **paths;         /* Path=, without a slash at the end; "/" takes all */
        char **methods;       /* Method= */
        HeaderMatch *headers; /* Header=, sorted by name */
        size_t n_headers;
        char **alpns;         /* ALPN= */
        AddressRange *sources; /* Source= */
        size_t n_sources;
        BytesMatch *prefixes; /* Prefix= */
        size_t n_prefixes;
        char *name;           /* InternalName=: takes nobody but those that a worker hands to this name */
} RouteMatch;

/* Receipt= */
typedef enum ReceiptKind {
        RECEIPT_BY_KERNEL, /* the message was received */
        RECEIPT_BY_ACK,    /* the worker says that it begins with the client */
} ReceiptKind;

/* Balance= */
typedef enum Balance {
        BALANCE_LEAST_PENDING,
        BALANCE_ROUND_ROBIN,
        BALANCE_SOURCE_HASH,
} Balance;

/* Fallback= */
typedef enum Fallback {
        FALLBACK_REFUSE, /* an answer in the client's protocol */
        FALLBACK_CLOSE,  /* none */
        FALLBACK_ROUTE,  /* another route takes the client */
} Fallback;

/* One worker's route. */
typedef struct RouteConfig {
        char *unit;       /* "chat.socket" */
        char *path;       /* the unit's main file, below the root directory */
        RouteMatch match;

        char *worker;    /* absolute path of the worker's socket */
        WorkerForm form;
        bool form_is_open; /* Worker= says only where: connecting tells whether it is another one */

        bool metadata;              /* Metadata=, for the forms that have room for it */
        ReceiptKind receipt;        /* Receipt= */
        Balance balance;            /* Balance=, of the pool's first route */
        unsigned weight;            /* Weight=, at least 1 */
        bool backup;                /* Backup= */
        Fallback fallback;       /* Fallback= */
        char *failure_route;        /* the unit's name, with FALLBACK_ROUTE */

        /* Flusher=, without which (NULL) the worker begins the response itself. */
        char *flusher;              /* its name */
        char *flusher_argument;     /* what is meant for it alone, or "" */
        char *flusher_path;         /* where Flusher= stands */
        unsigned flusher_line;
        const struct fdpass_flusher *provider; /* of this name, by config_load_flushers() */
        void *flusher_handle;       /* owns it; NULL for one that is built in */
        unsigned response_status;   /* ResponseStatus= */
        char *response_reason;
        char *response_fields;      /* Server and ResponseHeader=, as lines with CR LF */

        unsigned max_pending;     /* MaxPending=, at least 1 */
        unsigned max_queued;         /* MaxQueued=, 0: no client waits */
        usec_t queue_timeout_usec;  /* QueueTimeoutSec= */
        bool lint_sandbox;          /* LintSandbox= */
} RouteConfig;

/* ProxyProtocol= */
typedef enum ProxyProtocol {
        PROXY_PROTOCOL_NO,       /* a PROXY header is refused */
        PROXY_PROTOCOL_OPTIONAL, /* it may be there, from a trusted address */
        PROXY_PROTOCOL_REQUIRE,  /* nobody but trusted addresses, and never without it */
} ProxyProtocol;

/* How the clients of one listener are looked at, from the [X-FDPass] section of the public socket's unit. */
typedef struct ListenerConfig {
        char *unit;                      /* "fdpass.socket" */
        char *name;                      /* FileDescriptorName= */
        ProxyProtocol proxy_protocol;    /* ProxyProtocol= */
        AddressRange *trusted_proxies;   /* TrustedProxies= */
        size_t n_trusted_proxies;
        usec_t head_timeout_usec;        /* HeadTimeoutSec= */
        usec_t silent_timeout_usec;      /* SilentTimeoutSec= */
        unsigned max_head_size;          /* MaxHeadSize=, bytes */
        unsigned max_clients_per_source; /* MaxClientsPerSource=, 0: the broker's choice */
} ListenerConfig;

/* The broker's own settings, from fdpass.service. */
typedef struct BrokerConfig {
        LogHandoffs log_handoffs;
        unsigned max_clients;   /* MaxClients=, 0: as many as RLIMIT_NOFILE allows */
        usec_t park_timeout_usec; /* ParkTimeoutSec= */
        unsigned max_parked;    /* MaxParked=, 0: half of all */
        usec_t exit_idle_usec;  /* ExitIdleTimeSec=, USEC_INFINITY: never */
} BrokerConfig;

typedef struct Config {
        BrokerConfig broker;
        RouteConfig *routes; /* sorted by unit name */
        size_t n_routes;
        ListenerConfig *listeners;       /* of the public units that say something */
        size_t n_listeners;
        ListenerConfig listener_default; /* of all others */
        unsigned n_errors; /* how many CONFIG_ERRORs were reported while this was read */
} Config;

/*
 * Reads everything below the directory @root_fd, which stands for "/".
 *
 * What is wrong with a unit goes to @report and costs that unit its route; the rest is loaded all the same,
 * and n_errors says how many there were. Returns 0, or a negative errno where reading itself failed (no
 * memory, an I/O error).
 */
int config_load(int root_fd, ConfigReport report, void *userdata, Config **ret);

/*
 * Finds the flushers of all routes, and loads those that are not built in from @directory; without @load it will do that
 * they are there, and no route is of use to a broker. A route whose flusher is missing or wrong is taken out again, which
 * is reported and counted as by config_load(). Returns 0 or -ENOMEM.
 */
int config_load_flushers(Config *config, const char *directory, bool load, ConfigReport report, void *userdata);

/* True where both have the same flusher, or none, and it is told the same. */
bool route_config_flushes_alike(const RouteConfig *a, const RouteConfig *b);

/*
 * Reports, as warnings, what is no error in the units of @config's routes, but hardly meant: a worker's socket that the
 * broker can't connect to, or everybody can, say. What a worker's service lacks of a sandbox is a note. Returns 0 or a
 * negative errno.
 */
int config_lint(int root_fd, const Config *config, ConfigReport report, void *userdata);

/*
 * One line that is in effect for a unit. @path and @line say where it stands; NULL and 0: nowhere, it is the
 * default. @section is without its brackets.
 */
typedef void (*ConfigEmit)(void *userdata, const char *section, const char *key, const char *value, const char *path,
                           unsigned line);

/* config_describe() */
enum {
        CONFIG_NO_UNIT = 1, /* there is no such unit, or it is masked */
};

/*
 * Says what is in effect for @unit: a worker's, fdpass.service, or, with @is_listener, a public socket's.
 * Lists have a line for each assignment. Values are as written, with their specifiers expanded. Findings are
 * left to config_load(). Returns 0, CONFIG_NO_UNIT, or a negative errno.
 */
int config_describe(int root_fd, const char *unit, bool is_listener, ConfigEmit emit, void *userdata);

Config *config_free(Config *config);
DEFINE_CLEANUP(Config *, config_free);
