#!/usr/bin/env bash
# examples/clients/go, with code generated on the spot by the generators that its go.mod pins.
# usage: go.sh unix:PATH|https://HOST:PORT ... (or --build, which only fills Go's caches)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../tools.sh"
source "$clients/examples/drive.sh"
need go buf
need_scratch
export BUF_CACHE_DIR=$scratch/buf GOFLAGS=-mod=readonly GOTOOLCHAIN=local
may_fetch "$1" || export GOPROXY=off
cp "$examples"/go/* "$scratch/"
cd "$scratch"
go build -o generators/ google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc \
  2>go.err || missing "the Go modules of examples/clients/go ($0 --build fetches them): $(tail -n 1 go.err)"
buf generate "$root/proto"
go vet . && go build -o client .
each ./client -- "$@"
