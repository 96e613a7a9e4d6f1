#!/usr/bin/env bash
# Walks through the console of a real node in headless chromium: a fresh folder, a real incident (a rule that this
# machine meets at once), set-up, sign-in, the three pages. Screenshots go to WATCHKEEPER_SCREENS where that is set.
#
#   web/e2e/run.sh PROGRAM
set -euo pipefail
cd "$(dirname "$0")/.."
program=$1
work=$(mktemp -d)
node=
finish() {
  local code=$?
  [ -z "$node" ] || { kill "$node" 2>/dev/null && wait "$node" 2>/dev/null; } || true
  [ $code = 0 ] || tail -n 30 "$work/node.log" >&2 || true
  rm -rf "$work"
  exit $code
}
trap finish EXIT

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
http=$(port) syslog=$(port)
cat > "$work/rules.yaml" <<'YAML'
groups:
  - name: console
    interval: 5s
    rules:
      - alert: MemoryInUse
        expr: 1 - node_memory_MemAvailable_bytes{job="host"} / node_memory_MemTotal_bytes{job="host"} > 0.001
        for: 20s
        labels: {severity: major}
        annotations: {summary: "Memory of {{ $labels.instance }} is {{ $value | humanizePercentage }} in use"}
YAML
cat > "$work/watchkeeper.toml" <<TOML
name = "MV Example"
[http]
listen = "127.0.0.1:$http"
[syslog]
listen = "127.0.0.1:$syslog"
[host]
interval_s = 5
[rules]
files = ["rules.yaml"]
TOML
"$program" ship --config "$work/watchkeeper.toml" --data "$work/data" 2> "$work/node.log" &
node=$!
for _ in $(seq 100); do curl -fs "http://127.0.0.1:$http/readyz" >/dev/null 2>&1 && break; sleep 0.1; done
curl -s "http://127.0.0.1:$http/api/v1/logs" -d '{"message":"link up","host":"core-switch","app":"lldpd","severity":"notice"}' >/dev/null
node e2e/screens.mjs --url "http://127.0.0.1:$http" --token-file "$work/data/setup-token" \
  --out "${WATCHKEEPER_SCREENS:-$work/screens}" --incident-wait 90 --acknowledge
