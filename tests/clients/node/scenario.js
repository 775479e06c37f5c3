// The calls that both Node clients make, and the answers that they must get. `call(service, method, request)` speaks
// proto3 JSON on both sides and throws `Refused`. The expected hashes are computed here, with Node's own HMAC.
'use strict';

const { createHmac } = require('node:crypto');
const { isDeepStrictEqual } = require('node:util');

const LIVEAUTH = 'countersign.v1.LiveAuthService';
const HUB = 'countersign.v1.HubTokenService';
const DOMAIN = 'jobs.example.com';
const NOWHERE = 'nobody.example.org';
const APP = 'acme-contacts';
const USER = 'jodonnell@broadsoft.com';
const OTHER_USER = 'somebody.else@broadsoft.com';
const DOCUMENT_HASH = '6b1a62617de259688c021c6d98efaca588c772f9ee8ea3092fb3d5323e66ba29';
const PAYLOAD = Buffer.from('ya29.an-oauth-token \x00\xff', 'latin1').toString('base64');

class Refused extends Error {
  // `code` as gRPC spells it, `reason` of the ErrorInfo, `field` of the first violation.
  constructor(code, reason, field, message) {
    super(`${code} ${reason || '(no ErrorInfo)'} field='${field || ''}': ${message}`);
    Object.assign(this, { code, reason: reason || '', field: field || '' });
  }
}

class Failed extends Error {}

const ownHash = (client, expires) =>
  createHmac('sha256', 'whatissixtimesnine').update(`${client}-${expires}`).digest('hex');

function equal(got, want, what) {
  if (!isDeepStrictEqual(got, want)) {
    throw new Failed(`${what}: want ${JSON.stringify(want)}, got ${JSON.stringify(got)}`);
  }
}

function tampered(token) {
  const at = token.length >> 1;
  return token.slice(0, at) + (token[at] === 'B' ? 'C' : 'B') + token.slice(at + 1);
}

const mint = (changes) => ({ domain: DOMAIN, client: '42', ttl: '60', ...changes });
const document = (changes) => ({ domain: DOMAIN, client: '42', expires: '989539200', hash: DOCUMENT_HASH, ...changes });
const seal = (changes) => ({ app: APP, username: USER, payload: PAYLOAD, ttl: '3600', ...changes });
const present = (auth, changes) => ({ app: APP, username: USER, auth, ...changes });

class Scenario {
  constructor(title, call) {
    Object.assign(this, { title, call, steps: 0 });
  }

  async step(name, act) {
    this.steps += 1;
    try {
      return await act();
    } catch (problem) {
      const told = problem instanceof Failed || problem instanceof Refused ? problem.message : problem.stack;
      console.log(`${this.title}: FAILED at step ${this.steps}, ${name}: ${told}`);
      process.exit(1);
    }
  }

  judged(name, want, service, method, request) {
    return this.step(name, async () => {
      const answer = await this.call(service, method, request);
      equal(answer.verdict, `VERDICT_${want}`, 'verdict');
      return answer;
    });
  }

  refused(name, code, reason, service, method, request, field = '') {
    return this.step(name, async () => {
      let answer;
      try {
        answer = await this.call(service, method, request);
      } catch (problem) {
        if (!(problem instanceof Refused)) throw problem;
        equal([problem.code, problem.reason, problem.field], [code, reason, field], 'code, reason and field');
        return;
      }
      throw new Failed(`want ${code} ${reason}, got an answer with ${Object.keys(answer)}`);
    });
  }

  async run() {
    const started = Date.now();
    await this.liveauth();
    await this.hub();
    await this.batches();
    console.log(`${this.title}: ${this.steps} steps passed in ${((Date.now() - started) / 1000).toFixed(1)} s`);
  }

  async liveauth() {
    const minted = await this.step('mint for client 42', () => this.call(LIVEAUTH, 'MintHash', mint()));
    const own = ownHash(42, minted.expires);
    await this.step('the minted hash is what this program computes itself', () => equal(minted.hash, own, 'hash'));
    const query = `client=42&expires=${minted.expires}&hash=${own}`;
    await this.step('the query string holds all three', () => equal(minted.query, query, 'query'));
    const fresh = { client: '42', expires: minted.expires, hash: minted.hash };
    await this.judged('verify it', 'VALID', LIVEAUTH, 'VerifyHash', { domain: DOMAIN, ...fresh });
    await this.judged('by its Referer', 'VALID', LIVEAUTH, 'VerifyHash', { referer: minted.referer, ...fresh });
    const foreign = { referer: `https://${NOWHERE}/`, ...fresh };
    await this.judged('by an unknown Referer', 'UNKNOWN_KEY', LIVEAUTH, 'VerifyHash', foreign);
    await this.judged("the document's hash", 'EXPIRED', LIVEAUTH, 'VerifyHash', document());
    const misprint = document({ expires: '1580608922' });
    await this.judged("the document's misprint", 'BAD_SIGNATURE', LIVEAUTH, 'VerifyHash', misprint);
    const short = document({ hash: DOCUMENT_HASH.slice(0, 32) });
    await this.judged('a hash of 32 digits', 'MALFORMED', LIVEAUTH, 'VerifyHash', short);
    const unknown = ['NOT_FOUND', 'UNKNOWN_DOMAIN', LIVEAUTH];
    await this.refused('an unknown domain', ...unknown, 'MintHash', mint({ domain: NOWHERE }));
    await this.refused('to verify for one', ...unknown, 'VerifyHash', document({ domain: NOWHERE }));
    const long = mint({ ttl: '999999' });
    await this.refused('a ttl of 999999', 'INVALID_ARGUMENT', 'TTL_TOO_LONG', LIVEAUTH, 'MintHash', long, 'ttl');
    const nobody = mint({ client: '0' });
    await this.refused('client 0', 'INVALID_ARGUMENT', 'INVALID_FIELD', LIVEAUTH, 'MintHash', nobody, 'client');
  }

  async hub() {
    const sealed = await this.step('seal a token for a user', () => this.call(HUB, 'Seal', seal()));
    const own = present(sealed.auth);
    const theirs = present(sealed.auth, { username: OTHER_USER });
    const opened = await this.judged('open it', 'VALID', HUB, 'Open', own);
    await this.step('opening gives the payload back', () => equal(opened.payload, PAYLOAD, 'payload'));
    const other = await this.judged('open it as another user', 'WRONG_CONTEXT', HUB, 'Open', theirs);
    await this.step('then there is no payload', () => equal(other.payload || '', '', 'payload'));
    await this.judged('tampered with', 'MALFORMED', HUB, 'Open', present(tampered(sealed.auth)));
    const verified = await this.judged('verify it', 'VALID', HUB, 'Verify', own);
    await this.step('verifying gives claims and no payload', () => {
      equal(verified.claims.grantId, sealed.grantId, 'grant id');
      equal('payload' in verified, false, 'a payload');
    });
    await this.judged('verify as another user', 'WRONG_CONTEXT', HUB, 'Verify', theirs);
    const resealed = await this.judged('reseal it', 'VALID', HUB, 'Reseal', own);
    await this.step('resealing keeps the grant', () => {
      equal([resealed.claims.grantId, resealed.claims.resealCount], [sealed.grantId, 1], 'grant id and count');
    });
    const again = await this.judged('open the resealed one', 'VALID', HUB, 'Open', present(resealed.auth));
    await this.step('it holds the same payload', () => equal(again.payload, PAYLOAD, 'payload'));
    const unknown = ['NOT_FOUND', 'UNKNOWN_APP', HUB];
    await this.refused('seal for an unknown app', ...unknown, 'Seal', seal({ app: 'nobody' }));
    for (const method of ['Open', 'Verify', 'Reseal']) {
      await this.refused(`${method} for one`, ...unknown, method, present(sealed.auth, { app: 'nobody' }));
    }
  }

  async batches() {
    const hashes = [mint(), mint({ ttl: '999999' }), mint({ client: '43' })];
    const minted = await this.batch(LIVEAUTH, 'BatchMintHash', hashes, [3, 'TTL_TOO_LONG']);
    const clients = [minted[0].response.client, minted[2].response.client];
    await this.step('hashes keep the order', () => equal(clients, ['42', '43'], 'clients'));
    const presented = [document(), document({ domain: NOWHERE }), document({ hash: 'x' })];
    const verified = await this.batch(LIVEAUTH, 'BatchVerifyHash', presented, [5, 'UNKNOWN_DOMAIN']);
    await this.order(verified, ['EXPIRED', 'MALFORMED']);
    const payloads = [seal(), seal({ app: 'nobody' }), seal({ username: OTHER_USER })];
    const sealed = await this.batch(HUB, 'BatchSeal', payloads, [5, 'UNKNOWN_APP']);
    const [mine, theirs] = [sealed[0].response.auth, sealed[2].response.auth];
    const tokens = [present(mine), present(mine, { app: 'nobody' }), present(theirs)];
    for (const method of ['BatchOpen', 'BatchVerify', 'BatchReseal']) {
      await this.order(await this.batch(HUB, method, tokens, [5, 'UNKNOWN_APP']), ['VALID', 'WRONG_CONTEXT']);
    }
    const all = { [LIVEAUTH]: ['MintHash', 'VerifyHash'], [HUB]: ['Seal', 'Open', 'Verify', 'Reseal'] };
    for (const [service, methods] of Object.entries(all)) {
      for (const method of methods) {
        for (const count of [0, 1001]) {
          const request = { items: Array.from({ length: count }, () => ({})) };
          const refusal = ['INVALID_ARGUMENT', 'INVALID_FIELD', service, `Batch${method}`, request, 'items'];
          await this.refused(`Batch${method} of ${count}`, ...refusal);
        }
      }
    }
  }

  batch(service, method, items, error) {
    return this.step(method, async () => {
      const { results } = await this.call(service, method, { items });
      // proto-loader adds the name of the set member; JSON does not have it.
      const shape = results.map((result) => ['response', 'error'].filter((key) => result[key]));
      equal(shape, [['response'], ['error'], ['response']], 'results');
      equal([results[1].error.code, results[1].error.reason], error, 'item error');
      return results;
    });
  }

  order(results, want) {
    const got = [results[0], results[2]].map((result) => result.response.verdict.replace('VERDICT_', ''));
    return this.step('verdicts keep the order', () => equal(got, want, 'verdicts'));
  }
}

module.exports = { Scenario, Refused, Failed, equal, LIVEAUTH, HUB };
