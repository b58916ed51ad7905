# SPDX-License-Identifier: LGPL-2.1-or-later
"""Requests for real servers: of real clients, of the collection of the unit tests, and changed ones of both."""

import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
HEADS = os.path.join(HERE, '../unit/data/http-heads.txt')
CLIENTS = os.path.join(HERE, 'http-clients.txt')

# Paths that are common, and those of clients and applications that make servers differ.
PATHS = [
    '/', '/index.html', '/a/b/c', '/a.b/c-d_e~f', '/?q=1', '/x?a=/../b&c=%2F;d', '/shop;jsessionid=1F2E?x=y', '/a;b=c/d;e', '/;v=1',
    '/img//a.png', '//', '//wp-login.php', '/a//', '/%7Euser/', '/~user/', '/%41bc', '/a%2Fb', '/a%2fb', '/group%2Fname/issues',
    '/@scope%2fpkg', '/repo/branch%2Ftopic/file', '/caf%C3%A9', '/caf%c3%a9', '/caf\xc3\xa9', '/t\xf6', '/\xe6\x97\xa5\xe6\x9c\xac',
    '/s?q=\xc3\xbc', '/a%20b', '/a+b', '/a%2Bb', '/100%25', '/%E2%82%AC', '/./a', '/a/./b', '/a/../b', '/a/b/..', '/a%5Cb', '/a\\b',
    '/..%2f', '/wiki/What%3F', '/c%23', '/x%3Bx', '/a:b', '/@me', '/%40me', "/it's", '/(x)', '/a,b', '/$metadata', '/a=b', '/!x', '/*',
    '/a|b', '/{id}', '/[x]', '/a"b', '/<x>', '/a^b', '/a`b', '/https://b.example/x', '/https:%2F%2Fb.example%2Fx', '/proxy/http%3A%2F%2Fx',
    '/%252F', '/a%2520b', '/%25E4', '/%C0%E1', '/.well-known/acme-challenge/x', '/.', '/..', '/...', '/a.', '/?', '/x??', '/x?y?z', '/&', '/x&y',
    '/_', '/' + 'a' * 300, '/' + 'a/' * 100, '/x?' + 'q' * 2000, '/cgi-bin/a.pl/p;q', '/%2e%2e/x', '/a%3Db', '/a%26b', '/%28x%29', '/x%00',
    '/x%0a', '/%', '/%zz', '/a%2', '/?%', '/?%zz', '/?a#b', '/x/;/y', '/a;/b', '/a/;b', '/CON', '/a%2e', '/x%09y', '/\xc0\xaf', '/%c0%af',
]

HOSTS = ['a.example', 'A.Example', 'a.example.', 'a.example:80', 'a.example:8080', 'a.example:443', 'www.b.example', 'b_c.example', '192.0.2.1',
         '192.0.2.1:81', '[2001:db8::1]', '[2001:DB8::1]:8080', 'localhost', 'x--y.example', 'a', 'xn--mller-kva.example']

# Pieces of which paths are made that come near to a Path=.
WORDS = ['/', '/', '/', '/', 'api', 'api', 'chat', 'chat', 'v1', 'deep', 'events', 'x', 'y', 'a', '/api', '/chat', '/events', '//', '..', '..', '.',
         '\\', ';', ';a=b', '%2f', '%2F', '%5c', '%2e', '%2E%2e', '%61', '%63', '%65vents', '%3b', '%3f', '%23', '%00', '%0a', '%252f', '%252e',
         '%2561', '%25', '%C3%A9', '\xc3\xa9', '%c0%af', '%c0%ae', '%', '%zz', '%20', '%7e', '/..', '/../', '/./', '+', '%2b', '?', '?x=/../api',
         '/api/v1/deep', '/chat/', '/a/..', '/b.example', '/a.example']

INSERTS = [b' ', b'\t', b'\r', b'\n', b'\0', b'\x0b', b':', b'/', b'//', b'.', b'..', b'%2f', b'%2e', b'@', b'#', b'?',
           b'\\', b';', b',', b'\r\n', b'\r\n ', b'Host: b.example\r\n', b'http://b.example', b'\xc3\xb6', b'%7E', b'%61', b'%252f']


def unescape(s):
    def one(m):
        s = m[0]
        if s[1] == 'x':
            return chr(int(s[2:], 16))
        if s[1] == '{':
            return s[-2] * int(s[2:s.index(':')])
        return {'r': '\r', 'n': '\n', 't': '\t', '0': '\0'}.get(s[1], s[1])
    return re.sub(r'\\(x[0-9a-f]{2}|\{\d+:.\}|.)', one, s).encode('latin-1')


def read_heads():
    with open(HEADS) as f:
        return [unescape(line.rstrip('\n').split(' |', 1)[1]) for line in f if ' |' in line and line[0] != '#']


def read_clients():
    """The heads of clients, as text with {host} and {path}."""
    with open(CLIENTS, encoding='utf-8') as f:
        text = re.sub(r'(?m)^#.*\n', '', f.read())
    return [block.strip('\n').replace('\n', '\r\n') + '\r\n\r\n' for block in re.split(r'\n\n+', text.strip('\n'))]


def fill(client, host, path):
    return client.replace('{host}', host).replace('{path}', path).encode('latin-1')


def vary(random, client):
    """A request of a client, changed as other clients and proxies differ from it."""
    lines = fill(client, random.choice(HOSTS), random.choice(PATHS)).split(b'\r\n')[:-2]
    first, fields = lines[0], lines[1:]
    if random.random() < 0.3:
        random.shuffle(fields)
    if random.random() < 0.2:
        fields = [re.sub(rb'^[^:]+', lambda m: random.choice((m[0].lower(), m[0].upper(), m[0].title())), f) for f in fields]
    if random.random() < 0.2:
        fields = [re.sub(rb': *', random.choice((b':', b': ', b':  ', b':\t')), f, count=1) + random.choice((b'', b' ', b'\t')) for f in fields]
    if random.random() < 0.15 and first.split()[1].startswith(b'/'):
        words = first.split(b' ')
        words[1] = random.choice((b'http://', b'HTTP://', b'https://')) + random.choice(HOSTS).encode() + words[1]
        first = b' '.join(words)
    if random.random() < 0.1:
        first = first.replace(b'HTTP/1.1', b'HTTP/1.0')
    if random.random() < 0.1:
        fields.append(random.choice((b'X-Empty:', b'X-Long: ' + b'v' * 3000, b'X-Latin: caf\xe9', b'X-Utf: caf\xc3\xa9', b'X_Under: 1', b'X.Dot: 1',
                                     b'X-Many: ' + b'a, ' * 50, b'Content-Type:', b"X-'Odd'!: 1")))
    return (b'\r\n' if random.random() < 0.03 else b'') + b'\r\n'.join([first] + fields) + b'\r\n\r\n'


def mutate(random, head):
    """Changes some bytes."""
    b = bytearray(head)
    for _ in range(random.randint(1, 3)):
        i = random.randrange(len(b))
        what = random.randrange(5)
        if what == 0:
            b[i] = random.randrange(256)
        elif what == 1:
            b[i:i] = random.choice(INSERTS)
        elif what == 2:
            k = random.randint(1, 12)
            b[i:i] = b[i:i + k]
        elif what == 3:
            del b[i:i + random.randint(1, 4)]
        else:
            b[i] ^= 0x20
        if not b:
            return head
    return bytes(b)


def mutate_target(random, head, hosts, prefixes):
    """Gives the request another path, and maybe another host in its target or field."""
    path = (random.choice(prefixes) + '/' + ''.join(random.choice(WORDS) for _ in range(random.randint(1, 8)))).encode('latin-1')
    if random.random() < 0.15:
        path = random.choice((b'http://', b'https://', b'HTTP://')) + random.choice(hosts).encode() + random.choice((b'', b':8080')) + path
    head = re.sub(rb'^((?:\r\n)*[^ \r\n]+ )[^ \r\n]*', lambda m: m[1] + path, head, count=1)
    return re.sub(rb'(?i)(\nhost:[ \t]*)[^ \t\r\n]*', lambda m: m[1] + random.choice(hosts).encode(), head, count=1)


def complete(head):
    """The request with a body of the length that its head promises, so that no server waits for it."""
    m = re.search(rb'(?i)\r\ncontent-length:[ \t]*(\d{1,4})[ \t]*\r\n', head)
    if m:
        return head + b'x' * int(m[1])
    return head + b'0\r\n\r\n' if re.search(rb'(?i)\ntransfer-encoding:', head) else head
