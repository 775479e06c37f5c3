#!/usr/bin/env bash
# Go's google.golang.org/grpc, with code generated from proto/ on the spot: every RPC. The generators and the modules
# are those that go.mod pins; once they are in Go's caches, building takes a second or two.
# usage: run.sh unix:PATH|HOST:PORT ... (or --build, which only fills the caches)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../tools.sh"
need go buf
need_scratch
export BUF_CACHE_DIR=$scratch/buf GOFLAGS=-mod=readonly GOTOOLCHAIN=local
# A user's tests download nothing.
if [ "$1" != --build ] && [ "${COUNTERSIGN_REQUIRE_TOOLS:-}" != 1 ]; then export GOPROXY=off; fi

cp "$clients/go/go.mod" "$clients/go/go.sum" "$clients/go"/*.go "$scratch/"
cd "$scratch"
mkdir bin
generators=(google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc)
go build -o bin/ "${generators[@]}" 2>go.err ||
  missing "the Go modules of tests/clients/go/go.mod (tests/clients/go/run.sh --build fetches them): $(tail -n 1 go.err)"
cat >buf.gen.yaml <<'YAML'
version: v2
plugins:
  - local: bin/protoc-gen-go
    out: .
    opt: module=github.com/countersign/countersign-go
  - local: bin/protoc-gen-go-grpc
    out: .
    opt: module=github.com/countersign/countersign-go
YAML
buf generate --template buf.gen.yaml "$root/proto"
go vet . && go build -o bin/client .
[ "$1" = --build ] || ./bin/client "$@"
