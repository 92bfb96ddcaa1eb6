#!/bin/sh
# The benches as one table. Wants an otherwise idle machine; all of them take about 25 minutes.
#
# usage: bench/run.sh [--write] [NAME...]     NAME: threads for bench/threads.py; none: all
#                                             heap_programs:redis for a part of one
#
# PROFFS_BENCH_TIMES=5 in the environment: some of them five times as long, against noise.
#
# --write also puts the rows into doc/overhead.md, each in place of the one that measured the same.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
write=
if [ "${1:-}" = --write ]; then
	write=yes
	shift
fi
[ $# -gt 0 ] || set -- capture cpu_overhead cpu_split threads spawn heap_pairs heap_cost heap_programs render fs throw locks programs
ninja -C "${PROFFS_BUILD:-$root/build}" >/dev/null
rows=$(mktemp)
trap 'rm -f "$rows"' EXIT
for name in "$@"; do
	case $name in
	*:*) python3 "$here/${name%%:*}.py" "${name#*:}" ;;
	*) python3 "$here/$name.py" ;;
	esac | tee -a "$rows"
done
[ -z "$write" ] || python3 "$here/bench.py" "$root/doc/overhead.md" <"$rows"
