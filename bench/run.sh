#!/bin/sh
# Every bench, one table: `bench/run.sh` prints it, `bench/run.sh --write` puts it into
# doc/overhead.md as well. Takes about 15 minutes; wants an otherwise idle machine.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
ninja -C "${PROFFS_BUILD:-$root/build}" >/dev/null
out=$(mktemp)
trap 'rm -f "$out"' EXIT
{
	printf '| what | bar | measured | beside it, in the same run |\n|---|---|---|---|\n'
	for bench in "$here"/*.py; do
		[ "$(basename "$bench")" = bench.py ] || python3 "$bench"
	done
} | tee "$out"
[ "${1:-}" = --write ] || exit 0
{
	sed '/^<!-- made by bench\/run.sh -->$/q' "$root/doc/overhead.md"
	printf '\n%s, Linux %s, %s\n\n' "$(date -u +%Y-%m-%d)" "$(uname -r)" \
		"$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) processors"
	cat "$out"
} >"$root/doc/overhead.md.new"
mv "$root/doc/overhead.md.new" "$root/doc/overhead.md"
