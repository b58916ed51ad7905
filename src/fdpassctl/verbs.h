/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The verbs of fdpassctl. Each gets its own name as argv[0] and prints its own errors to stderr. Each returns the exit
 * status, which is not 0 if the answer is no, or a negative errno.
 */

/* Ask the broker */
int verb_status(int argc, char *argv[]);
int verb_list_listeners(int argc, char *argv[]);
int verb_list_routes(int argc, char *argv[]);
int verb_list_workers(int argc, char *argv[]);
int verb_list_clients(int argc, char *argv[]);
int verb_list_connections(int argc, char *argv[]);
int verb_monitor(int argc, char *argv[]);
int verb_top(int argc, char *argv[]);
int verb_metrics(int argc, char *argv[]);
int verb_graph(int argc, char *argv[]);
int verb_health(int argc, char *argv[]);
int verb_wait(int argc, char *argv[]);

/* Change the broker's state */
int verb_drain(int argc, char *argv[]);
int verb_undrain(int argc, char *argv[]);
int verb_reload(int argc, char *argv[]);
int verb_log_level(int argc, char *argv[]);

/* Write and remove units */
int verb_add(int argc, char *argv[]);
int verb_remove(int argc, char *argv[]);

/* Read units or files only */
int verb_verify(int argc, char *argv[]);
int verb_cat(int argc, char *argv[]);
int verb_test(int argc, char *argv[]);
int verb_import(int argc, char *argv[]);
