/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/http.h"

const char *http_status_phrase(unsigned status) {
        /* RFC 9110 15, RFC 6585, RFC 7725, RFC 8470. */
        static const struct {
                unsigned status;
                const char *phrase;
        } phrases[] = {
                { 200, "OK" }, { 201, "Created" }, { 202, "Accepted" }, { 203, "Non-Authoritative Information" },
                { 206, "Partial Content" },
                { 300, "Multiple Choices" }, { 301, "Moved Permanently" }, { 302, "Found" }, { 303, "See Other" },
                { 307, "Temporary Redirect" }, { 308, "Permanent Redirect" },
                { 400, "Bad Request" }, { 401, "Unauthorized" }, { 402, "Payment Required" }, { 403, "Forbidden" },
                { 404, "Not Found" }, { 405, "Method Not Allowed" }, { 406, "Not Acceptable" },
                { 408, "Request Timeout" }, { 409, "Conflict" }, { 410, "Gone" }, { 411, "Length Required" },
                { 412, "Precondition Failed" }, { 413, "Content Too Large" }, { 414, "URI Too Long" },
                { 415, "Unsupported Media Type" }, { 416, "Range Not Satisfiable" }, { 417, "Expectation Failed" },
                { 421, "Misdirected Request" }, { 422, "Unprocessable Content" }, { 425, "Too Early" },
                { 426, "Upgrade Required" }, { 428, "Precondition Required" }, { 429, "Too Many Requests" },
                { 431, "Request Header Fields Too Large" }, { 451, "Unavailable For Legal Reasons" },
                { 500, "Internal Server Error" }, { 501, "Not Implemented" }, { 502, "Bad Gateway" },
                { 503, "Service Unavailable" }, { 504, "Gateway Timeout" }, { 505, "HTTP Version Not Supported" },
                { 511, "Network Authentication Required" },
        };

        for (size_t i = 0; i < ELEMENTSOF(phrases); i++)
                if (phrases[i].status == status)
                        return phrases[i].phrase;

        return "";
}
