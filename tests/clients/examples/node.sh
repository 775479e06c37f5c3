#!/usr/bin/env bash
# examples/clients/node, which reads the .proto files itself.
# usage: node.sh unix:PATH|https://HOST:PORT ...
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../tools.sh"
source "$clients/examples/drive.sh"
need_node @grpc/grpc-js @grpc/proto-loader
each node "$examples/node/client.js" -- "$@"
