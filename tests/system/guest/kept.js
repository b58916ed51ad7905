// SPDX-License-Identifier: LGPL-2.1-or-later

require('http').createServer((request, response) => {
        const tag = request.headers['x-request'] || '';
        const parts = [Buffer.from(`${tag}\n`)];

        request.on('data', (data) => { parts.push(data); });
        request.on('end', () => {
                response.setHeader('X-Worker', 'node');
                response.setHeader('X-Request', tag);
                response.setHeader('X-Echo', 'yes');
                response.end(Buffer.concat(parts));
        });
}).listen(80);
