/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Prints what the probes say of the bytes on stdin, one line. With --frames stdin is a row of inputs, each
 * with its length in front in four bytes, most significant first, and there is a line for each.
 */

#include "../fuzz/probe-text.h"

#define MAX_SIZE (128 * 1024)

static void print(const uint8_t *p, size_t n) {
        static ProbeText text;

        (void) probe_text_client(&text, p, n, MAX_SIZE);
        puts(text.text);
}

int main(int argc, char *argv[]) {
        static uint8_t bytes[MAX_SIZE];

        if (argc == 1) {
                print(bytes, fread(bytes, 1, sizeof(bytes), stdin));
                return EXIT_SUCCESS;
        }

        if (argc != 2 || !streq(argv[1], "--frames")) {
                fprintf(stderr, "Usage: %s [--frames] <INPUT\n", argv[0]);
                return EXIT_FAILURE;
        }

        for (;;) {
                uint8_t header[4];
                Reader r = { header, sizeof(header) };
                uint32_t n;

                if (fread(header, 1, sizeof(header), stdin) != sizeof(header))
                        return EXIT_SUCCESS;

                if (!reader_u32(&r, &n) || n > sizeof(bytes) || fread(bytes, 1, n, stdin) != n) {
                        fprintf(stderr, "The last input is cut off.\n");
                        return EXIT_FAILURE;
                }

                print(bytes, n);
        }
}
