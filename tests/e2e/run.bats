# `proffs run`: the program must not notice, and whatever keeps us from watching is said.
load ../helper

# A script's effect with and without us: standard output, exit code.
same_as_without() {
	local plain watched plain_status=0 watched_status=0
	plain=$("$@" </dev/null 3>&-) || plain_status=$?
	watched=$("$PROFFS" run -m "$TREE" -- "$@" </dev/null 2>"$ERR" 3>&-) || watched_status=$?
	is "$watched" "$plain"
	is "$watched_status" "$plain_status"
}

@test "standard input and output pass through byte by byte" {
	head -c 3000000 /dev/urandom >bytes
	"$PROFFS" run -m "$TREE" -- cat <bytes >copy 2>"$ERR" 3>&-
	cmp bytes copy
	is "$(cat "$ERR")" "proffs: $TREE"
}

@test "the exit code is the program's" {
	same_as_without sh -c 'exit 0'
	same_as_without sh -c 'echo text; exit 7'
	same_as_without sh -c 'sleep 0.3; exit 255'
}

@test "a signal ends the program as it would without us" {
	same_as_without sh -c 'kill -SEGV $$'
	for signal in TERM HUP KILL ABRT; do
		tree_start -- sleep 100
		tree_stop "$signal"
		is "$STATUS" "$((128 + $(kill -l "$signal")))"
		wait_until 5 no_mount_left
	done
}

@test "the program's own signal handlers run" {
	tree_start -- bash -c 'trap "echo caught; exit 5" USR1; echo waiting; while :; do sleep 0.1; done'
	wait_until 5 says waiting
	tree_stop USR1
	is "$STATUS" 5
	says caught
}

@test "process id, arguments and working directory are the program's" {
	mkdir place
	cd place
	run --separate-stderr "$PROFFS" run -m "$TREE" -- sh -c 'echo $$ "$PWD" "$0" "$@"' zero 'a b' '' '*'
	[[ $output =~ ^[0-9]+\ $BATS_TEST_TMPDIR/place\ zero\ a\ b\ \ \*$ ]]
	background "$PROFFS" run -m "$TREE" -- sh -c 'echo $$; exec sleep 100'
	wait_until 5 says "$PID"
}

@test "open descriptors, blocked and ignored signals are as without us" {
	# bash looks at itself with builtins: a child would see it at some step of starting a child.
	look='read -t 0.3 <><(sleep 1); cd /proc/self/fd; echo *; while read -r l; do [[ $l != Sig[BI]* ]] || echo "$l"; done </proc/self/status'
	same_as_without bash -c "$look"
	(
		trap '' HUP USR2
		same_as_without bash -c "$look"
	)
}

@test "no child appears that the program did not start" {
	tree_start -- sh -c 'until [ -e go ]; do sleep 0.05; done; for f in /proc/$$/task/*/children; do read -r c <"$f"; echo "<$c>"; done'
	# Who starts what removes the tree is a child for a moment, seen with __WALL alone.
	wait_until 10 grep -qE '^reaper +ok' "$TREE/status"
	touch go
	wait "$PID"
	is "$(sort -u "$OUT")" "<>"
}

# Of the root the kernel may remember what the living tree said.
@test "the remains of a dead tree whose reaper was killed, too, are replaced" {
	tree_start -- sleep 100
	stat "$TREE"
	wait_until 10 grep -qE '^reaper +ok' "$TREE/status"
	kill -9 "$(pgrep -f "proffs-reaper 3 [^ ]* mount $TREE ")"
	tree_stop KILL
	run ! ls "$TREE"
	has "$output" "not connected"
	tree_start -- sleep 100
	grep -qx "pid $PID" "$TREE/status"
	tree_stop
}

@test "without a command: usage, exit code 2" {
	run "$PROFFS" run
	is "$status" 2
	has "$output" "usage: proffs run"
	run "$PROFFS" run -m "$TREE" --
	is "$status" 2
	run "$PROFFS"
	is "$status" 2
	run "$PROFFS" run --colour -- true
	is "$status" 2
	[ ! -e "$TREE" ]
}

@test "a command that does not exist: 127; one that is not executable: 126" {
	run -127 "$PROFFS" run -m "$TREE" -- no-such-command
	has "$output" no-such-command
	run -127 "$PROFFS" run -m "$TREE" -- ./no/such/file
	echo text >file
	run "$PROFFS" run -m "$TREE" -- ./file
	is "$status" 126
	has "$output" ./file
	run "$PROFFS" run -m "$TREE" -- /
	is "$status" 126
}

@test "the place of the tree is said on stderr and nothing on stdout" {
	run --separate-stderr "$PROFFS" run -m "$TREE" -- true
	is "$status" 0
	is "$output" ""
	is "$stderr" "proffs: $TREE"
}

@test "without -m the tree is published under the process id, and listed" {
	background "$PROFFS" run -- sleep 100
	place() { sed -n 's/^proffs: //p' "$ERR"; }
	readable() { [ -r "$(place)/README" ]; }
	wait_until 20 readable
	is "$(basename "$(place)")" "$PID"
	has "$("$PROFFS" list)" "$(place)"
	is "$(tr '\0' ' ' <"$(place)/cmdline")" "$(tr '\0' ' ' <"/proc/$PID/cmdline")"
	[ -z "$(mounts_left)" ] # detached: in nobody's mount table
	dead=$(place)
	tree_stop
	gone() { [ ! -e "$dead/README" ]; }
	wait_until 5 gone
	hasnt "$("$PROFFS" list)" "$dead"
	"$PROFFS" clean
	[ ! -L "$dead" ]
}

@test "list names a mounted tree and its command" {
	tree_start -- sleep 98765
	has "$("$PROFFS" list)" "$TREE"
	has "$("$PROFFS" list)" "sleep 98765"
	tree_stop
	wait_until 5 no_mount_left
	hasnt "$("$PROFFS" list)" "$TREE"
}

@test "--set reaches the file of that name" {
	tree_start --set heap_sample_bytes=64KiB --set cpu/hz=997 --set config/stack_depth=33 -- sleep 100
	is "$(cat "$TREE/config/heap_sample_bytes")" 65536
	is "$(cat "$TREE/cpu/hz")" 997
	is "$(cat "$TREE/config/stack_depth")" 33
}

@test "a bad --set is refused before anything runs" {
	for bad in cpu/hz=fast cpu/hz=0 cpu/hz no/such=1 =5 heap_sample_bytes=; do
		run "$PROFFS" run -m "$TREE" --set "$bad" -- touch ran
		is "$status" 2
		has "$output" "--set"
		[ ! -e ran ]
	done
}

@test "a missing mount point is made, for us alone, and goes with the tree" {
	tree_start -- sleep 100
	# What lies under the mount can be seen where it is not.
	if [ "$(id -u)" -eq 0 ]; then
		is "$(unshare -m sh -c 'umount "$1" && stat -c %a "$1"' sh "$TREE")" 700
	fi
	tree_stop
	wait_until 5 test ! -e "$TREE"
	mkdir "$TREE"
	tree_start -- sleep 100
	tree_stop
	wait_until 5 no_mount_left
	[ -d "$TREE" ]
}

# refused DIR SAID: the program runs all the same, and one line names DIR and says why.
refused() {
	run "$PROFFS" run -m "$1" -- echo ran
	is "$status" 0
	has "$output" ran
	has "$output" "$1"
	has "$output" "$2"
	is "$(grep -c '^proffs: ' <<<"$output")" 1
}

@test "a mount point that is not an empty directory of ours is refused by name" {
	mkdir full && touch full/file
	refused full "not empty"
	touch plain
	refused plain "not a directory"
	mkdir real && ln -s real link
	refused link "not a directory"
	refused no/such/parent "parent"
	is "$(ls real)" ""
	if [ "$(id -u)" -eq 0 ]; then
		mkdir foreign && chown 1234 foreign
		refused foreign "another user"
	fi
}

@test "a static program is said to be one, and runs" {
	run "$PROFFS" run -m "$TREE" -- "$TARGET/static"
	is "$status" 7
	has "$output" static
	has "$output" "static program"
	[ ! -e "$TREE" ]
}

@test "a setuid program is said to be one, and runs" {
	raised=(fusermount3 --version) # root's, and setuid
	if [ "$(id -u)" -eq 0 ]; then
		cp /bin/true raised
		chown 1234 raised
		chmod 4755 raised
		raised=(./raised)
	fi
	run "$PROFFS" run -m "$TREE" -- "${raised[@]}"
	is "$status" 0
	has "$output" "is setuid"
	[ ! -e "$TREE" ]
}

# without_fuse SETUP CMD...: CMD where SETUP was done in a mount table of its own.
without_fuse() {
	(own_mounts bash -c "$1"' && shift && exec "$@"' sh "$@")
}

@test "without /dev/fuse the program runs all the same, and one line says what is missing" {
	hide='mount -t tmpfs none /dev && { mknod /dev/null c 1 3 || touch /dev/null; } 2>/dev/null'
	run without_fuse "$hide" "$PROFFS" run -m "$TREE" -- bash -c 'echo ran; exit 3'
	is "$status" 3
	has "$output" ran
	has "$output" "no /dev/fuse"
	is "$(grep -c '^proffs: ' <<<"$output")" 1
}

@test "with a /dev/fuse that does not work the program runs all the same, and one line says so" {
	run without_fuse 'mount --bind /dev/null /dev/fuse && exec 2>said' timeout 60 \
		"$PROFFS" run -m "$TREE" -- bash -c 'until grep -q unwatched said; do sleep 0.05; done; echo ran; exit 3'
	output+=$(cat said)
	is "$status" 3
	has "$output" ran
	has "$output" "runs unwatched"
}

@test "kill -9 leaves no mount behind" {
	mkdir "$TREE"
	tree_start -- sleep 100
	tree_stop KILL
	wait_until 5 no_mount_left
	[ -d "$TREE" ]
	is "$(ls "$TREE")" ""
}

@test "killed at any moment while the tree is made, a program leaves neither mount nor directory" {
	for ((i = 0; i < 40; i++)); do
		"$PROFFS" run -m "$BATS_TEST_TMPDIR/$i" -- sleep 100 </dev/null >"$OUT" 2>"$ERR" 3>&- &
		pid=$!
		sleep "$(printf "0.%04d" $((950 + 15 * i)))" # a tree is made after 100 ms
		kill -KILL "$pid"
		wait "$pid" 2>/dev/null || true
	done
	wait_until 10 no_mount_left
	no_directory_left() { [ -z "$(find "$BATS_TEST_TMPDIR" -mindepth 1 -type d)" ]; }
	wait_until 10 no_directory_left
}

@test "a tree can be mounted where one has just ended" {
	for _ in 1 2 3; do
		tree_start -- sleep 100
		grep -q heap "$TREE/README"
		tree_stop
		wait_until 5 no_mount_left
	done
}

@test "unmounting by hand leaves the program running" {
	tree_start -- sleep 100
	umount -l "$TREE" 2>/dev/null || fusermount3 -u -z "$TREE"
	[ ! -e "$TREE/README" ]
	kill -0 "$PID"
	[ -z "$(ls "$TREE")" ]
}

@test "LD_PRELOAD with PROFFS_MOUNT is the second way in" {
	background env LD_PRELOAD="$BUILD/libproffs.so" PROFFS_MOUNT="$TREE" sleep 100
	wait_until 20 tree_ready
	grep -q '^' "$TREE/heap"
	tree_stop
	wait_until 5 no_mount_left
}

@test "a child of the watched program is not watched, and its end does not end the tree" {
	tree_start -- sh -c 'until [ -e go ]; do sleep 0.05; done
		ls / >/dev/null; sh -c "exit 3"; echo "child: $?"; while :; do sleep 0.1; done'
	touch go
	wait_until 5 says "child: 3"
	tree_ready
	is "$(cat "$ERR")" "proffs: $TREE"
}

@test "a mount point beside the published trees needs no mkdir, be it the first since the boot" {
	local new=$PWD/runtime program
	mkdir -m 700 "$new"
	program='until [ -e "$1/$$/status" ]; do sleep 0.05; done; stat -c %a "$1"'
	is "$(XDG_RUNTIME_DIR=$new timeout 60 "$PROFFS" run -m "$new/proffs/%p" -- \
		sh -c "$program" sh "$new/proffs" 2>"$ERR" 3>&-)" 700
	if [ "$(id -u)" -eq 0 ]; then
		is "$(unset XDG_RUNTIME_DIR; timeout 60 unshare -m sh -c '
			mount -t tmpfs -o mode=755 boot /run && exec "$@"' sh "$PROFFS" \
			run -m /run/proffs/%p -- sh -c "$program" sh /run/proffs 2>"$ERR" 3>&-)" 755
	fi
	# Of anybody else's directory nothing is made.
	"$PROFFS" run -m "$new/other/proffs/%p" -- true 2>"$ERR" 3>&-
	grep -q 'parent directory cannot be reached' "$ERR"
	[ ! -e "$new/other" ]
}
