// SPDX-License-Identifier: LGPL-2.1-or-later

// The application of Node for tests/bench/web: node web_app.js WHERE NAMES SIZES, each a list with commas.

const [where, names, sizes] = process.argv.slice(2);
const bodies = {};

for (const name of names.split(','))
        for (const size of sizes.split(','))
                bodies[`${name === 'api' ? '/api' : ''}/${size}`] = Buffer.alloc(Number(size), `${name.padEnd(4)} hello\n`);

const server = require('http').createServer((request, response) => {
        const body = bodies[request.url];

        response.writeHead(body ? 200 : 404, { 'Content-Type': 'text/plain', 'Content-Length': body ? body.length : 0 });
        response.end(body);
});

server.keepAliveTimeout = 60000;
if (where.startsWith('/'))
        server.listen(where);
else
        server.listen(Number(where), where === '80' ? undefined : '127.0.0.1');
