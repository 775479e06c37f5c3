// Every RPC by way of @connectrpc/connect-node: JSON and binary, over HTTP/1.1 and HTTP/2. Started by node.sh, which
// makes the descriptor set that takes the place of generated code.
'use strict';

const fs = require('node:fs');
const net = require('node:net');
const { createFileRegistry, fromBinary, fromJson, toJson } = require('@bufbuild/protobuf');
const { FileDescriptorSetSchema } = require('@bufbuild/protobuf/wkt');
const { Code, ConnectError, createClient } = require('@connectrpc/connect');
const { createConnectTransport } = require('@connectrpc/connect-node');
const { Scenario, Refused, LIVEAUTH, HUB } = require('../node/scenario.js');

const [descriptors, ...targets] = process.argv.slice(2);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, fs.readFileSync(descriptors)));

// The reason of a google.rpc.ErrorInfo, and the field of the first violation of a google.rpc.BadRequest: field 1 of
// each, and of what is in it, so that no generated code for them is needed.
function firstField(bytes) {
  if (bytes.length < 2 || bytes[0] !== 0x0a) return Buffer.alloc(0);
  let [length, shift, at] = [0, 0, 1];
  do {
    length |= (bytes[at] & 0x7f) << shift;
    shift += 7;
  } while (bytes[at++] & 0x80);
  return bytes.subarray(at, at + length);
}

function refusal(problem) {
  const error = ConnectError.from(problem);
  let [reason, field] = ['', ''];
  for (const detail of error.details) {
    const value = Buffer.from(detail.value ?? []);
    if (detail.type === 'google.rpc.ErrorInfo') reason = firstField(value).toString();
    if (detail.type === 'google.rpc.BadRequest') field = firstField(firstField(value)).toString();
  }
  // InvalidArgument becomes INVALID_ARGUMENT.
  const code = Code[error.code].replace(/(?<=.)([A-Z])/g, '_$1').toUpperCase();
  return new Refused(code, reason, field, error.rawMessage);
}

function transport(target, httpVersion, useBinaryFormat) {
  const unix = target.startsWith('unix:') ? target.slice('unix:'.length) : null;
  const baseUrl = unix ? 'http://localhost' : `http://${target}`;
  let nodeOptions = {};
  if (unix) nodeOptions = httpVersion === '2' ? { createConnection: () => net.connect(unix) } : { socketPath: unix };
  return createConnectTransport({ baseUrl, httpVersion, useBinaryFormat, nodeOptions, defaultTimeoutMs: 20_000 });
}

async function main() {
  for (const target of targets) {
    for (const httpVersion of ['1.1', '2']) {
      for (const binary of [false, true]) {
        const via = transport(target, httpVersion, binary);
        const clients = {};
        for (const name of [LIVEAUTH, HUB]) clients[name] = createClient(registry.getService(name), via);
        const call = async (service, method, request) => {
          const { localName, input, output } = registry.getService(service).methods.find(({ name }) => name === method);
          const message = fromJson(input, request);
          const answer = await clients[service][localName](message).catch((problem) => {
            throw refusal(problem);
          });
          return toJson(output, answer);
        };
        const codec = binary ? 'binary' : 'JSON';
        await new Scenario(`connect-node ${codec} HTTP/${httpVersion} ${target}`, call).run();
      }
    }
  }
  // The HTTP/2 sessions would stay open for another quarter of an hour.
  process.exit(0);
}

main();
