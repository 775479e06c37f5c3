#!/usr/bin/env bash
# npm's @connectrpc/connect-node, JSON and binary: every RPC.
# usage: node.sh unix:PATH|HOST:PORT ...
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../tools.sh"
need_node @connectrpc/connect-node @connectrpc/connect @bufbuild/protobuf
need buf
need_scratch
(cd "$root" && BUF_CACHE_DIR=$scratch buf build -o "$scratch/api.binpb")
node "$clients/connect/node.js" "$scratch/api.binpb" "$@"
