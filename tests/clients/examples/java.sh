#!/usr/bin/env bash
# examples/clients/java, built by Maven.
# usage: java.sh unix:PATH|https://HOST:PORT ... (or --build, which fetches what the build needs)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../tools.sh"
source "$clients/examples/drive.sh"
need java javac mvn
out=$built/java
maven=(mvn -q -B -ntp -f "$examples/java/pom.xml" "-Dproto=$root/proto" "-Dout=$out")
if [ "$1" != --build ]; then
  [ -e "$out/client.jar" ] || missing "what Maven fetches for examples/clients/java ($0 --build does)"
  maven+=(--offline)
fi
# Maven builds everything anew each time, so it is asked only when something has changed.
if [ ! -e "$out/client.jar" ] ||
  [ -n "$(find "$examples/java" "$root/proto" -type f -newer "$out/client.jar" -print -quit)" ]; then
  "${maven[@]}" package
fi
each java -jar "$out/client.jar" -- "$@"
