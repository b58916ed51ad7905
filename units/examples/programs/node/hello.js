// SPDX-License-Identifier: MIT-0

const server = require('http').createServer((request, response) => {
        const client = request.socket.remoteAddress.replace(/^::ffff:/, '');

        console.log(`${client} ${request.method} ${request.url}`);
        response.setHeader('Content-Type', 'text/plain');
        response.end(`Hello, ${client}!\n`);
});

server.listen(80);
