# Sourced by the runners beside it, once each has built its example: what they have in common.

examples=$root/examples/clients
# What a build of an example leaves, kept from run to run. .ci/run makes it, with `RUNNER --build`.
built=$tools/examples

# Only .ci/run, and whoever asks with --build, builds at length or fetches anything.
may_fetch() {
  [ "$1" = --build ] || [ "${COUNTERSIGN_REQUIRE_TOOLS:-}" = 1 ]
}

# each COMMAND... -- ADDRESS...: runs the example once for each address, under a line that says which.
each() {
  local command=()
  while [ "$1" != -- ]; do
    command+=("$1")
    shift
  done
  shift
  local address
  for address in "$@"; do
    if [ "$address" = --build ]; then continue; fi
    echo "--- $address"
    COUNTERSIGN_ADDRESS=$address COUNTERSIGN_PROTO=$root/proto "${command[@]}"
  done
}
