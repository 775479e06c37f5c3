#!/usr/bin/env bash
# curl speaking JSON over HTTP/1.1 and over HTTP/2 with prior knowledge: every RPC, and every rule of the JSON form.
# usage: curl.sh unix:PATH|HOST:PORT ...
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../tools.sh"
need curl python3
curl --version | grep -w HTTP2 >/dev/null || missing "a curl with HTTP/2"
exec python3 -B "$clients/connect/curl.py" "$@"
