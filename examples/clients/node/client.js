// A client of Countersign: mints and verifies a hash, seals a payload and opens it, and shows how a refusal reads.
//
//     npm install
//     COUNTERSIGN_ADDRESS=unix:/run/countersign/countersign.sock node client.js
//
// For https://HOST:PORT, COUNTERSIGN_TLS_CERT and COUNTERSIGN_TLS_KEY name the client's certificate and key, and
// COUNTERSIGN_TLS_CA the authority that the service's certificate must lead to: files in PEM.
// COUNTERSIGN_PROTO says where the .proto files are, if not in the repository that this file came from.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

// Milliseconds that one call may take, with the retries that gRPC makes of it.
const DEADLINE = 5_000;
// Milliseconds that one call may take in all, with the waits that a rate limit asks for.
const PATIENCE = 20_000;

// Every RPC may be repeated: at worst, a hash or a token too many was made. There is no "timeout" here on purpose:
// it would cut longer deadlines of calls short, and clients on gRPC's C core take up to a second off it.
const SERVICE_CONFIG = JSON.stringify({
  methodConfig: [{
    name: [{ service: 'countersign.v1.LiveAuthService' }, { service: 'countersign.v1.HubTokenService' }],
    retryPolicy: {
      maxAttempts: 4,
      initialBackoff: '0.1s',
      maxBackoff: '1s',
      backoffMultiplier: 2,
      retryableStatusCodes: ['UNAVAILABLE'],
    },
  }],
});

// 64-bit numbers as strings, enums by name.
const proto = process.env.COUNTERSIGN_PROTO ?? path.join(__dirname, '..', '..', '..', 'proto');
const definitions = loader.loadSync(
  ['countersign/v1/liveauth.proto', 'countersign/v1/hub_token.proto', 'error.proto', 'health.proto'],
  { includeDirs: [proto, __dirname], longs: String, enums: String, defaults: true },
);
const api = grpc.loadPackageDefinition(definitions);

// Gives what every client of this process is made with. Clients of one address share their connection.
function connection() {
  const address = process.env.COUNTERSIGN_ADDRESS ?? 'unix:/run/countersign/countersign.sock';
  const options = { 'grpc.service_config': SERVICE_CONFIG };
  if (address.startsWith('unix:')) {
    return [address, grpc.credentials.createInsecure(), options];
  }
  const credentials = grpc.credentials.createSsl(
    fs.readFileSync(process.env.COUNTERSIGN_TLS_CA),
    fs.readFileSync(process.env.COUNTERSIGN_TLS_KEY),
    fs.readFileSync(process.env.COUNTERSIGN_TLS_CERT),
  );
  return [address.replace('https://', ''), credentials, options];
}

function call(client, method, request, metadata = new grpc.Metadata(), deadline = DEADLINE) {
  return new Promise((resolve, reject) => {
    const done = (error, answer) => (error ? reject(error) : resolve(answer));
    client[method](request, metadata, { deadline: Date.now() + deadline }, done);
  });
}

// Why a call was refused, the fields at fault, and after how many milliseconds to try again, if at all.
function details(error) {
  const found = { reason: '', fields: [], wait: undefined };
  const [bytes] = error.metadata?.get('grpc-status-details-bin') ?? [];
  const status = bytes && definitions['google.rpc.Status'].deserialize(bytes);
  for (const { type_url: url, value } of status?.details ?? []) {
    const detail = definitions[url.split('/').pop()]?.deserialize(value);
    if (url.endsWith('google.rpc.ErrorInfo')) found.reason = detail.reason;
    if (url.endsWith('google.rpc.BadRequest')) found.fields = detail.fieldViolations.map(({ field }) => field);
    if (url.endsWith('google.rpc.RetryInfo')) {
      found.wait = Number(detail.retryDelay.seconds) * 1_000 + Math.ceil(detail.retryDelay.nanos / 1e6);
    }
  }
  return found;
}

// Calls, and where the caller is over its rate, waits for as long as the service asks and calls again.
async function patiently(client, method, request) {
  const until = Date.now() + PATIENCE;
  for (;;) {
    try {
      return await call(client, method, request);
    } catch (error) {
      const { wait } = details(error);
      const limited = error.code === grpc.status.RESOURCE_EXHAUSTED && wait !== undefined;
      if (!limited || Date.now() + wait > until) throw error;
      await sleep(wait);
    }
  }
}

async function main() {
  const health = new api.grpc.health.v1.Health(...connection());
  const liveauth = new api.countersign.v1.LiveAuthService(...connection());
  const hub = new api.countersign.v1.HubTokenService(...connection());

  // Waits for the service where it is not there yet: for the start of a program, not for its calls later on.
  const patient = new grpc.Metadata({ waitForReady: true });
  const serving = await call(health, 'Check', { service: 'countersign.v1.LiveAuthService' }, patient, PATIENCE);
  console.log(`health: ${serving.status}`);

  const minted = await patiently(liveauth, 'MintHash', { domain: 'jobs.example.com', client: 42, ttl: 60 });
  console.log(`minted: ${minted.query}`);

  // What an end user presents goes to the service as it came, as text.
  const presented = { domain: 'jobs.example.com', client: '42', expires: minted.expires, hash: minted.hash };
  const verified = await patiently(liveauth, 'VerifyHash', presented);
  console.log(`verified: ${verified.verdict}`);

  const app = 'acme-contacts';
  const payload = Buffer.from('an OAuth token');
  const { auth } = await patiently(hub, 'Seal', { app, username: 'jane@example.com', payload, ttl: 3600 });

  // A verdict is an answer, not an error: a token of another user's is WRONG_CONTEXT, with status OK.
  for (const username of ['jane@example.com', 'john@example.com']) {
    const opened = await patiently(hub, 'Open', { app, auth, username });
    if (opened.verdict === 'VERDICT_VALID') {
      console.log(`opened for ${username}: ${opened.payload.length} bytes`);
    } else {
      console.log(`not opened for ${username}: ${opened.verdict}`);
    }
  }

  // An error is the caller's fault or the service's: here, the caller asks for more than it may.
  try {
    await patiently(liveauth, 'MintHash', { domain: 'jobs.example.com', client: 42, ttl: 1_000_000 });
  } catch (error) {
    const { reason, fields } = details(error);
    console.log(`refused: ${grpc.status[error.code]}, ${reason}, ${fields.join(', ')}`);
  }

  [health, liveauth, hub].forEach((client) => client.close());
}

main();
