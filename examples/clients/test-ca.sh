#!/usr/bin/env bash
# A certificate authority for trying mTLS out, never for production: it keeps no records and revokes nothing.
# usage: test-ca.sh DIRECTORY
#
# Makes in DIRECTORY, each valid for a day:
#   ca.crt      the authority: `client_ca` of the listener, and what clients trust
#   tls.crt     the service, as localhost and as spiffe://example.org/countersign, with tls.key
#   caller.crt  a caller, spiffe://example.org/ns/jobs/sa/portal, with caller.key
set -euo pipefail
umask 077
mkdir -p "$1"
cd "$1"

key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc)

openssl req -x509 "${key[@]}" -config /dev/null -subj "/CN=test CA" -days 1 -keyout ca.key -out ca.crt 2>openssl.log \
  -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" \
  -addext "subjectKeyIdentifier=hash"

# issue NAME USAGE NAMES: a caller's certificate has exactly one URI, a SPIFFE ID, which is who the caller is.
issue() {
  openssl req -new "${key[@]}" -config /dev/null -subj "/CN=$1" -keyout "$1.key" -out "$1.csr" 2>>openssl.log
  printf '%s\n' "basicConstraints=critical,CA:FALSE" "keyUsage=critical,digitalSignature" "extendedKeyUsage=$2" \
    "subjectAltName=$3" "authorityKeyIdentifier=keyid" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -set_serial "0x$(openssl rand -hex 16)" -days 1 \
    -extfile "$1.ext" -out "$1.crt" 2>>openssl.log
  rm "$1.csr" "$1.ext"
}

issue tls serverAuth "DNS:localhost,IP:127.0.0.1,URI:spiffe://example.org/countersign"
issue caller clientAuth "URI:spiffe://example.org/ns/jobs/sa/portal"
rm openssl.log
