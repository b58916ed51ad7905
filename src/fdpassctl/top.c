/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl top: rates, queues and waits, once a second. */

#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include "basic/parse.h"
#include "broker/stats.h"
#include "fdpassctl/fdpassctl.h"
#include "fdpassctl/show.h"
#include "fdpassctl/table.h"

#define HISTORY 60    /* rates that the curve shows */
#define PROBLEMS_MAX 4

typedef struct Top {
        usec_t interval;
        unsigned n_left;      /* screens until the end; UINT_MAX: no end */
        bool batch;           /* one behind the other, for a file */
        Snapshot before, now;
        double history[HISTORY];
        size_t n_history;
} Top;

/* What has to be undone on every way out. */
static struct termios saved_termios;
static volatile sig_atomic_t terminal_is_ours = 0, must_end = 0;

/* Only what is safe in a signal's handler as well. */
static void restore_terminal(void) {
        /* Lines that wrap, the cursor, the other screen, colours. */
        static const char end[] = "\033[?7h\033[?25h\033[?1049l\033[0m";

        if (!terminal_is_ours)
                return;

        terminal_is_ours = 0;
        (void) !write(STDOUT_FILENO, end, sizeof(end) - 1);
        (void) tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved_termios);
}

static void on_end(int signo) {
        must_end = 1;
}

/* A fault of ours, or a stop from the keyboard: the terminal first. */
static void on_fault(int signo) {
        restore_terminal();
        (void) signal(signo, SIG_DFL);
        (void) raise(signo);
}

static void on_resize(int signo) {
        /* It ends the wait: the next screen has the new size. */
}

static void handle(int signo, void (*handler)(int)) {
        struct sigaction action = { .sa_handler = handler };

        (void) sigaction(signo, &action, NULL);
}

static int take_terminal(void) {
        static const char begin[] = "\033[?1049h\033[?25l\033[?7l";
        static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT }, faults[] = { SIGSEGV, SIGABRT, SIGBUS, SIGFPE };
        struct termios raw;

        if (tcgetattr(STDIN_FILENO, &saved_termios) < 0)
                return -errno;

        for (size_t i = 0; i < ELEMENTSOF(ends); i++)
                handle(ends[i], on_end);
        for (size_t i = 0; i < ELEMENTSOF(faults); i++)
                handle(faults[i], on_fault);
        handle(SIGWINCH, on_resize);
        (void) signal(SIGTSTP, SIG_IGN);
        (void) atexit(restore_terminal);

        raw = saved_termios;
        raw.c_lflag &= ~(tcflag_t) (ICANON | ECHO);
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;

        terminal_is_ours = 1;
        if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) < 0 || write(STDOUT_FILENO, begin, sizeof(begin) - 1) < 0)
                return -errno;

        return 0;
}

static double seconds_between(const Top *t) {
        return t->before.at > 0 ? (double) (t->now.at - t->before.at) / (double) USEC_PER_SEC : 0;
}

/* A counter that is smaller than before has begun anew. */
static double rate(const Top *t, uint64_t now, uint64_t before) {
        double seconds = seconds_between(t);

        return seconds > 0 ? (double) (now >= before ? now - before : now) / seconds : 0;
}

static double total_rate(const Top *t, const char *counter) {
        return rate(t, value_number(value_get(&t->now.properties, "Counters"), counter),
                    value_number(value_get(&t->before.properties, "Counters"), counter));
}

static void print_curve(const Top *t, size_t width) {
        static const char *const blocks[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
        size_t n = MIN(t->n_history, width), first = t->n_history - n;
        double max = 1;

        for (size_t i = first; i < t->n_history; i++)
                max = MAX(max, t->history[i]);

        printf("%s", terminal_color(COLOR_GREEN));
        for (size_t i = first; i < t->n_history; i++)
                fputs(blocks[MIN((size_t) (t->history[i] / max * 7.99), ELEMENTSOF(blocks) - 1)], stdout);
        printf("%s", terminal_color(COLOR_NONE));
}

static void remember(Top *t, double r) {
        if (t->n_history == HISTORY) {
                memmove(t->history, t->history + 1, sizeof(t->history) - sizeof(*t->history));
                t->n_history--;
        }
        t->history[t->n_history++] = r;
}

/* The time below which this share of the handoffs between the two looks stayed: a bucket's upper end. */
static const char *quantile(char ret[static 32], const Value *now, const Value *before, double share) {
        uint64_t counts[HISTOGRAM_BUCKETS] = {}, total = 0, sum = 0;
        const Value *a = value_get(now, "HandoffTimes"), *b = value_get(before, "HandoffTimes");

        for (size_t i = 0; i < a->n_items && i < HISTOGRAM_BUCKETS; i++) {
                uint64_t old = i < b->n_items ? b->items[i].u : 0;

                counts[i] = a->items[i].u >= old ? a->items[i].u - old : a->items[i].u;
                total += counts[i];
        }
        if (total == 0)
                return "-";

        for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
                sum += counts[i];
                if ((double) sum >= share * (double) total)
                        return i == HISTOGRAM_BUCKETS - 1 ? ">1min" : format_span(ret, HISTOGRAM_FIRST_USEC << i);
        }

        return ">1min";
}

static const Value *find_before(const Top *t, const Value *row) {
        static const Value none = {};

        for (size_t i = 0; i < t->before.routes.n_items; i++) {
                const Value *old = &t->before.routes.items[i];

                if (streq(value_string(old, "Unit"), value_string(row, "Unit")) &&
                    streq(value_string(old, "Worker"), value_string(row, "Worker")))
                        return old;
        }

        return &none;
}

typedef struct Line {
        const Value *now, *before;
        double rate;
} Line;

/* Those that wait first, then the busiest. */
static int compare_lines(const void *x, const void *y) {
        const Line *a = x, *b = y;
        uint64_t qa = value_number(a->now, "Queued"), qb = value_number(b->now, "Queued");

        if ((qa > 0) != (qb > 0))
                return qa > 0 ? -1 : 1;

        if (a->rate < b->rate || a->rate > b->rate)
                return a->rate < b->rate ? 1 : -1;

        return strcmp(value_string(a->now, "Unit"), value_string(b->now, "Unit"));
}

static void rate_cell(Table *table, double r) {
        char text[32];

        (void) snprintf(text, sizeof(text), r > 0 && r < 10 ? "%.1f" : "%.0f", r);
        table_text(table, text, r > 0 ? COLOR_NONE : COLOR_GREY);
}

static void add_line(Table *table, const Top *t, const Line *line) {
        const char *state = value_string(line->now, "State");
        uint64_t queued = value_number(line->now, "Queued");
        char a[32], b[32], c[32];

        table_text(table, value_string(line->now, "Unit"), COLOR_NONE);
        table_text(table, state, state_color(state));
        rate_cell(table, line->rate);
        rate_cell(table, rate(t, value_sum(value_get(line->now, "Refusals")),
                              value_sum(value_get(line->before, "Refusals"))));
        table_number(table, queued, queued > 0 ? COLOR_YELLOW : COLOR_GREY);
        table_text(table, queued > 0 ? format_span(a, value_number(line->now, "OldestWaitUSec")) : "-",
                   queued > 0 ? COLOR_YELLOW : COLOR_GREY);
        table_number(table, value_number(line->now, "Pending"), COLOR_NONE);
        table_text(table, quantile(b, line->now, line->before, 0.5), COLOR_NONE);
        table_text(table, quantile(c, line->now, line->before, 0.99), COLOR_NONE);
}

static void print_routes(const Top *t, size_t columns, size_t rows) {
        static const Column titles[] = {
                { "ROUTE", COLUMN_SHRINK },    { "STATE", COLUMN_LEFT },   { "TAKEN/S", COLUMN_RIGHT },
                { "REFUSED/S", COLUMN_RIGHT }, { "QUEUED", COLUMN_RIGHT }, { "OLDEST", COLUMN_RIGHT },
                { "BACKLOG", COLUMN_RIGHT },   { "P50", COLUMN_RIGHT },    { "P99", COLUMN_RIGHT },
        };
        _cleanup_(table_freep) Table *table = table_new(titles, ELEMENTSOF(titles));
        size_t n = t->now.routes.n_items;
        _cleanup_free_ Line *lines = calloc(MAX(n, (size_t) 1), sizeof(*lines));

        if (!lines)
                return;

        for (size_t i = 0; i < n; i++) {
                const Value *row = &t->now.routes.items[i], *old = find_before(t, row);

                lines[i] = (Line){ row, old, rate(t, value_number(row, "Taken"), value_number(old, "Taken")) };
        }
        qsort(lines, n, sizeof(*lines), compare_lines);

        for (size_t i = 0; i < n && (rows == 0 || i < rows); i++)
                add_line(table, t, &lines[i]);
        table_print(table, stdout, columns, 0, !arg_no_legend);
}

/* Returns how many lines that took. */
static size_t print_problems(const Top *t, size_t columns) {
        size_t n = 0, n_shown = 0;
        _cleanup_free_ char *text = problems_of(&t->now, &n);

        for (char *line = text, *end; line && *line && n_shown < PROBLEMS_MAX; line = end + (*end == '\n')) {
                _cleanup_free_ char *one = NULL;

                end = line + strcspn(line, "\n");
                one = strndup(line, (size_t) (end - line));
                printf("%s✗%s ", terminal_color(COLOR_RED), terminal_color(COLOR_NONE));
                text_print_cut(stdout, one ?: "?", columns > 4 ? columns - 2 : 0);
                printf("\n");
                n_shown++;
        }

        return n_shown;
}

static void print_screen(const Top *t, size_t columns, size_t rows) {
        const Value *clients = value_get(&t->now.properties, "Clients");
        const char *state = value_string(&t->now.properties, "State");
        usec_t now = usec_now_realtime(), since = value_number(&t->now.properties, "StartedUSec");
        size_t used = 5;
        char span[32];

        printf("fdpass %s  %s%s%s  up %s  %zu routes\n", value_string(&t->now.properties, "Version"),
               terminal_color(state_color(state)), state, terminal_color(COLOR_NONE),
               format_span(span, now > since ? now - since : 0), t->now.routes.n_items);
        printf("Clients: %" PRIu64 " in head, %" PRIu64 " queued, %" PRIu64 " pending, %" PRIu64 " parked\n",
               value_number(clients, "head"), value_number(clients, "queued"), value_number(clients, "pending"),
               value_number(clients, "parked"));
        printf("Accepted %.0f/s  handed over %.0f/s  refused %.0f/s  ", total_rate(t, "Accepted"), total_rate(t, "Taken"),
               total_rate(t, "Refused"));
        print_curve(t, columns > 60 ? MIN(columns - 54, (size_t) HISTORY) : 0);
        printf("\n");
        used += print_problems(t, columns);
        printf("\n");
        print_routes(t, columns, rows == 0 ? 0 : rows > used + 1 ? rows - used - 1 : 1);
}

/* Written past standard output's stream, which lets no sequence pass but colours (basic/output.h). */
static void clear_screen(void) {
        static const char clear[] = "\033[H\033[2J";

        (void) fflush(stdout);
        (void) !write(STDOUT_FILENO, clear, sizeof(clear) - 1);
}

static void draw(Top *t) {
        remember(t, total_rate(t, "Taken"));

        if (t->batch) {
                print_screen(t, line_width(), 0);
                printf("\n");
        } else {
                clear_screen();
                print_screen(t, terminal_columns(), terminal_rows());
        }
        (void) fflush(stdout);
}

/* False where it is over: q, or a signal. */
static bool wait_for_next(const Top *t) {
        struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
        usec_t end = usec_now() + t->interval, now;
        char c = 0;

        while (!must_end && (now = usec_now()) < end) {
                usec_t left = (end - now + USEC_PER_MSEC - 1) / USEC_PER_MSEC;
                int n = poll(&p, t->batch ? 0 : 1, (int) MIN(left, (usec_t) 60000));

                if (n < 0)
                        return !must_end; /* a new size: at once */
                if (n > 0 && (read(STDIN_FILENO, &c, 1) <= 0 || c == 'q' || c == 'Q'))
                        return false;
                if (n > 0)
                        return true; /* any other key: look now */
        }

        return !must_end;
}

static int watch(sd_bus *bus, Top *t) {
        while (t->n_left > 0) {
                snapshot_done(&t->before);
                t->before = t->now;
                t->now = (Snapshot){};

                if (snapshot_take(bus, &t->now) < 0) {
                        restore_terminal(); /* with what was said on it */
                        fprintf(stderr, "The broker has ended, or does not answer.\n");
                        return EXIT_FAILURE;
                }

                /* The first look has nothing to compare with: in a file it would be all zeroes. */
                if (t->before.at > 0 || !t->batch)
                        draw(t);
                if (t->before.at > 0 && t->n_left != UINT_MAX)
                        t->n_left--;
                if (t->n_left > 0 && !wait_for_next(t))
                        break;
        }

        return EXIT_SUCCESS;
}

static int help_top(void) {
        printf("fdpassctl top [OPTIONS...]\n\n"
               "Show rates, queues and waits, live. q ends it, any other key looks at once.\n\n"
               "  -d --delay=TIME     The time between two looks (1s)\n"
               "  -n --iterations=N   End after so many\n"
               "  -b --batch          Print one below the other, for a file or a pipe\n"
               "  -h --help           Show this help\n");
        return 0;
}

static int take_option(void *userdata, int option, const char *value) {
        Top *t = userdata;

        switch (option) {

        case 'h':
                return help_top();
        case 'b':
                t->batch = true;
                return 1;
        case 'n':
                if (parse_unsigned(value, &t->n_left) < 0) {
                        fprintf(stderr, "--iterations=%s: this is no number.\n", value);
                        return -EINVAL;
                }
                return 1;
        case 'd':
                if (parse_timespan(value, &t->interval) < 0 || t->interval < 100 * USEC_PER_MSEC ||
                    t->interval > 3600 * USEC_PER_SEC) {
                        fprintf(stderr, "--delay=%s: from 100ms to an hour.\n", value);
                        return -EINVAL;
                }
                return 1;
        default:
                return -ENOTSUP;
        }
}

int verb_top(int argc, char *argv[]) {
        static const struct option options[] = {
                { "delay", required_argument, NULL, 'd' },
                { "iterations", required_argument, NULL, 'n' },
                { "batch", no_argument, NULL, 'b' },
                {},
        };
        _cleanup_bus_ sd_bus *bus = NULL;
        Top t = { .interval = 1 * USEC_PER_SEC, .n_left = UINT_MAX };
        int i, status;

        i = parse_options(argc, argv, options, "d:n:b", take_option, &t);
        if (i <= 0)
                return i < 0 ? EXIT_FAILURE : EXIT_SUCCESS;

        if (bus_open(&bus) < 0)
                return EXIT_FAILURE;

        t.batch = t.batch || !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO);
        if (!t.batch && take_terminal() < 0) {
                fprintf(stderr, "The terminal can't be used; --batch needs none.\n");
                return EXIT_FAILURE;
        }

        status = watch(bus, &t);
        restore_terminal();
        snapshot_done(&t.before);
        snapshot_done(&t.now);
        return status;
}
