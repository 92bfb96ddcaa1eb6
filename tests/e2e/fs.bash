# What the fs_*.bats have in common: a host with a tree at $M, gone afterwards whatever happened.
# What is in its files: see tests/unit/fs/fake_door.h.

bats_require_minimum_version 1.5.0

BUILD=${PROFFS_BUILD:-$BATS_TEST_DIRNAME/../../build}
export FS_HOST=$BUILD/tests/unit/fs/fs_host
export REAPER=$BUILD/fs/proffs-reaper

setup() {
	DIR=$(mktemp -d)
	M=$DIR/tree
	HOST=
	CHILD=
}

# start_host [OPTION...] [COMMAND...]: attached at $M
start_host() {
	start_any -m "$M" "$@"
}

# The same with a place of its own choice; $READY is where.
start_any() {
	: >"$DIR/out"
	"$FS_HOST" -r "$REAPER" "$@" >"$DIR/out" 2>"$DIR/err" 3>&- &
	HOST=$!
	for _ in $(seq 1200); do
		READY=$(sed -n 's/^ready //p' "$DIR/out")
		[ -z "$READY" ] || return 0
		kill -0 "$HOST" 2>/dev/null || break
		sleep 0.05
	done
	cat "$DIR/out" "$DIR/err"
	return 1
}

# until_true COMMAND...: a minute, for what happens soon but not at once
until_true() {
	for _ in $(seq 1200); do
		! "$@" || return 0
		sleep 0.05
	done
	echo "never came true: $*"
	return 1
}

# "! command" does not fail a test; this does.
not() {
	! "$@"
}

# ends_with STATUS PID: a child of this shell ("run wait" would ask in another shell)
ends_with() {
	local rc=0
	wait "$2" || rc=$?
	[ "$rc" = "$1" ]
}

mounted() {
	grep -q " $M fuse.proffs " /proc/mounts
}

not_mounted() {
	not mounted
}

ended() {
	not kill -0 "$1" 2>/dev/null
}

# status NAME: one number of the status file
status() {
	awk -v name="$1" '$1 == name { print $2; found = 1 } END { if (!found) print 0 }' "$M/status"
}

# at_least SECONDS LINE: it says of something that took a while that it took so long, or longer
at_least() {
	echo "$2"
	[[ $2 =~ .*\ ([0-9.]+)\ s ]]
	awk -v least="$1" -v took="${BASH_REMATCH[1]}" 'BEGIN {exit !(took >= least)}'
}

teardown() {
	for pid in $HOST $CHILD; do kill -9 "$pid" 2>/dev/null || true; done
	! mounted || umount -l "$M" 2>/dev/null || fusermount3 -u -z "$M"
	rm -rf "$DIR"
}
