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

/* What is wrong with a unit, or odd. Nothing here is logged: the caller decides where it goes. */
typedef enum ConfigSeverity {
        CONFIG_WARNING, /* the line, or the unit, was ignored and the rest stands */
        CONFIG_ERROR,   /* the unit declares no usable route */
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
        WORKER_STREAM, /* ListenStream=: one byte 0x00 and the fd */
} WorkerForm;

typedef enum LogHandoffs {
        LOG_HANDOFFS_NO,       /* edges only: worker gone, queue full, … */
        LOG_HANDOFFS_FAILURES, /* and every client that got no worker */
        LOG_HANDOFFS_YES,      /* and every client that got one */
} LogHandoffs;

/* One worker's route. */
typedef struct RouteConfig {
        char *unit;       /* "chat.socket" */
        char *path;       /* the unit's main file, below the root directory */
        char **listeners; /* Listener=, NULL-terminated; NULL: every listener */
        int priority;     /* Priority= */

        char *worker;    /* absolute path of the worker's socket */
        WorkerForm form;

        unsigned max_unclaimed;     /* MaxUnclaimed=, at least 1 */
        unsigned queue_max;         /* QueueMax=, 0: no client waits */
        usec_t queue_timeout_usec;  /* QueueTimeoutSec= */
} RouteConfig;

/* The broker's own settings, from fdpass.service. */
typedef struct BrokerConfig {
        LogHandoffs log_handoffs;
        unsigned max_clients; /* MaxClients=, 0: as many as RLIMIT_NOFILE allows */
} BrokerConfig;

typedef struct Config {
        BrokerConfig broker;
        RouteConfig *routes; /* sorted by unit name */
        size_t n_routes;
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

Config *config_free(Config *config);
DEFINE_CLEANUP(Config *, config_free);
