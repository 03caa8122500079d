# Speaks docs/EXEC.md from a POSIX shell: one handle held open by the script, over two pipes with names.
#
# Usage: exec.sh PROGRAM DIR

set -eu
program=$1 directory=$2
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
mkfifo "$place/requests" "$place/answers"

"$program" serve "$directory" --json >"$place/leader" &
leader=$!
until grep -q '"serving"' "$place/leader"; do kill -0 $leader; done

"$program" exec "$directory" <"$place/requests" >"$place/answers" &
party=$!
exec 3>"$place/requests" 4<"$place/answers"

# ask REQUEST ANSWER: the answer that must come to the request.
ask() {
  printf '%s\n' "$1" >&3
  IFS= read -r answer <&4
  [ "$answer" = "$2" ] || { echo "asked $1 it answered $answer, not $2" >&2; exit 1; }
}

ask '{"id":1,"op":"put","key":"a","value":"1"}' '{"id":1,"ok":true,"sequence":1}'
ask '{"id":2,"op":"cas","key":"a","expected":"1","value":"2"}' '{"id":2,"ok":true,"swapped":true}'

# Other commands share the database meanwhile, each a process of its own.
"$program" put "$directory" b 3
[ "$("$program" get "$directory" a)" = 2 ]
ask '{"id":3,"op":"scan"}' '{"id":3,"ok":true,"entries":[["a","2"],["b","3"]]}'

# The handle goes on when the leader is killed.
kill -9 $leader
wait $leader 2>/dev/null || true
ask '{"id":4,"op":"get","key":"b"}' '{"id":4,"ok":true,"value":"3"}'
ask 'nonsense' '{"ok":false,"error":{"kind":"InvalidArgument","message":"not a request: text stands in double quotes, and only true, false and null without (column 2); send one JSON object a line, with an \"op\""}}'

exec 3>&- # The end of its input: it leaves and ends.
wait $party
[ "$("$program" count "$directory")" = 2 ]
echo spoken
