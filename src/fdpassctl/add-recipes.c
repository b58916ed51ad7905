/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/add-recipes.h"

#include <stdio.h>

#include "fdpassctl/add-examples.h"

/* The drop-ins that every server under fdpass-preload has (units/examples/meson.build). */
#define PRELOAD(unit)                                                  \
        { "preload.conf", unit ".d/10-fdpass-preload.conf", true }, \
        { "no-network.conf", unit ".d/20-no-network.conf", true }

#define FILE_OF(example, to) { example, to, false }

static const AddRecipe add_recipe_program = {
        .stem = "receiver@%i",
        .is_strict = true,
        .files = { FILE_OF("python/python-api.socket", "*.socket"),
                   FILE_OF("receivers/receiver@.service", "*.service") },
};

static const AddRecipe add_recipe_stream = {
        .stem = "receiver@%i",
        .is_strict = true,
        .files = { FILE_OF("receivers/receiver@.socket", "*.socket"),
                   FILE_OF("receivers/receiver@.service", "*.service") },
};

static const AddRecipe add_recipe_hand_back = {
        .stem = "python-api",
        .files = { FILE_OF("python/python-api.socket", "*.socket"), FILE_OF("python/python-api.service", "*.service") },
};

static const AddRecipe add_recipe_inetd = {
        .stem = "hello-script",
        .files = { FILE_OF("script/hello-script.socket", "*.socket"),
                   FILE_OF("script/hello-script.service", "*.service") },
};

static const AddRecipe add_recipe_proxy = {
        .stem = "app",
        .files = { FILE_OF("proxy/app.socket", "*.socket"), FILE_OF("proxy/app.service", "*.service") },
};

/* Nothing is started, so a target has the route. */
static const AddRecipe add_recipe_target = {
        .stem = "app",
        .files = { FILE_OF("proxy/app.socket", "*.target") },
};

static const AddRecipe add_recipe_servers[] = {
        { "nginx", "nginx", "nginx.service", "Protocol", false,
          { FILE_OF("nginx/nginx.socket", "*.socket"),
            FILE_OF("nginx/nginx.service.d/50-fdpass.conf", "nginx.service.d/50-fdpass.conf"),
            PRELOAD("nginx.service") } },
        { "apache2", "apache2", "apache2.service", "Protocol", false,
          { FILE_OF("apache2/apache2.socket", "*.socket"),
            FILE_OF("apache2/apache2.service.d/50-fdpass.conf", "apache2.service.d/50-fdpass.conf"),
            PRELOAD("apache2.service") } },
        { "gunicorn", "gunicorn", NULL, "Protocol", false,
          { FILE_OF("gunicorn/gunicorn.socket", "*.socket"), FILE_OF("gunicorn/gunicorn.service", "*.service"),
            PRELOAD("*.service") } },
        { "uvicorn", "uvicorn", NULL, "Protocol", false,
          { FILE_OF("uvicorn/uvicorn.socket", "*.socket"), FILE_OF("uvicorn/uvicorn.service", "*.service"),
            PRELOAD("*.service") } },
        { "node", "node", NULL, "Protocol", false,
          { FILE_OF("node/node.socket", "*.socket"), FILE_OF("node/node.service", "*.service"),
            PRELOAD("*.service") } },
        { "java", "java", NULL, "Protocol", false,
          { FILE_OF("java/java.socket", "*.socket"), FILE_OF("java/java.service", "*.service"),
            PRELOAD("*.service") } },
        { "sshd", "fdpass-sshd", NULL, "Protocol", false,
          { FILE_OF("sshd/fdpass-sshd.socket", "*.socket"),
            { "sshd/fdpass-sshd.service", "*.service", true },
            PRELOAD("*.service"),
            { "sshd/fdpass-sshd.service.d/50-login.conf", "*.service.d/50-login.conf", true } } },
        { "git-daemon", "git-daemon", NULL, "Prefix", false,
          { FILE_OF("git-daemon/git-daemon.socket", "*.socket"), FILE_OF("git-daemon/git-daemon.service", "*.service"),
            PRELOAD("*.service") } },
};

static const AddRecipe *add_recipe_find_server(const char *server) {
        for (size_t i = 0; i < ELEMENTSOF(add_recipe_servers); i++)
                if (streq(add_recipe_servers[i].server, server))
                        return &add_recipe_servers[i];

        fprintf(stderr, "--server=%s: must be", server);
        for (size_t i = 0; i < ELEMENTSOF(add_recipe_servers); i++)
                fprintf(stderr, "%s %s", i == 0 ? "" : i + 1 < ELEMENTSOF(add_recipe_servers) ? "," : " or",
                        add_recipe_servers[i].server);
        fprintf(stderr, ".\n");
        return NULL;
}

/* Returns false after a message about an option that belongs to another kind. */
static bool add_recipe_check_option(bool is_given, bool is_of_kind, const char *option, const char *kind) {
        if (!is_given || is_of_kind)
                return true;

        fprintf(stderr, "%s is only for %s.\n", option, kind);
        return false;
}

static bool add_recipe_check_options(const AddPlan *plan) {
        bool is_proxy = plan->proxy.n_items > 0;
        bool is_program = plan->program && !plan->inetd && !plan->server;

        return add_recipe_check_option(plan->http, is_proxy, "--http", "--proxy=") &&
               add_recipe_check_option(plan->proxy_protocol, is_proxy, "--proxy-protocol=", "--proxy=") &&
               add_recipe_check_option(plan->port, plan->server, "--port=", "--server=") &&
               add_recipe_check_option(plan->stream, is_program, "--stream", "a program that takes clients itself") &&
               add_recipe_check_option(plan->hand_back, is_program, "--hand-back",
                                       "a program that takes clients itself") &&
               add_recipe_check_option(plan->hand_back, !plan->stream, "--hand-back", "a worker without --stream");
}

/* Returns how many ways of serving were asked for. A program alone is one, and so is one for --inetd or --server=. */
static int add_recipe_count(const AddPlan *plan) {
        int n = (plan->proxy.n_items > 0) + !!plan->server + plan->inetd + plan->has_target;

        return n == 0 || plan->proxy.n_items > 0 || plan->has_target ? n + !!plan->program : n;
}

const AddRecipe *add_recipe_find(const AddPlan *plan) {
        if (plan->inetd && !plan->program) {
                fprintf(stderr, "--inetd needs a program: fdpassctl add %s ... --inetd -- PROGRAM ARGUMENT...\n",
                        plan->name);
                return NULL;
        }

        if (add_recipe_count(plan) != 1) {
                fprintf(stderr, "add needs one of these, to know what serves the clients: -- PROGRAM ARGUMENT..., "
                                "--inetd -- PROGRAM ARGUMENT..., --proxy=ADDRESS, --server=SERVER, --worker=PATH or "
                                "--flusher=redirect.\n");
                return NULL;
        }

        if (!add_recipe_check_options(plan))
                return NULL;

        if (plan->server)
                return add_recipe_find_server(plan->server);

        return plan->proxy.n_items > 0 ? &add_recipe_proxy
               : plan->has_target      ? &add_recipe_target
               : plan->inetd           ? &add_recipe_inetd
               : plan->stream          ? &add_recipe_stream
               : plan->hand_back       ? &add_recipe_hand_back
                                       : &add_recipe_program;
}

const char *add_example_text(const char *name) {
        for (const AddExample *e = add_examples; e->name; e++)
                if (streq(e->name, name))
                        return e->text;

        return "";
}
