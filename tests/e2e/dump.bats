# Plain files: at exit, and when a signal says so; with a tree and without.
load ../helper

# whole DIR: everything a dump has, complete.
whole() {
	local name
	for name in heap.folded threads.folded error_log; do
		[ -f "$1/$name" ] # may be empty
	done
	for name in heap heap.txt heap.pprof allocs.pprof threads threads.txt threads.pprof \
		cpu.txt cpu.pprof status cmdline README; do
		[ -s "$1/$name" ] || { echo "no $name in: $(ls -A "$1")" && return 1; }
	done
	is "$(find "$1" -name '.*.new' -o -name '*wait*' -o -name events)" ""
	is "$(stat -c %a "$1/heap")" 600
}

@test "the whole tree is written at exit, and the exit code is the program's" {
	run "$PROFFS" run --dump-on-exit dump --set heap_sample_bytes=4096 -- bash -c 'for ((i = 0; i < 300000; i++)); do :; done; exit 7'
	is "$status" 7
	whole dump
	has "$(cat dump/heap)" xmalloc
	has "$(tr '\0' ' ' <dump/cmdline)" "exit 7"
	has "$(pprof_rows dump/cpu.pprof -cum)" execute_command
	has "$(cat dump/status)" "cpu on"
	is "$(stat -c %a dump)" 700
}

@test "a program of a few milliseconds is dumped, too" {
	run "$PROFFS" run --dump-on-exit dump -- bash -c 'exit 3'
	is "$status" 3
	[ -s dump/heap.pprof ]
	[ -s dump/status ]
}

@test "with a tree there is the tree and then the dump" {
	tree_start --dump-on-exit dump -- bash -c 'trap "exit 5" USR1; while :; do sleep 0.1; done'
	[ ! -e dump/heap ]
	tree_stop USR1
	is "$STATUS" 5
	whole dump
	no_mount_left
}

@test "a tree unmounted by hand does not take the dump with it" {
	tree_start --dump-on-exit dump -- bash -c 'trap "exit 5" USR1; while :; do sleep 0.1; done'
	umount -l "$TREE" 2>/dev/null || fusermount3 -u -z "$TREE"
	wait_until 5 [ ! -e "$TREE" ] # what was made for the tree went with it
	[ ! -e dump/heap ]
	tree_stop USR1
	is "$STATUS" 5
	whole dump
	grep -qE '^tree +unavailable: lost at 20.*Z: unmounted' dump/status
}

@test "a signal writes the tree each time it comes, and the program goes on" {
	PROFFS_DUMP_SIGNAL=USR2 tree_start --dump-on-exit dump -- "$TARGET/split"
	kill -USR2 "$PID"
	done_with() { grep -q "^dumps  *$1 " "$TREE/status"; }
	wait_until 10 done_with 1
	kill -USR2 "$PID"
	wait_until 10 done_with 2
	whole dump/1
	whole dump/2
	has "$(pprof_rows dump/2/cpu.pprof -cum)" seventy
	tree_ready
}

@test "without a name for it, a signal's dump goes to proffs-PID" {
	PROFFS_DUMP_SIGNAL=SIGUSR2 tree_start -- "$TARGET/split"
	kill -USR2 "$PID"
	written() { grep -q "^dumps  *1 " "$TREE/status"; }
	wait_until 10 written
	whole "proffs-$PID/1"
}

@test "a signal that the program handles or ignores stays its own" {
	for how in 'echo got' ''; do
		PROFFS_DUMP_SIGNAL=USR2 tree_start -- bash -c "trap '$how' USR2; echo trapped; while :; do sleep 0.1; done"
		wait_until 5 says trapped
		kill -USR2 "$PID"
		[ -z "$how" ] || wait_until 5 says got
		sleep 0.3
		[ ! -e "proffs-$PID" ]
		tree_stop
		wait_until 5 no_mount_left
	done
}

@test "a child that inherits the signal dies of it, as without us" {
	PROFFS_DUMP_SIGNAL=USR2 tree_start -- python3 -c '
import os, signal
pid = os.fork()
if pid == 0:
    os.kill(os.getpid(), signal.SIGUSR2)
    os._exit(0)
print(os.WTERMSIG(os.waitpid(pid, 0)[1]), flush=True)
signal.pause()'
	wait_until 5 says 12
}

@test "a signal toggles the CPU recorder" {
	PROFFS_TOGGLE_SIGNAL=USR1 tree_start -- "$TARGET/split"
	recorder_is() { grep -qx "$1" "$TREE/cpu/enable"; }
	wait_until 5 recorder_is 1
	kill -USR1 "$PID"
	wait_until 5 recorder_is 0
	kill -USR1 "$PID"
	wait_until 5 recorder_is 1
}

@test "without /dev/fuse files are written all the same" {
	run unshare -rm bash -c 'mount --bind /dev/null /dev/fuse && exec "$@"' sh \
		"$PROFFS" run --dump-on-exit dump -- bash -c 'for ((i = 0; i < 300000; i++)); do :; done; exit 7'
	is "$status" 7
	has "$output" "only files are written"
	whole dump
	run unshare -rm bash -c 'mount -t tmpfs none /dev && { mknod /dev/null c 1 3 || touch /dev/null; } 2>/dev/null; exec "$@"' sh \
		"$PROFFS" run -m "$TREE" --dump-on-exit other -- bash -c 'for ((i = 0; i < 300000; i++)); do :; done; exit 7'
	is "$status" 7
	has "$output" "no /dev/fuse"
	whole other
}

@test "--cpuprofile --memprofile --profiledir: a file each, by command and time" {
	run "$PROFFS" run --cpuprofile --memprofile --profiledir profiles -- bash -c 'for ((i = 0; i < 300000; i++)); do :; done; exit 7'
	is "$status" 7
	is "$(ls profiles | sed -E 's/[0-9]{8}_[0-9]{6}/STAMP/')" "bash_alloc_STAMP.prof
bash_cpu_STAMP.prof
bash_mem_STAMP.prof"
	has "$(pprof_rows profiles/bash_cpu_*.prof -cum)" execute_command
	pprof_rows profiles/bash_mem_*.prof
	run "$PROFFS" run --cpuprofile -- bash -c 'for ((i = 0; i < 300000; i++)); do :; done'
	is "$(ls bash_*)" "$(echo bash_cpu_*.prof)"
}

@test "each process of a family writes to a place of its own" {
	run "$PROFFS" run -m "$PWD/t-%p" --dump-on-exit dump -- true
	is "$status" 2
	run "$PROFFS" run -m "$PWD/t-%p" --dump-on-exit 'dump-%p' -- bash -c 'sleep 0.3 & wait; exit 4'
	is "$status" 4
	is "$(cat dump-*/cmdline | tr '\0' '\n' | grep -cx -e sleep)" 1
	is "$(ls -d dump-*/status | wc -l)" 2
}

@test "a place that cannot be written is refused before anything runs" {
	touch file
	for bad in file no/such/parent; do
		run "$PROFFS" run --dump-on-exit "$bad" -- touch ran
		is "$status" 2
		has "$output" "$bad"
		[ ! -e ran ]
	done
}
