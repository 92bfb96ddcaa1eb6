# A program under a seccomp filter that kills for what only we do ends as it would without us, and its tree
# says what is left out. The truth stands in tests/target/sandbox.c.
load ../helper

# confined HOW...: watched, and ready; its filter is installed where it is not `early`.
confined() {
	mkfifo pipe
	tree_start -- "$TARGET/sandbox" pipe "$@"
	exec 4<>pipe
	[[ " $* " == *" early "* ]] || echo >&4
	wait_until 20 says worked
}

# finished [CODE]: it is let go, and ends as it would without us.
finished() {
	STATUS=0
	echo q >&4
	wait "$PID" || STATUS=$?
	exec 4>&-
	is "$STATUS" "${1-7}"
	is "$(tail -n 1 "$OUT")" done
	hasnt "$(cat "$OUT")" otherwise
}

counted() { awk -v name="$1" '$1 == name {print $2}' "$TREE/status"; }

# said: what stands in status beside `seccomp`
said() { sed -n 's/^seccomp  *//p' "$TREE/status"; }

@test "without us every way ends with 7" {
	for how in only timer_create "timer_create tsync" bad "openat first" "only prctl fork" rt_sigreturn; do
		rm -f pipe
		mkfifo pipe
		exec 4<>pipe
		background "$TARGET/sandbox" pipe $how early
		wait_until 20 says worked
		finished
	done
}

@test "timer_create kills one thread's process: it is sampled all the same" {
	confined timer_create
	has "$(cat "$TREE/cpu-1s.folded")" ';confined;work '
	has "$(said)" "left out"
	is "$(counted threads_left_alone)" ""
	finished
}

@test "timer_create kills for all threads: what goes on does, and the rest is said" {
	confined timer_create tsync
	has "$(said)" "left out"
	has "$(cat "$TREE/threads")" "[stack not readable]"
	cat "$TREE/cpu-1s.folded" >shown || true
	[ "$(counted cpu_lost_no_timer)" -ge 1 ] || has "$(cat shown)" free_of_it
	finished
}

@test "process_vm_readv kills for all threads: sleepers have their stacks from elsewhere" {
	confined process_vm_readv tsync
	has "$(said)" "left out"
	cat "$TREE/wall-1s.folded" >shown
	has "$(cat shown)" free_of_it
	finished
}

@test "perf_event_open kills for all threads: precise is refused or its events go" {
	confined perf_event_open tsync
	echo 1 >"$TREE/cpu/precise" || true
	has "$(cat "$TREE/cpu-1s.folded")" free_of_it
	finished
}

@test "execve kills for all threads" {
	confined execve tsync
	cat "$TREE/cpu-1s.txt?lines=1" >shown || true
	has "$(cat "$TREE/cpu-1s.folded")" free_of_it
	finished
}

@test "umount2 kills for all threads: the reaper takes the tree away" {
	confined umount2 tsync
	finished
}

@test "a filter that lets nothing of ours pass: the thread is left alone, and the others are watched" {
	confined only fork
	has "$(said)" "left alone"
	[ "$(counted threads_left_alone)" -ge 1 ]
	has "$(cat "$TREE/cpu-1s.folded")" free_of_it
	hasnt "$(cat "$TREE/cpu-1s.folded")" ';confined;work '
	has "$(cat "$TREE/threads")" sandbox
	finished
}

@test "the same by prctl, at the very start of main" {
	confined only prctl early
	has "$(said)" "left alone"
	has "$(cat "$TREE/cpu-1s.folded")" free_of_it
	finished
}

@test "a filter without rt_sigreturn: no signal of ours comes any more" {
	confined rt_sigreturn
	has "$(said)" "left alone"
	echo 1 >"$TREE/cpu/precise" || true
	cat "$TREE/cpu-1s.folded" "$TREE/threads" >shown
	has "$(cat shown)" free_of_it
	finished
}

@test "with every collector on" {
	mkfifo pipe
	tree_start -- "$TARGET/sandbox" pipe only
	echo 1 >"$TREE/enable"
	echo 1 >"$TREE/cpu/precise" || true
	exec 4<>pipe
	echo >&4
	wait_until 20 says worked
	cat "$TREE/heap" "$TREE/mutex" "$TREE/block" >shown
	echo 0 >"$TREE/enable"
	finished
}

@test "seccomp's strict mode" {
	confined strict
	has "$(said)" "left alone"
	has "$(cat "$TREE/cpu-1s.folded")" free_of_it
	echo q >&4
	wait_until 20 says done
	STATUS=0
	wait "$PID" || STATUS=$?
	exec 4>&-
}

@test "a filter for all threads that forbids what ours need: the tree ends, the program goes on" {
	mkfifo pipe
	tree_start -- "$TARGET/sandbox" pipe only tsync
	exec 4<>pipe
	echo >&4
	wait_until 20 says worked
	wait_until 20 no_mount_left
	has "$(cat "$ERR")" "proffs: the tree ends"
	finished
}

@test "TSYNC hands on what the thread had forbidden to itself before" {
	mkfifo pipe
	tree_start -- "$TARGET/sandbox" pipe openat first
	exec 4<>pipe
	echo >&4
	wait_until 20 says worked
	wait_until 20 no_mount_left
	has "$(cat "$ERR")" "proffs: the tree ends"
	hasnt "$(cat "$OUT")" "not handed on"
	finished
}

@test "what the heir and its keeper do is forbidden to all threads: files are written all the same, or none" {
	for call in getresuid pidfd_open; do
		rm -f pipe
		mkfifo pipe
		background "$PROFFS" run -m "$TREE" --cpuprofile --profiledir "$call" -- \
			"$TARGET/sandbox" pipe "$call" tsync
		wait_until 20 tree_ready
		exec 4<>pipe
		echo >&4
		wait_until 20 says worked
		finished
		wait_until 20 no_mount_left
	done
}

@test "the same before there is a tree" {
	mkfifo pipe
	background "$PROFFS" run -m "$TREE" -- "$TARGET/sandbox" pipe only tsync early
	exec 4<>pipe
	wait_until 20 says worked
	finished
}

@test "a filter that the kernel refuses changes nothing" {
	confined bad tsync
	has "$(cat "$OUT")" "refused: EINVAL"
	is "$(said)" off
	wait_until 20 tree_ready
	has "$(cat "$TREE/cpu-1s.folded")" ';confined;work '
	is "$(counted threads_left_alone)" ""
	finished
}

@test "a filter that says EPERM is no harm" {
	confined errno:timer_create
	is "$(said)" off
	has "$(cat "$TREE/cpu-1s.folded")" ';confined;work '
	finished
}

@test "a forked child confines itself, alone and with all its threads" {
	for how in "only" "only tsync" "gettid prctl"; do
		rm -f pipe
		confined $how inchild
		is "$(said)" off
		finished
		wait_until 20 no_mount_left
	done
}
