#!/usr/bin/env bash
# buf curl speaking Connect with application/proto, from the .proto files: every RPC.
# usage: buf.sh unix:PATH|HOST:PORT ...
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../tools.sh"
need buf python3
need_scratch
# buf keeps a cache; a home that cannot be written to must not matter.
export BUF_CACHE_DIR=$scratch
cd "$root"
python3 -B "$clients/connect/buf.py" "$@"
