/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/httpd-plan.h"

#include <stdio.h>

#include "basic/array.h"
#include "basic/utf8.h"

typedef enum PlanState {
        PLAN_LIVE,
        PLAN_DEAD,    /* earlier lines take all of its paths */
        PLAN_BLOCKED, /* httpd takes these paths, and no unit does */
} PlanState;

typedef struct PlanArea {
        size_t entry;
        HttpdArea *area;
        PlanState state;
} PlanArea;

typedef struct PlanAreas {
        PlanArea *items;
        size_t n_items;
        HttpdConfig *c;
        size_t server;
} PlanAreas;

static void plan_areas_done(PlanAreas *p) {
        free(p->items);
}

void httpd_plan_done(HttpdPlan *p) {
        for (size_t i = 0; i < p->n_items; i++)
                free(p->items[i].path);
        free(p->items);
        *p = (HttpdPlan){};
}

/* Adds the lines of one server, either those in locations, of which httpd prefers the last, or the others. */
static int plan_add_entries(PlanAreas *p, size_t server, bool is_location) {
        for (size_t i = 0; i < p->c->n_entries; i++) {
                size_t at = is_location ? p->c->n_entries - 1 - i : i;
                HttpdEntry *e = &p->c->entries[at];

                for (size_t k = 0; k < e->n_areas && e->server == server && (e->location > 0) == is_location; k++) {
                        if (!ARRAY_GROW(p->items, p->n_items))
                                return -ENOMEM;
                        p->items[p->n_items++] = (PlanArea){
                                .entry = at, .area = &e->areas[k],
                                .state = e->areas[k].worker ? PLAN_LIVE : PLAN_BLOCKED,
                        };
                }
        }

        return 0;
}

/* The order of httpd: locations before other lines. Of the former the server's come last, of the latter first. */
static int plan_collect(PlanAreas *p) {
        int r = plan_add_entries(p, p->server, true);

        if (r >= 0 && p->server > 0)
                r = plan_add_entries(p, 0, true);
        if (r >= 0 && p->server > 0)
                r = plan_add_entries(p, 0, false);

        return r < 0 ? r : plan_add_entries(p, p->server, false);
}

/* Parts of a message: what has no unit, and the place of the other line, if there is one. */
typedef struct PlanReason {
        char unit[HTTPD_PLACE_MAX + 80];
        char place[HTTPD_PLACE_MAX];
} PlanReason;

/*
 * Returns whether to say why the area has no unit: no other reason was given, and the other area is not of the same
 * line.
 */
static bool plan_may_say(const PlanAreas *p, const PlanArea *a, const PlanArea *by, PlanReason *ret) {
        const HttpdEntry *e = &p->c->entries[a->entry];
        const HttpdServer *s = &p->c->servers[p->server];
        char host[HTTPD_PLACE_MAX] = "";

        if (e->is_said || !e->is_fd || (by && a->entry == by->entry))
                return false;
        if (e->server != p->server && (!by || p->c->entries[by->entry].server == 0))
                return false; /* said of the server itself */

        if (by)
                (void) httpd_place(&p->c->entries[by->entry].place, &e->place, ret->place);
        if (e->server != p->server)
                (void) httpd_place(&s->place, &e->place, host);

        (void) snprintf(ret->unit, sizeof(ret->unit), "no unit is printed%s%.60s%s%s%.100s",
                        e->n_areas > 1 ? " for \"" : "",
                        e->n_areas > 1 ? a->area->path : "", e->n_areas > 1 ? "\"" : "",
                        *host ? " in the virtual host of " : "", host);
        return true;
}

/* Finds an earlier line that takes all of the paths. */
static const PlanArea *plan_find_cover(const PlanAreas *p, const PlanArea *a) {
        for (const PlanArea *i = p->items; i < a; i++)
                if (i->state != PLAN_DEAD && httpd_area_covers(i->area, a->area))
                        return i;

        return NULL;
}

/* Writes Path= of the unit, which takes "/chat" with "/chat/", too. */
static void plan_unit_path(const PlanArea *a, char ret[static HTTPD_LINE_MAX]) {
        size_t n = strlen(a->area->path);

        if (n > 1 && a->area->path[n - 1] == '/')
                n--;
        (void) snprintf(ret, HTTPD_LINE_MAX, "%.*s", (int) n, a->area->path);
}

/* Finds an earlier line with the same Path=, where a pool would come of both. */
static const PlanArea *plan_find_twin(const PlanAreas *p, const PlanArea *a) {
        char mine[HTTPD_LINE_MAX], path[HTTPD_LINE_MAX];

        plan_unit_path(a, mine);
        for (const PlanArea *i = p->items; i < a; i++) {
                plan_unit_path(i, path);
                if (i->state == PLAN_LIVE && streq(path, mine))
                        return i;
        }

        return NULL;
}

static const PlanArea *plan_find_blocker(const PlanAreas *p, const PlanArea *a) {
        char path[HTTPD_LINE_MAX];
        HttpdArea unit = { .kind = HTTPD_AREA_BELOW, .path = path };

        plan_unit_path(a, path);
        for (const PlanArea *i = p->items; i < a; i++)
                if (i->state == PLAN_BLOCKED && httpd_area_overlaps(i->area, &unit))
                        return i;

        return NULL;
}

/* Returns whether the state of the area changed. */
static bool plan_judge(PlanAreas *p, PlanArea *a) {
        const HttpdPlace *at = &p->c->entries[a->entry].place;
        const PlanArea *by;
        PlanReason why;

        if (a->state == PLAN_DEAD)
                return false;

        by = plan_find_cover(p, a);
        if (by) {
                a->state = PLAN_DEAD;
                if (plan_may_say(p, a, by, &why))
                        httpd_say(p->c, at, "httpd never comes to this line, because %s takes its paths; %s.",
                                            why.place, why.unit);
                return true;
        }
        if (a->state == PLAN_BLOCKED)
                return false;

        by = plan_find_twin(p, a);
        if (by) {
                a->state = PLAN_DEAD;
                if (plan_may_say(p, a, by, &why))
                        httpd_say(p->c, at, "Path= can't tell the paths of this line from those of %s, which comes "
                                            "first; %s. Another unit may take paths such as \"%.80s%s\".",
                                  why.place, why.unit, a->area->path, a->area->kind == HTTPD_AREA_BEGIN ? "x" : "");
                return true;
        }

        by = plan_find_blocker(p, a);
        if (by || a->area->kind == HTTPD_AREA_EXACT) {
                a->state = PLAN_BLOCKED;
                if (plan_may_say(p, a, by, &why) && by)
                        httpd_say(p->c, at, "In httpd, %s takes some of the paths of this line elsewhere. A unit can't "
                                            "leave them out: %s.", why.place, why.unit);
                else if (!by && plan_may_say(p, a, by, &why))
                        httpd_say(p->c, at, "httpd takes \"%.80s\" here and no path below it. Path= takes all paths "
                                            "below: %s.",
                                  a->area->path, why.unit);
                return true;
        }

        return false;
}

/* Reports paths that only one of the line and its unit takes. */
static void plan_say_fringe(PlanAreas *p, const PlanArea *a, const char *path) {
        HttpdArea *area = a->area;
        HttpdEntry *e = &p->c->entries[a->entry];

        if (area->has_fringe)
                return;

        area->has_fringe = true;
        if (!streq(area->path, path))
                httpd_say(p->c, &e->place, "In httpd this line takes paths below \"%.80s\", but not \"%.80s\". The "
                                           "unit takes both.",
                          path, path);
        else if (area->kind == HTTPD_AREA_BEGIN && !streq(path, "/"))
                httpd_say(p->c, &e->place, "In httpd this line also takes paths such as \"%.80sx\". The unit takes "
                                           "\"%.80s\" and the paths below it.", path, path);
}

static int plan_add_item(PlanAreas *p, const PlanArea *a, HttpdPlan *plan) {
        char path[HTTPD_LINE_MAX];
        HttpdItem *item;

        if (!ARRAY_GROW(plan->items, plan->n_items))
                return -ENOMEM;

        plan_unit_path(a, path);
        plan_say_fringe(p, a, path);
        item = &plan->items[plan->n_items++];
        *item = (HttpdItem){ .entry = a->entry, .area = a->area, .path = strdup(path) };
        return item->path ? 0 : -ENOMEM;
}

int httpd_plan_make(HttpdConfig *c, size_t server, HttpdPlan *ret) {
        _cleanup_(plan_areas_done) PlanAreas p = { .c = c, .server = server };
        bool has_changed = true;
        int r = plan_collect(&p);

        while (r >= 0 && has_changed) {
                has_changed = false;
                for (size_t i = 0; i < p.n_items; i++)
                        has_changed |= plan_judge(&p, &p.items[i]);
        }

        for (size_t i = 0; i < p.n_items && r >= 0; i++)
                if (p.items[i].state == PLAN_LIVE)
                        r = plan_add_item(&p, &p.items[i], ret);
        return r;
}
