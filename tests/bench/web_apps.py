# SPDX-License-Identifier: LGPL-2.1-or-later
"""The application that gunicorn serves for tests/bench/web. WORKER= has the names of the workers whose paths it has."""

import os

import web_load

BODIES = {web_load.path_of(name, size): web_load.body(name, size)
          for name in os.environ.get('WORKER', '').split() for size in web_load.SIZES}


def wsgi(environ, start_response):
    body = BODIES.get(environ['PATH_INFO'])
    start_response('200 OK' if body else '404 Not Found', [('Content-Length', str(len(body or b''))),
                                                           ('Content-Type', 'text/plain')])
    return [body] if body else []
