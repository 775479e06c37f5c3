// Whether the browser library is what its document promises: a script in ES5 that adds one name to the page, and
// nothing that loads anything. Argument: the file.
'use strict';

const assert = require('node:assert');
const fs = require('node:fs');
const vm = require('node:vm');
const acorn = require('acorn');

const source = fs.readFileSync(process.argv[2], 'utf8');
acorn.parse(source, { ecmaVersion: 5, sourceType: 'script' });
for (const newer of ['const a = 1;', 'var f = () => 1;', 'var s = `t`;', 'class A {}', 'f(a, b,);']) {
  assert.throws(() => acorn.parse(newer, { ecmaVersion: 5 }), SyntaxError, newer);
}

const page = vm.createContext({});
page.window = page;
const before = Object.getOwnPropertyNames(page);
vm.runInContext(source, page);
const added = Object.getOwnPropertyNames(page).filter((name) => !before.includes(name));
assert.deepStrictEqual(added, ['LiveAuthClient']);

const methods = Object.keys(page.LiveAuthClient.prototype);
assert.deepStrictEqual(methods, ['test', 'getStatus', 'login', 'logout']);

// The defaults that the document lists, and its complaint where there is no auth.
const auth = { client: 42, expires: 989539200, hash: '6b1a' };
const client = new page.LiveAuthClient({ auth });
assert.strictEqual(client.endpoint, 'https://www.idibu.com/clients/api/liveauth/');
assert.strictEqual(client.callbackParam, 'callback');
assert.strictEqual(client.timeout, 5000);
assert.strictEqual(client.window, 'width=800,height=600');
const said = [];
page.console = { error: (message) => said.push(message) };
client.onError('what went wrong');
assert.deepStrictEqual(said, ['what went wrong']);
const lacking = vm.runInContext('try { new LiveAuthClient({ auth: { client: 42 } }) } catch (e) { String(e) }', page);
assert.strictEqual(lacking, 'TypeError: LiveAuthClient needs auth with client, expires and hash');
assert.strictEqual(new page.LiveAuthClient({ auth, endpoint: 'https://here.example/api' }).endpoint, 'https://here.example/api/');
console.log('ES5');
