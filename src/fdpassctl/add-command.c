/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/add-command.h"

#include "basic/utf8.h"

static bool add_command_is_plain(const char *argument) {
        for (const char *p = argument; *p; p++)
                if (!(*p >= 'a' && *p <= 'z') && !(*p >= 'A' && *p <= 'Z') && !(*p >= '0' && *p <= '9') &&
                    !strchr("/._-+=:,@^~[]", *p))
                        return false;

        return *argument != '\0';
}

static void add_command_write_byte(FILE *f, char c, bool is_first) {
        if (c == '"' || c == '\\')
                fprintf(f, "\\%c", c);
        else if (c == '%' || (c == '$' && !is_first))
                fprintf(f, "%c%c", c, c);
        else if ((unsigned char) c < 0x20 || (unsigned char) c >= 0x7f)
                fprintf(f, "\\x%02x", (unsigned char) c);
        else
                fputc(c, f);
}

void add_command_write(FILE *f, const char *argument, bool is_first) {
        if (add_command_is_plain(argument)) {
                fputs(argument, f);
                return;
        }

        fputc('"', f);
        for (size_t n; *argument; argument += MAX(n, (size_t) 1)) {
                n = utf8_printable(argument);
                if (n > 1)
                        fwrite(argument, 1, n, f);
                else
                        add_command_write_byte(f, *argument, is_first);
        }
        fputc('"', f);
}

char *add_command_make(char *const *arguments) {
        char *text = NULL;
        size_t n;
        FILE *f = open_memstream(&text, &n);

        if (!f)
                return NULL;

        for (size_t i = 0; arguments[i]; i++) {
                if (i > 0)
                        fputc(' ', f);
                add_command_write(f, arguments[i], i == 0);
        }

        if (fclose(f) == 0)
                return text;

        free(text);
        return NULL;
}
