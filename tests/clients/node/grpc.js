// Every RPC by way of @grpc/grpc-js and @grpc/proto-loader, from the .proto files. Started by grpc.sh.
'use strict';

const path = require('node:path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const protobuf = require('protobufjs');
const { Scenario, Refused, equal, LIVEAUTH, HUB } = require('./scenario.js');

const PROTO = path.join(__dirname, '..', '..', '..', 'proto');
const HEALTH = 'grpc.health.v1.Health';
const DEADLINE = 20_000;

// As in proto3 JSON: 64-bit numbers and bytes as strings, enums by name.
const api = grpc.loadPackageDefinition(loader.loadSync(
  ['countersign/v1/liveauth.proto', 'countersign/v1/hub_token.proto'],
  { includeDirs: [PROTO], longs: String, enums: String, bytes: String, oneofs: true },
)).countersign.v1;

// The two standard protocols that travel beside ours, as their public definitions have them.
const standard = protobuf.parse(`
  syntax = "proto3";
  package standard;
  message Any { string type_url = 1; bytes value = 2; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
  message FieldViolation { string field = 1; string description = 2; }
  message BadRequest { repeated FieldViolation field_violations = 1; }
  message HealthCheckRequest { string service = 1; }
  message HealthCheckResponse { int32 status = 1; }
`).root;
const type = (name) => standard.lookupType(`standard.${name}`);
const health = grpc.makeGenericClientConstructor({
  Check: {
    path: `/${HEALTH}/Check`,
    requestStream: false,
    responseStream: false,
    requestSerialize: (value) => Buffer.from(type('HealthCheckRequest').encode(value).finish()),
    requestDeserialize: (bytes) => type('HealthCheckRequest').decode(bytes),
    responseSerialize: (value) => Buffer.from(type('HealthCheckResponse').encode(value).finish()),
    responseDeserialize: (bytes) => type('HealthCheckResponse').decode(bytes),
  },
}, 'Health');

function refusal(error) {
  const found = {};
  for (const bytes of error.metadata?.get('grpc-status-details-bin') ?? []) {
    for (const { type_url: url, typeUrl = url, value } of type('Status').decode(bytes).details) {
      const name = typeUrl.split('.').pop();
      if (name === 'ErrorInfo' || name === 'BadRequest') found[name] = type(name).decode(value);
    }
  }
  const field = found.BadRequest?.fieldViolations[0]?.field;
  return new Refused(grpc.status[error.code], found.ErrorInfo?.reason, field, error.details);
}

async function main() {
  for (const target of process.argv.slice(2)) {
    const open = (Client) => new Client(target, grpc.credentials.createInsecure());
    const clients = { [LIVEAUTH]: open(api.LiveAuthService), [HUB]: open(api.HubTokenService), [HEALTH]: open(health) };
    const call = (service, method, request) => new Promise((resolve, reject) => {
      const options = { deadline: Date.now() + DEADLINE };
      const done = (error, answer) => (error ? reject(refusal(error)) : resolve(answer));
      clients[service][method](request, new grpc.Metadata(), options, done);
    });
    const scenario = new Scenario(`grpc-js ${target}`, call);
    for (const service of ['', LIVEAUTH, HUB]) {
      await scenario.step(`health of '${service}'`, async () => {
        // 1 is SERVING.
        equal((await call(HEALTH, 'Check', { service })).status, 1, 'status');
      });
    }
    await scenario.refused('health of a stranger', 'NOT_FOUND', 'UNKNOWN_SERVICE', HEALTH, 'Check', { service: 'nobody' });
    await scenario.run();
    Object.values(clients).forEach((client) => client.close());
  }
}

main();
