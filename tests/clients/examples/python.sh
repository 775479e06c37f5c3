#!/usr/bin/env bash
# examples/clients/python, with stubs generated on the spot.
# usage: python.sh unix:PATH|https://HOST:PORT ...
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../tools.sh"
source "$clients/examples/drive.sh"
need_python "grpcio, grpcio-tools, grpcio-status and grpcio-health-checking" \
  "grpc, grpc_tools.protoc, grpc_status, grpc_health.v1"
need_scratch
"$python" -m grpc_tools.protoc -I "$root/proto" --python_out="$scratch" --grpc_python_out="$scratch" \
  "$root"/proto/countersign/v1/*.proto
export PYTHONPATH=$scratch
each "$python" -B "$examples/python/client.py" -- "$@"
