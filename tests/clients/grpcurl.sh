#!/usr/bin/env bash
# grpcurl, which knows the API through reflection alone: lists, describes and calls every RPC, and asks for health.
# usage: grpcurl.sh unix:PATH|HOST:PORT ...
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/tools.sh"
need grpcurl python3
exec python3 -B "$clients/grpcurl.py" "$@"
