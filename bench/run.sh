#!/usr/bin/env bash
# Runs the benchmarks named, or all of them. Each prints lines of
#   bench <name> <value> <unit> baseline <value> ratio <r>
# with its baseline measured in the same run.
set -euo pipefail
cd "$(dirname "$0")/.."
out=build/release/bench
all=(tick feed http web fanout)
declare -A program=(
    [tick]="$out/bench_tick" [feed]="$out/bench_feed" [feed_tls]="$out/bench_feed" [http]="$out/bench_http"
    [web]="bash bench/bench_web.sh" [price]="bash bench/bench_web.sh price" [positions]="bash bench/bench_web.sh positions"
    [positions_session]="bash bench/bench_web.sh positions_session" [webhook]="bash bench/bench_web.sh webhook"
    [fanout]="node bench/fanout.mjs" [fanout_1]="node bench/fanout.mjs 1" [fanout_100]="node bench/fanout.mjs 100"
    [fanout_1000]="node bench/fanout.mjs 1000" [fanout_10000]="node bench/fanout.mjs 10000"
)
names=("$@")
[ ${#names[@]} -gt 0 ] || names=("${all[@]}")
for name in "${names[@]}"; do
    command=${program[$name]:-}
    [ -n "$command" ] || { echo "bench: no such benchmark: $name (have: ${!program[*]})" >&2; exit 2; }
    printf '# %s: %s, %s cores\n' "$name" "$(uname -m)" "$(nproc)"
    $command
done
