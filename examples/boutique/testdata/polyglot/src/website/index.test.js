'use strict';

const test = require('node:test');
const assert = require('node:assert');
const { page } = require('./index.js');

test('the page has a title', () => {
  assert.match(page('Post'), /<h1>Post<\/h1>/);
});
