// Keeps what people write.
'use strict';

const http = require('node:http');

const messages = [];

function inbox() {
  return JSON.stringify(messages);
}

if (require.main === module) {
  http.createServer((req, res) => res.end(req.url === '/healthz' ? 'ok' : inbox())).listen(8080);
}

module.exports = { inbox };
