# Sourced by the runners beside it: where the project is, where the outside programs are, and how to say that one is
# missing. COUNTERSIGN_TOOLS names the folder that .ci/run installs into; without it, target/ci-tools is looked into.
# Whatever is on PATH already serves as well.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
clients=$root/tests/clients
tools=${COUNTERSIGN_TOOLS:-$root/target/ci-tools}
export PATH=$tools/bin:$PATH
export NODE_PATH=$tools/node/node_modules${NODE_PATH:+:$NODE_PATH}
# Nothing here may leave the machine, nor be sent through somebody's proxy.
export NO_PROXY='*' no_proxy='*' no_grpc_proxy='*'

# Exit code 77 tells tests/clients.rs to skip, or to fail where COUNTERSIGN_REQUIRE_TOOLS=1.
missing() {
  echo "needs $1"
  exit 77
}

need() {
  local program
  for program in "$@"; do command -v "$program" >/dev/null || missing "$program"; done
}

# A Python that can import the modules named after the first argument, in $python.
need_python() {
  local what=$1 candidate
  shift
  for candidate in "$tools/venv/bin/python" python3; do
    if command -v "$candidate" >/dev/null && "$candidate" -c "import $1" 2>/dev/null; then
      python=$candidate
      return
    fi
  done
  missing "$what"
}

need_node() {
  need node
  local module
  for module in "$@"; do
    node -e "require.resolve('$module')" 2>/dev/null || missing "npm's $module"
  done
}

# A folder that is gone when the runner ends, in $scratch.
need_scratch() {
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
}

if [ $# -eq 0 ]; then
  echo "usage: $0 unix:PATH|HOST:PORT ..." >&2
  exit 2
fi
