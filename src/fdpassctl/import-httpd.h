/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Prints the units that replace ProxyPass lines with fd:// of Apache httpd, or writes them to the directory @output, if
 * it is not NULL. Relative paths are below @server_root until a file sets ServerRoot. Returns an exit status.
 */
int import_httpd(int n, char *files[], const char *server_root, const char *output);
