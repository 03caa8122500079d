#!/bin/sh
# What followers cost in memory: crates/bench/followers.sh PROGRAM [COUNT]
#
# Starts a leader and COUNT followers (500), each an idle `PROGRAM exec`, and tells the leader's memory (RSS, PSS, KiB) with
# none and with all, and one follower's. Each connection takes two of the leader's descriptors: `ulimit -n` must allow
# four times COUNT.
set -eu
program=$1
count=${2:-500}
ulimit -n "$(ulimit -H -n)"
dir=$(mktemp -d)
mkfifo "$dir/input"
exec 3<>"$dir/input"
pids=
trap 'kill $pids 2>/dev/null || true; wait; rm -rf "$dir"' EXIT
memory() {
    awk '/^(Rss|Pss|Private_Dirty):/ { printf "%s %d  ", $1, $2 } END { print "KiB" }' "/proc/$1/smaps_rollup"
}
"$program" exec "$dir/db" <"$dir/input" >"$dir/out" &
leader=$!
pids=$leader
until [ -S "$dir/db/level-party.endpoint" ]; do :; done
"$program" put "$dir/db" a 1
echo "leader without followers: $(memory $leader)"
last=
for _ in $(seq "$count"); do
    "$program" exec "$dir/db" <"$dir/input" >/dev/null &
    last=$!
    pids="$pids $last"
done
# Each connection is a thread of the leader's.
until [ "$(ls /proc/$leader/task | grep -c .)" -ge "$count" ]; do sleep 0.2; done
sleep 1
echo "leader with $count:        $(memory $leader)"
echo "one follower:             $(memory $last)"
