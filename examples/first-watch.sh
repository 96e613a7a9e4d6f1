#!/usr/bin/env bash
# The first watch: a real node watches this machine through two real disturbances while the mail relay is away.
#
#   examples/first-watch.sh              with the rules beside this script: incident within 60 s
#   examples/first-watch.sh --defaults   with the shipped rules alone:      incident within 10 min
#
# It burns a processor core, fills a file system of its own (a tmpfs in a user namespace), lets the mail wait, brings
# the relay back, ends the disturbances, and checks at every step that the node says what happened. It needs no root
# and no network, and ends everything it started.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
program=${WATCHKEEPER_PROGRAM:-$("$here/../x" path)}
peers=${WATCHKEEPER_PEERS:-${WATCHKEEPER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/watchkeeper}/peers}
mode=${1:-}

# A mount namespace of our own, so that the file system we fill is ours alone.
if [ "${FIRST_WATCH_INSIDE:-}" != 1 ]; then
  export FIRST_WATCH_INSIDE=1 WATCHKEEPER_PROGRAM="$program" WATCHKEEPER_PEERS="$peers"
  exec unshare --user --map-root-user --mount "$0" "$@"
fi

work=$(mktemp -d)
pids=()
finish() {
  local code=$? pid
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  umount "$work/tank" 2>/dev/null || true
  if [ $code != 0 ]; then echo "--- the node's log"; tail -n 40 "$work/node.log" 2>/dev/null || true; fi
  rm -rf "$work"
  exit $code
}
trap finish EXIT

step() { printf '%(%H:%M:%S)T  %s\n' -1 "$*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
wk() { "$program" --data "$work/data" "$@"; }

# until_true SECONDS DESCRIPTION COMMAND...: waits for a condition, prints how long it took, fails when time is up.
until_true() {
  local limit=$1 what=$2 began=$SECONDS; shift 2
  until "$@" >/dev/null 2>&1; do
    [ $((SECONDS - began)) -lt "$limit" ] || fail "not within $limit s: $what"
    sleep 1
  done
  step "after $((SECONDS - began)) s: $what"
}

query() { wk query sql "$1" --json | python3 -c 'import json,sys; rows=json.load(sys.stdin)["rows"]; print("\n".join(" ".join(str(c) for c in r) for r in rows))'; }
count_is() { [ "$(query "$1")" = "$2" ]; }
signal_holds() { query "select asset, title, metric from signals where ended is null" | grep -q "$1"; }
mails() { wk mail list --json | python3 -c 'import json,sys; print(*[m["state"]+" "+m["subject"] for m in json.load(sys.stdin)["messages"]], sep="\n")'; }
mail_is() { mails | grep -q "$1"; }

if [ "$mode" = --defaults ]; then limit=600 rules=''; else limit=60 rules="$here/first-watch.yaml"; fi
smtp=$(free_port) http=$(free_port) syslog=$(free_port)
mkdir "$work/tank" "$work/mail"
mount -t tmpfs -o size=64m tmpfs "$work/tank"
cat > "$work/watchkeeper.toml" <<TOML
name = "First Watch"
[http]
listen = "127.0.0.1:$http"
[syslog]
listen = "127.0.0.1:$syslog"
[host]
interval_s = 5
[rules]
files = [${rules:+\"$rules\"}]
[incident]
hold_s = 20
[mail]
from = "watchkeeper@ship.example"
to = ["officer@ship.example"]
smtp = "smtp://127.0.0.1:$smtp"
TOML

step "starting the node"
"$program" ship --config "$work/watchkeeper.toml" --data "$work/data" 2> "$work/node.log" &
node=$!; pids+=("$node")
until_true 10 "the node is ready" curl -fs "http://127.0.0.1:$http/readyz"
until_true 30 "this machine's metrics are there" sh -c "'$program' --data '$work/data' query promql node_load1 | grep -q node_load1"
sleep 15

step "disturbing: a process burns a core, a file system fills"
cp "$(command -v bash)" "$work/core-burner"
"$work/core-burner" -c 'while :; do :; done' & burner=$!; pids+=("$burner")
dd if=/dev/zero of="$work/tank/fill" bs=1M count=63 status=none

asset=$(uname -n)
until_true "$limit" "a signal names $asset and the burning process" signal_holds "^$asset .*core-burner"
until_true "$limit" "a signal names $asset and the full file system" signal_holds "^$asset .*$work/tank"
query "select severity, title, metric from signals where ended is null"
until_true 10 "both belong to one open incident" count_is "select count(*) from incidents where state = 'open' and assets like '%$asset%'" 1
until_true 20 "the mail waits in the spool while nothing listens" mail_is '^queued '
wk mail list

answer=$(wk ask "how full are the disks")
echo "$answer"
grep -q "$work/tank" <<< "$answer" || fail "the answer does not name the file system"

step "the relay comes back"
# It refuses to run as root, which we are in our own namespace.
LD_LIBRARY_PATH="$peers/usr/lib/postfix:$peers/usr/lib/x86_64-linux-gnu" \
  unshare --user --map-user=65534 "$peers/usr/sbin/smtp-sink" -d "$work/mail/%M." "127.0.0.1:$smtp" 100 & pids+=("$!")
until_true 180 "the mail has arrived at smtp-sink" grep -rqE '^Subject: .*' "$work/mail"
until_true 10 "the ledger says delivered" mail_is '^delivered '
grep -rhE '^(Subject|Message-I[Dd]): ' "$work/mail"

step "ending the disturbances"
kill "$burner"; rm "$work/tank/fill"
until_true 420 "the incident has resolved by itself" count_is "select count(*) from incidents where state != 'resolved'" 0
until_true 120 "a mail says so" grep -rqiE '^Subject: .*(resolved|well again|ended|over)' "$work/mail"
query "select state, severity, title, opened, resolved from incidents"

step "tracing, proving, replaying"
wk trace "$(query 'select id from incidents limit 1')"
wk journal verify
wk record --out "$work/recording"
wk replay "$work/recording" > /dev/null
kill -TERM "$node"
began=$SECONDS
wait "$node" || fail "the node did not end cleanly"
step "the node ended cleanly within $((SECONDS - began)) s"
echo "the first watch passed"
