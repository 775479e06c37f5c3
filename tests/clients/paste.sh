#!/usr/bin/env bash
# Does what a newcomer does: starts the server with the command given, waits until it is ready, pastes the commands it
# printed, one after the other into one bash, and then stops it.
# usage: paste.sh COMMAND [ARGUMENT ...]      such as: paste.sh cargo run --release -- dev
#
# Between the lines "# paste these" and "# end" every line that is not blank and not a comment is a command; one that
# ends in a backslash goes on in the next line. Each must end with 0, or with 1 for a verdict other than VALID, and
# among what they print must be all the words of $PASTE_WORDS. The server gets $PASTE_PATIENCE seconds to be ready,
# since the command may build it first.
set -euo pipefail
if [ $# -eq 0 ]; then
  sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
words=${PASTE_WORDS:-VALID EXPIRED BAD_SIGNATURE MALFORMED WRONG_CONTEXT}
patience=${PASTE_PATIENCE:-60}

scratch=$(mktemp -d)
server=
finish() {
  if [ -n "$server" ]; then kill -KILL "$server" 2>/dev/null || true; fi
  rm -rf "$scratch"
}
trap finish EXIT
failed() {
  echo "paste: FAILED: $*"
  echo "--- what the server said:"
  cat "$scratch/server.out" "$scratch/server.err"
  exit 1
}

: >"$scratch/server.out"
: >"$scratch/server.err"
"$@" >"$scratch/server.out" 2>"$scratch/server.err" </dev/null &
server=$!
for ((tenths = 0; ; tenths++)); do
  if grep -q '^ready' "$scratch/server.out"; then break; fi
  kill -0 "$server" 2>/dev/null || failed "the server ended before it was ready"
  [ "$tenths" -lt $((patience * 10)) ] || failed "the server was not ready after $patience s"
  sleep 0.1
done

# The commands, continued lines joined.
sed -n '/^ *# paste these/,/^ *# end *$/p' "$scratch/server.out" |
  sed -e :a -e '/\\$/{N;s/\\\n[[:space:]]*//;ba' -e '}' |
  sed -e 's/^[[:space:]]*//' -e '/^#/d' -e '/^$/d' >"$scratch/commands"
[ -s "$scratch/commands" ] || failed 'no commands between "# paste these" and "# end"'

# Run in this shell, so that a variable that one command sets is there for the next; a file that one writes, too.
cd "$scratch"
count=0
: >all
while IFS= read -r command <&3; do
  count=$((count + 1))
  echo "\$ $command"
  code=0
  set +e +u
  eval "$command" >out 2>err </dev/null
  code=$?
  set -eu
  cat out err | sed 's/^/    /'
  cat out >>all
  case $code in
    0 | 1) ;;
    *) failed "command $count ended with $code: $command" ;;
  esac
  # Exit code 1 says: a verdict other than VALID.
  if [ "$code" = 1 ] && ! grep -qE 'EXPIRED|BAD_SIGNATURE|MALFORMED|WRONG_CONTEXT|NOT_YET_VALID|TOO_FAR_AHEAD|UNKNOWN_KEY|REVOKED' out; then
    failed "command $count ended with 1 and without a verdict: $command"
  fi
done 3<commands

for word in $words; do
  grep -qw -- "$word" all || failed "no command printed $word"
done

kill -TERM "$server"
code=0
for ((tenths = 0; ; tenths++)); do
  kill -0 "$server" 2>/dev/null || break
  [ "$tenths" -lt 300 ] || failed "the server did not end within 30 s of SIGTERM"
  sleep 0.1
done
wait "$server" || code=$?
server=
[ "$code" -eq 0 ] || failed "the server ended with $code after SIGTERM"
echo "paste: $count commands passed"
