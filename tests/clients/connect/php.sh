#!/usr/bin/env bash
# PHP's curl extension speaking JSON over HTTP/1.1 and over HTTP/2 with prior knowledge: every RPC.
# usage: php.sh unix:PATH|HOST:PORT ...
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../tools.sh"
need php
php -r 'exit(extension_loaded("curl") && curl_version()["features"] & CURL_VERSION_HTTP2 ? 0 : 1);' ||
  missing "PHP's curl extension with HTTP/2"
exec php "$clients/connect/php.php" "$@"
