// SPDX-License-Identifier: LGPL-2.1-or-later

require('http').createServer((request, response) => {
        let length = 0;

        request.on('data', (data) => { length += data.length; });
        request.on('end', () => {
                response.setHeader('X-Worker', 'node');
                response.setHeader('X-Request', request.headers['x-request'] || '');
                response.end(`${length}\n`);
        });
}).listen(80);
