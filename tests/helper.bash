# What end-to-end tests share. A file starts with `load ../helper`.
#
#   tree_start [OPTIONS] -- CMD...   a program under `proffs run -m $TREE`, its tree ready to be read;
#                                    $PID is the program, $OUT and $ERR are files with what it prints
#   tree_stop [SIGNAL]               ends it; $STATUS is its exit code as a shell sees it
#   wait_until SECONDS CMD...        true as soon as CMD is; the only way a test here may wait. SECONDS
#                                    is what it takes at the most on an idle machine; a minute is given
#   own_mounts CMD...                in a mount table of its own; instead of a shell
#   asleep           each thread of $PID sleeps, but ours: it is where its last step has led it
#   is GOT WANTED, has TEXT PIECE, hasnt TEXT PIECE
#   pprof_rows FILE [FLAGS]          the rows of `go tool pprof -top`: flat flat% sum% cum cum% NAME
#
# After each test what it started is ended, and a mount that it left fails it.

bats_require_minimum_version 1.5.0

SOURCE=${PROFFS_SOURCE:-$(cd "$BATS_TEST_DIRNAME/../.." && pwd)}
BUILD=${PROFFS_BUILD:-$SOURCE/build}
PROFFS=$BUILD/proffs
TARGET=$BUILD/tests/target

# By plain bats, without tests/run-bats: the same mark, and others pass through.
if [ -z "${PROFFS_TEST_DIR-}" ]; then
	export PROFFS_TEST_DIR=$BATS_RUN_TMPDIR
	chmod 711 "$PROFFS_TEST_DIR"
fi

setup() {
	cd "$BATS_TEST_TMPDIR"
	TREE=$BATS_TEST_TMPDIR/tree
	OUT=$BATS_TEST_TMPDIR/out
	ERR=$BATS_TEST_TMPDIR/err
	STARTED=()
}

teardown() {
	local pid
	[ -n "${BATS_TEST_COMPLETED-}" ] || circumstances
	for pid in "${STARTED[@]}"; do
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	wait_until 5 no_mount_left
}

# circumstances: for whoever reads that a test failed. What was said, and where everything stands.
circumstances() {
	local task
	tail -n 20 "$ERR" 2>/dev/null | sed 's/^/stderr: /'
	for pid in $(grep -lzxF "PROFFS_TEST_DIR=$PROFFS_TEST_DIR" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3); do
		[ "$(ps -o comm= -p "$pid")" != bash ] || continue
		for task in "/proc/$pid/task/"*; do
			echo "$task $(cat "$task/comm" "$task/wchan" 2>/dev/null | paste -sd ' ')"
		done
	done | head -n 60
	echo "load: $(cat /proc/loadavg)"
}

# ---- what is true ----

is() {
	[ "$1" = "$2" ] && return 0
	printf 'is:     %s\nshould: %s\n' "$1" "$2"
	return 1
}

has() {
	[[ $1 == *"$2"* ]] && return 0
	printf 'no "%s" in:\n%s\n' "$2" "$1"
	return 1
}

hasnt() {
	[[ $1 != *"$2"* ]] && return 0
	printf 'there is "%s" in:\n%s\n' "$2" "$1"
	return 1
}

# wait_until SECONDS CMD...
wait_until() {
	local seconds=$(($1 > 60 ? $1 : 60)) what="${*:2}"
	local end=$((${EPOCHREALTIME/[.,]/} + seconds * 1000000))
	until "${@:2}" >/dev/null 2>&1; do
		if ((${EPOCHREALTIME/[.,]/} > end)); then
			echo "not so within $seconds s: $what"
			"${@:2}"
			return 1
		fi
		sleep 0.05
	done
}

mounts_left() {
	awk -v dir="$BATS_TEST_TMPDIR/" 'index($5, dir) == 1 {print $5, $9, $10}' /proc/self/mountinfo
}

no_mount_left() {
	[ -z "$(mounts_left)" ] && return 0
	echo "still mounted: $(mounts_left)"
	return 1
}

# ---- a watched program ----

# background CMD...: starts it, remembers $PID. Descriptor 3 is bats' own.
# What an earlier one has said is gone at once, not only when this one's shell has opened the files.
background() {
	: >"$OUT" >"$ERR"
	"$@" </dev/null >"$OUT" 2>"$ERR" 3>&- &
	PID=$!
	STARTED+=("$PID")
}

tree_ready() {
	kill -0 "$PID" && [ -r "$TREE/README" ]
}

tree_start() {
	background "$PROFFS" run -m "$TREE" "$@"
	if ! wait_until 20 tree_ready; then
		cat "$ERR"
		return 1
	fi
}

tree_stop() {
	kill "-${1:-TERM}" "$PID"
	STATUS=0
	wait "$PID" || STATUS=$?
}

# says LINE: the program has printed this line.
says() {
	grep -qxF -e "$1" "$OUT"
}

asleep() {
	awk '/^Name:/ {ours = /proffs/} /^State:/ && $2 != "S" && !ours {exit 1}' "/proc/$PID/task/"*/status
}

samples_taken() { awk '$1 == "cpu_samples" {print $2}' "$TREE/status"; }

# has_samples COUNT: so many of the CPU have been taken, and more.
has_samples() {
	[ "$(samples_taken)" -gt "$1" ]
}

# main_ms: CPU time of the main thread, which does all there is to do
main_ms() { awk '{print int($1 / 1000000)}' "/proc/$PID/schedstat"; }

# capture_ms COUNT: a CPU capture of so much of the main thread's time, however long it takes to get it.
capture_ms() {
	local enough
	echo 3600 >"$TREE/cpu/seconds"
	enough=$(($(main_ms) + $1))
	wait_until 20 main_has_had "$enough"
	echo 0 >"$TREE/cpu/seconds"
}

main_has_had() { [ "$(main_ms)" -ge "$1" ]; }

# ticking_start [OPTIONS]: a program that does nothing until SIGUSR1, and then ends with 5.
ticking_start() {
	tree_start "$@" -- bash -c 'trap "exit 5" USR1; echo ticking; while :; do sleep 0.1; done'
	wait_until 20 says ticking
}

# used_meanwhile CMD...: while a CPU capture runs; $USED is by how much what CMD prints has grown between
# the first and the last moment at which the capture was seen running.
used_meanwhile() {
	local first now last
	wait_until 10 grep -q '^cpu running' "$TREE/cpu/status"
	first=$("$@") last=$first
	while now=$("$@") && grep -q '^cpu running' "$TREE/cpu/status"; do
		last=$now
		sleep 0.05
	done
	USED=$((last - first))
}

# own_mounts CMD...: in a mount table of its own, as root of it.
own_mounts() {
	if [ "$(id -u)" -eq 0 ]; then
		exec unshare -m "$@"
	else
		exec unshare -rm "$@"
	fi
}

# ---- what a profile says ----

pprof_rows() {
	go tool pprof -top -nodecount=100000 "${@:2}" "$1" 2>"$BATS_TEST_TMPDIR/pprof.err" |
		awk 'rows {print} $1 == "flat" && $2 == "flat%" {rows = 1}'
	[ "${PIPESTATUS[0]}" -eq 0 ] || {
		cat "$BATS_TEST_TMPDIR/pprof.err"
		return 1
	}
}

# column N NAME: that column of NAME's row, from pprof_rows on stdin; 0 where there is none.
column() {
	awk -v column="$1" -v name="$2" '$6 == name {value = $column} END {print value ? value : 0}'
}

# between LOW HIGH VALUE ("69.8%", "12"): is it?
between() {
	awk -v low="$1" -v high="$2" -v value="${3%\%}" 'BEGIN {
		if (value + 0 >= low && value + 0 <= high)
			exit 0
		print value " is not between " low " and " high
		exit 1
	}'
}

# heirs [PID]: what waits to write the files of PID, or of anybody here, and is no zombie
heirs() {
	local pid
	for pid in $(pgrep -x proffs/heir); do
		grep -q '^State:.*zombie' "/proc/$pid/status" 2>/dev/null && continue
		if [ -n "${1:-}" ]; then
			cmp -s "/proc/$1/cmdline" "/proc/$pid/cmdline" || continue
		else
			grep -qzxF "PROFFS_TEST_DIR=$PROFFS_TEST_DIR" "/proc/$pid/environ" 2>/dev/null || continue
		fi
		echo "$pid"
	done
}

no_heir() { [ -z "$(heirs)" ]; }
