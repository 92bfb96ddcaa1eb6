#!/usr/bin/env bats
# Whatever becomes of the process, it leaves nothing behind, and nothing of ours holds it up.

load fs.bash

# reaper_of PLACE: the one that waits for the tree there
reaper_of() {
	local file
	for file in /proc/[0-9]*/cmdline; do
		[ "$(tr '\0' '\n' <"$file" 2>/dev/null | sed -n '1p;4,5p' | paste -sd ' ')" = "proffs-reaper mount $1" ] || continue
		basename "${file%/cmdline}"
	done
}

@test "kill -9 leaves no mount" {
	start_host
	kill -9 "$HOST"
	until_true not_mounted
	until_true ended "$HOST"
}

# The reaper is there before the mount. A pipe that ends without a word is an agent that was killed
# before it could tell the number.
@test "an agent killed between its mount and the word about it leaves none; what lives stays" {
	start_host
	"$REAPER" 3 -1 mount "$M" "proffs-$HOST" -1 3< <(:)
	mounted
	[ -r "$M/README" ]
	kill -9 "$(reaper_of "$M")"
	kill -9 "$HOST"
	until_true ended "$HOST"
	mounted
	"$REAPER" 3 -1 mount "$M" proffs-1 -1 3< <(:)
	mounted
	"$REAPER" 3 -1 mount "$M" "proffs-$HOST" -1 3< <(:)
	not_mounted
}

# The reaper makes the directory, so it knows of it from the first moment; what it did not make stays.
@test "an agent killed before it mounts leaves no directory, but the one that was there" {
	"$REAPER" 3 -1 mount "$DIR/new" proffs-1 4 3< <(
		until [ -d "$DIR/new" ]; do sleep 0.01; done
	) 4>"$DIR/answer"
	[ "$(od -An -td4 "$DIR/answer" | tr -d ' ')" = 1 ]
	[ ! -e "$DIR/new" ]
	"$REAPER" 3 -1 mount "$DIR/new" proffs-1 4 3< <(:) 4> >(:) # its asker does not listen any more
	[ ! -e "$DIR/new" ]
	mkdir "$DIR/old"
	"$REAPER" 3 -1 mount "$DIR/old" proffs-1 4 3< <(:) 4>"$DIR/answer"
	[ "$(od -An -td4 "$DIR/answer" | tr -d ' ')" = 0 ]
	[ -d "$DIR/old" ]
}

# Who is started again at once finds the directory of the one before, and did not make it.
@test "a tree at the place of one that was killed a moment ago leaves no directory either" {
	waits_for_mounts() { ls -l "/proc/$first/fd" | grep -q mountinfo; }
	for signal in TERM KILL; do
		start_host
		first=$(reaper_of "$M")
		kill -STOP "$first"
		kill -KILL "$HOST"
		until_true ended "$HOST"
		start_host
		kill -CONT "$first"
		until_true waits_for_mounts
		head -1 "$M/heap" | grep -q '^text heap'
		kill -"$signal" "$HOST"
		until_true not [ -e "$M" ]
		until_true ended "$first"
		not_mounted
	done
}

# As when two programs mount at one place in the same moment.
@test "a tree that is covered when its program is killed goes as soon as it is not" {
	waits_for_mounts() { ls -l "/proc/$reaper/fd" | grep -q mountinfo; }
	start_host
	reaper=$(reaper_of "$M")
	mount -t tmpfs none "$M"
	kill -KILL "$HOST"
	until_true ended "$HOST"
	until_true waits_for_mounts
	umount "$M"
	until_true ended "$reaper"
	not_mounted
	[ ! -e "$M" ]
}

@test "SIGTERM leaves no mount" {
	start_host
	kill -TERM "$HOST"
	until_true not_mounted
}

@test "a clean stop leaves no mount and the program goes on to its own end" {
	start_host stop
	wait "$HOST"
	not_mounted
}

@test "exit with files of its own tree open leaves no mount and no zombie" {
	start_host open status open heap open cpu/hz exit 7
	ends_with 7 "$HOST"
	until_true not_mounted
}

@test "kill -9 while its own main thread waits in its own tree" {
	start_host read cpu-60s.pprof
	running() { grep -q ', 1 waiting' "$M/cpu/status"; }
	until_true running
	kill -9 "$HOST"
	until_true not_mounted
	until_true ended "$HOST"
}

@test "the program reads its own tree" {
	start_host read heap read cpu-0.1s.txt read cmdline
	read_thrice() { [ "$(grep -c '^read [1-9]' "$DIR/out")" = 3 ]; }
	until_true read_thrice
}

# The kernel gives numbers that are free again to the next mount, be it a moment later.
@test "a reaper leaves the tree alone that has got the number of its own" {
	start_host
	number=$(awk -v at="$M" '$5 == at {print $1}' /proc/self/mountinfo)
	tell() { printf "$(printf '\\x%02x' $((number & 255)) $((number >> 8 & 255)) $((number >> 16 & 255)) 0)"; }
	"$REAPER" 3 -1 mount "$M" proffs-1 0 3< <(tell)
	head -1 "$M/heap" | grep -q '^text heap'
	"$REAPER" 3 -1 mount "$M" "proffs-$HOST" 0 3< <(tell)
	not_mounted
}

@test "kill -9 with a living forked child leaves no mount" {
	start_host fork 30
	forked() { CHILD=$(pgrep -P "$HOST" sleep); }
	until_true forked
	kill -9 "$HOST"
	until_true not_mounted
	kill -0 "$CHILD"
}

@test "exec leaves no mount, though the process lives on" {
	start_host exec 30
	until_true not_mounted
	kill -0 "$HOST"
}

@test "readers that wait when the program is killed are told" {
	start_host
	cat "$M/cpu-60s.pprof" >"$DIR/o" 2>"$DIR/e" &
	reader=$!
	waiting() { grep -q ', 1 waiting' "$M/cpu/status"; }
	until_true waiting
	kill -9 "$HOST"
	ends_with 1 "$reader"
	grep -Eq 'connection abort|not connected' "$DIR/e"
}

@test "readers that wait when the agent stops get Interrupted" {
	start_host
	cat "$M/cpu-60s.pprof" >"$DIR/o" 2>"$DIR/e" &
	reader=$!
	waiting() { grep -q ', 1 waiting' "$M/cpu/status"; }
	until_true waiting
	kill -USR1 "$HOST"
	ends_with 1 "$reader"
	grep -q 'Interrupted system call' "$DIR/e"
	wait "$HOST"
	not_mounted
}

@test "umount from outside ends the tree, and the program goes on" {
	start_host
	umount -l "$M" 2>/dev/null || fusermount3 -u -z "$M"
	kill -0 "$HOST"
	kill -USR1 "$HOST"
	wait "$HOST"
}

@test "the remains of a dead tree are replaced" {
	"$FS_HOST" -m "$M" >"$DIR/out" 2>&1 3>&- &
	HOST=$!
	until_true mounted
	kill -9 "$HOST"
	until_true ended "$HOST"
	run -2 ls "$M"
	[[ $output == *"not connected"* ]]
	start_host
	head -1 "$M/heap" | grep -q '^text heap'
	[ "$(grep -c " $M fuse.proffs " /proc/mounts)" = 1 ]
}

@test "a living tree, a link, a foreign or full directory are refused, each by name" {
	start_host
	run -3 "$FS_HOST" -m "$M"
	[[ $output == *"another tree is mounted there"* ]]
	mkdir "$DIR/empty" "$DIR/full" "$DIR/foreign"
	ln -s "$DIR/empty" "$DIR/link"
	run -3 "$FS_HOST" -m "$DIR/link"
	[[ $output == *"symbolic link"* ]]
	touch "$DIR/full/file"
	run -3 "$FS_HOST" -m "$DIR/full"
	[[ $output == *"not empty"* ]]
	run -3 "$FS_HOST" -m "$DIR/full/file"
	[[ $output == *"no directory"* ]]
	run -3 "$FS_HOST" -m "$DIR/missing/deep"
	[[ $output == *"cannot be created"* ]]
	[ "$(id -u)" -eq 0 ] || skip "for root"
	chown 12345 "$DIR/foreign"
	run -3 "$FS_HOST" -m "$DIR/foreign"
	[[ $output == *"somebody else"* ]]
}

@test "a missing mount point is made for its owner alone, and goes with the tree" {
	[ "$(id -u)" -eq 0 ] || skip "for root"
	start_host
	mkdir "$DIR/below"
	mount --bind "$DIR" "$DIR/below" # without what is mounted in it
	mode=$(stat -c %a "$DIR/below/tree")
	umount "$DIR/below"
	[ "$mode" = 700 ]
	kill -USR1 "$HOST"
	wait "$HOST"
	[ ! -e "$M" ]
	start_host
	kill -9 "$HOST"
	gone() { [ ! -e "$M" ]; }
	until_true gone
	mkdir "$M"
	start_host
	kill -9 "$HOST"
	until_true not_mounted
	[ -d "$M" ]
}

@test "a detached tree is found by its link, is in no mount table, and goes with its process" {
	export XDG_RUNTIME_DIR=$DIR/run
	mkdir -m 700 "$XDG_RUNTIME_DIR"
	start_any
	[ "$READY" = "$XDG_RUNTIME_DIR/proffs/$HOST" ]
	head -1 "$READY/heap" | grep -q '^text heap'
	echo 98 >"$READY/cpu/hz" && [ "$(cat "$READY/cpu/hz")" = 98 ]
	not grep -q "^proffs-$HOST " /proc/mounts
	kill -9 "$HOST"
	gone() { [ ! -L "$READY" ]; }
	until_true gone
}

@test "without a directory that only its owner can write to, nothing is published" {
	export XDG_RUNTIME_DIR=$DIR/run
	mkdir -p "$XDG_RUNTIME_DIR/proffs"
	chmod 777 "$XDG_RUNTIME_DIR/proffs"
	start_any
	[ "$READY" = "/run/proffs/$HOST" ]
	kill -USR1 "$HOST"
	wait "$HOST"
	[ ! -L "$READY" ]
}

@test "the program sees no child of ours and no SIGCHLD" {
	start_host sigchld
	said() { grep -q '^sigchld 0 wait -1 No child processes' "$DIR/out"; }
	until_true said
}

# What lsof asks of every descriptor there is, and ls of what a link leads to: the kernel knows it from the
# reaper, which asks anew when a listing has made the kernel forget.
@test "who passes by a detached tree does not wait for a program that is stopped" {
	export XDG_RUNTIME_DIR=$DIR
	start_any
	stopped() { [ -z "$(grep -L "^State:.T" /proc/"$HOST"/task/*/status)" ]; }
	# A stat that is killed while it waits has brought the kernel nothing.
	passes() {
		local rc=0
		kill -STOP "$HOST"
		until_true stopped
		timeout 1 "$@" >/dev/null 2>&1 || rc=$?
		kill -CONT "$HOST"
		return "$rc"
	}
	soon_passes() {
		local try
		for try in {1..60}; do ! passes "$@" || return 0; done
		return 1
	}
	soon_passes stat -L "$READY"
	ls "$READY/" >/dev/null
	soon_passes stat -L "$READY"
	soon_passes ls -l --color=always "${READY%/*}"
}

@test "a stopped program's waiting reader can be killed" {
	start_host
	kill -STOP "$HOST"
	cat "$M/heap" >/dev/null 2>&1 &
	reader=$!
	sleep 0.2
	kill -9 "$reader"
	until_true ended "$reader"
	kill -CONT "$HOST"
	head -1 "$M/heap" | grep -q '^text heap'
}
