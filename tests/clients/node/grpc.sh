#!/usr/bin/env bash
# Node's @grpc/grpc-js with @grpc/proto-loader: every RPC.
# usage: grpc.sh unix:PATH|HOST:PORT ...
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../tools.sh"
need_node @grpc/grpc-js @grpc/proto-loader protobufjs
exec node "$clients/node/grpc.js" "$@"
