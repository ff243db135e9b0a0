// What people see.
'use strict';

const http = require('node:http');

function page(title) {
  return `<!doctype html><title>${title}</title><h1>${title}</h1>`;
}

if (require.main === module) {
  http.createServer((req, res) => res.end(req.url === '/healthz' ? 'ok' : page('The post office'))).listen(8080);
}

module.exports = { page };
