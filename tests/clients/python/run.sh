#!/usr/bin/env bash
# Python's grpcio, with stubs generated from proto/ on the spot: every RPC.
# usage: run.sh unix:PATH|HOST:PORT ...
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../tools.sh"
need_python "grpcio, grpcio-tools, grpcio-status, grpcio-health-checking and grpcio-reflection" \
  "grpc, grpc_tools.protoc, grpc_status, grpc_health.v1, grpc_reflection.v1alpha"
need_scratch
"$python" -m grpc_tools.protoc -I "$root/proto" --python_out="$scratch" --grpc_python_out="$scratch" \
  "$root"/proto/countersign/v1/*.proto
PYTHONPATH=$scratch "$python" -B "$clients/python/client.py" "$@"
