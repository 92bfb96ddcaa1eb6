# Plain files: at the end, whatever brings it, and when a signal says so; with a tree and without.
load ../helper

LIFE=$TARGET/life

an_heir() { [ -n "$(heirs "$PID")" ]; }

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
	is "$(cat "$1/cpu/hz")" 97
	has "$(cat "$1/enable")" "heap on"
	cmp "$1/debug/pprof/profile" "$1/cpu.pprof"
	cmp "$1/debug/pprof/heap" "$1/heap.pprof"
	cmp "$1/goroutine" "$1/threads"
	is "$(tail -n 1 "$1/heap.html")" "</html>" # no blanks behind it, as the live one has
	is "$(tail -n 1 "$1/cpu.svg")" "</svg>"
}

@test "the whole tree is written at exit, and the exit code is the program's" {
	run "$PROFFS" run --dump-on-exit dump --set heap_sample_bytes=4096 -- bash -c 'for ((i = 0; i < 300000; i++)); do :; done; exit 7'
	is "$status" 7
	whole dump
	has "$(cat dump/heap)" xmalloc
	is "$(cat dump/config/heap_sample_bytes)" 4096
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
	ticking_start --dump-on-exit dump
	[ ! -e dump/heap ]
	tree_stop USR1
	is "$STATUS" 5
	whole dump
	no_mount_left
}

@test "a tree unmounted by hand does not take the dump with it" {
	ticking_start --dump-on-exit dump
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
	wait_until 20 has_samples 20
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

@test "whoever died with a lock of the loader's or of malloc's holds up no file" {
	export LIFE_TREE=$TREE
	names_after() { # FILE, how it is killed
		rm -rf dump
		run "$PROFFS" run -m "$TREE" --dump-on-exit dump -- "$LIFE" "${@:2}"
		is "$status" 137
		wait_until 10 no_heir
		wait_until 10 no_mount_left
		(cd dump && find . | LC_ALL=C sort) >"$1"
	}
	names_after whole signal 9
	grep -qx ./threadcreate.txt whole
	names_after names loader
	diff whole names
	for how in births allocations; do
		for ((i = 0; i < 6; i++)); do
			names_after names $how
			diff whole names
		done
	done
}

# What is in the tree and not in a dump: fs/dump.c, is_dumped(). Nothing else may be.
@test "a dump has the names of the tree, all but those that are nothing as plain files" {
	PROFFS_DUMP_SIGNAL=USR2 tree_start --dump-on-exit dump --set enable='+wall +mutex' -- \
		/usr/bin/python3 -c '
import threading, time
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
for number in range(10**6): str(number)
print("resting", flush=True)
time.sleep(1000)'
	wait_until 20 says resting
	wait_until 20 asleep
	wait_until 5 an_heir
	echo 1 >"$TREE/cpu/seconds"
	echo 1 >"$TREE/wall/seconds"
	cat "$TREE/cpu/wait" "$TREE/wall/wait"
	echo before >"$TREE/snapshot"
	run sh -c "echo many >$TREE/cpu/hz"
	is "$status" 1
	(cd "$TREE" && find . | LC_ALL=C sort) >names
	kill -USR2 "$PID"
	done_with() { grep -q "^dumps  *$1 " "$TREE/status"; }
	wait_until 10 done_with 1
	(cd dump/1 && find . | LC_ALL=C sort) >dumped
	is "$(LC_ALL=C comm -23 names dumped)" "./cpu/wait
./debug/pprof/symbol
./events
./pprof/symbol
./wall/wait"
	is "$(LC_ALL=C comm -13 names dumped)" ""
	is "$(find dump/1 -type l -printf '%P %l\n' | sort)" "goroutine threads
pprof/cmdline ../debug/pprof/cmdline"
	cmp dump/1/captures/before/heap.pprof "$TREE/captures/before/heap.pprof"
	for file in "$TREE"/captures/*.pprof; do cmp "$file" "dump/1/captures/${file##*/}"; done
	has "$(cat dump/1/error_log)" 'cpu/hz: "many"'
	has "$(cat dump/1/snapshot)" before
	has "$(cat dump/1/cpu/status)" "cpu last finished"
	has "$(cat dump/1/thread/*/created_by)" "thread $PID"
	has "$(cat dump/1/history)" "heap_allocated"

	# At the end the tree has gone, but not what it remembered. The living are not there any more.
	mkdir -p dump/thread/1 && echo old >dump/thread/1/name
	tree_stop
	wait_until 10 no_heir
	wait_until 10 [ -e dump/captures/before/threads.pprof ]
	cmp dump/1/captures/before/heap.pprof dump/captures/before/heap.pprof
	has "$(cat dump/error_log)" 'cpu/hz: "many"'
	(cd dump && find . -path ./1 -prune -o -print | LC_ALL=C sort) >left
	is "$(LC_ALL=C comm -23 dumped left | grep -v '^./thread')" "./debug/pprof/goroutine
./debug/stats
./goroutine
./metrics
./openmetrics
./stats"
	is "$(find dump/thread -mindepth 1)" ""
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

@test "a toggle that ends a stretch of --cpuprofile writes it; what is written is not written over" {
	PROFFS_TOGGLE_SIGNAL=USR1 tree_start --cpuprofile --profiledir profiles --set enable=-cpu -- "$TARGET/split"
	files_are() { [ "$(find profiles -name 'split_cpu_*.prof' | wc -l)" = "$1" ]; }
	has_samples() { [ "$(grep -c seventy "$TREE/cpu.folded")" -gt 0 ]; }
	for stretch in 1 2 3; do
		files_are $((stretch - 1))
		kill -USR1 "$PID"
		recorder() { grep -qx 1 "$TREE/cpu/enable"; }
		wait_until 10 recorder # else the next one may be the same signal
		wait_until 10 has_samples
		kill -USR1 "$PID"
		wait_until 10 files_are "$stretch"
		no_recorder() { grep -qx 0 "$TREE/cpu/enable"; }
		wait_until 10 no_recorder
	done
	tree_stop
	wait_until 10 no_heir
	files_are 3 # the recorder was off at the end
	for file in profiles/*; do has "$(pprof_rows "$file" -cum)" seventy; done
}

@test "what ends in the same second stands side by side" {
	for _ in 1 2 3 4; do
		background "$PROFFS" run --cpuprofile --profiledir profiles -- sleep 0.5
	done
	wait
	is "$(ls profiles/sleep_cpu_*.prof | wc -l)" 4
	for file in profiles/*; do has "$(go tool pprof -top "$file" 2>/dev/null)" "Type: cpu"; done
}

@test "of a program that only sleeps there is a valid profile, which says why it is empty" {
	tree_start --cpuprofile --profiledir profiles --set enable=-cpu -- sleep 100
	run cat "$TREE/cpu.txt"
	is "$status" 1
	has "$output" "No data available"
	echo 1 >"$TREE/cpu/enable"
	has "$(cat "$TREE/cpu.txt")" "# no samples: no thread of the program ran"
	tree_stop
	wait_until 10 no_heir
	has "$(go tool pprof -top profiles/sleep_cpu_*.prof 2>&1)" "no samples: no thread of the program ran"
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

@test "that the program waits for its files is no wait of the program's" {
	local i
	for i in 1 2 3; do # many threads, so that writing takes a while
		"$PROFFS" run --wallprofile --blockprofile --profiledir "profiles.$i" -- /usr/bin/python3 -c '
import threading, time
for i in range(800): threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
time.sleep(0.5)' 2>"$ERR" 3>&-
		go tool pprof -traces "profiles.$i"/*_block_*.prof >"traces.$i" 2>/dev/null
	done
	cat traces.*
	has "$(cat traces.*)" "Type: delay"
	hasnt "$(cat traces.*)" _dl_call_fini
	hasnt "$(cat traces.*)" __run_exit_handlers
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

# ---- ends that nobody is told of ----

# ends HOW...: with files wanted, it ends as without us, and they are written
ends() {
	local plain=0 ours=0
	rm -rf profiles
	timeout 60 "$LIFE" "$@" >/dev/null 2>&1 || plain=$?
	LIFE_TREE=$TREE timeout 60 "$PROFFS" run -m "$TREE" --memprofile --wallprofile \
		--profiledir profiles -- "$LIFE" "$@" >"$OUT" 2>"$ERR" 3>&- || ours=$?
	is "$*: $ours" "$*: $plain"
	all_written() {
		[ "$(ls -A profiles | sed -E 's/[0-9]{8}_[0-9]{6}/STAMP/' | tr '\n' ' ')" = \
			"life_alloc_STAMP.prof life_mem_STAMP.prof life_wall_STAMP.prof " ]
	}
	wait_until 10 all_written
	wait_until 10 no_heir
	pprof_rows profiles/life_wall_*.prof | grep -q .
	wait_until 5 no_mount_left
}

@test "files are written whatever ends the program, and it ends as without us" {
	ends return
	ends _exit
	ends abort
	ends segv
	for signal in 15 1 2 11 9; do ends signal "$signal"; done
}

@test "the CPU profile of a program that was killed has all of its samples" {
	tree_start --cpuprofile --profiledir profiles -- "$TARGET/split"
	wait_until 20 has_samples 50
	taken=$(samples_taken)
	tree_stop KILL
	wait_until 10 no_heir
	rows=$(pprof_rows profiles/split_cpu_*.prof -cum -sample_index=samples)
	[ "$(awk '{sum += $1} END {print sum}' <<<"$rows")" -ge "$taken" ]
	[ "$(column 4 seventy <<<"$rows")" -gt 0 ]
}

@test "a core shows where the program died, and the files are written all the same" {
	case $(cat /proc/sys/kernel/core_pattern) in
	*/* | '|'*) core='' ;;
	*) core=yes ;;
	esac
	ulimit -c unlimited
	LIFE_TREE=$TREE run "$PROFFS" run -m "$TREE" --memprofile --profiledir "$PWD/profiles" -- "$LIFE" segv
	is "$status" 139
	written() { compgen -G 'profiles/life_mem_*.prof'; }
	wait_until 10 written
	[ -z "$core" ] || has "$(gdb -batch -ex bt "$LIFE" core* 2>&1)" by_segv
	wait_until 10 no_heir
}

@test "kill -9 leaves the whole tree as files, but for what only the living have" {
	tree_start --dump-on-exit dump -- sleep 100
	wait_until 5 an_heir
	tree_stop KILL
	is "$STATUS" 137
	wait_until 10 no_heir
	for name in heap heap.pprof allocs.pprof status cmdline README; do
		[ -s "dump/$name" ]
	done
	[ ! -e dump/threads ]
	[ ! -L dump/goroutine ]
	[ -s dump/config/stack_depth ]
	cmp dump/debug/pprof/heap dump/heap.pprof
	[ ! -e dump/stats ]
	grep -qx "pid $PID" dump/status
	grep -qE '^files_at_any_end +ok' dump/status
}

# The signals of a process, as the kernel has them.
signals='import os, re, time
ready = os.environ["READY"] + " +ok"
def status():
    try: return open(os.environ["TREE"] + "/status").read()
    except OSError: return ""
while not re.search(ready, status()): time.sleep(0.05)
print(*re.findall("Sig(?:Blk|Ign|Cgt).*", open("/proc/self/status").read()))
import signal
print([signal.getsignal(s) for s in (11, 6, 15, 8, 7, 4)])'

@test "no signal is caught, blocked or ignored for it" {
	export TREE
	plain=$(READY=tree "$PROFFS" run -m "$TREE" -- python3 -c "$signals" 2>/dev/null)
	wait_until 5 no_mount_left
	is "$(READY=files_at_any_end "$PROFFS" run -m "$TREE" --cpuprofile --memprofile --dump-on-exit dump -- python3 -c "$signals" 2>/dev/null)" "$plain"
	has "$plain" SigCgt
	# A handler of the program's own is its own, and so is what it does with the signal.
	run "$PROFFS" run --cpuprofile --profiledir profiles -- python3 -c '
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *a: sys.exit(9))
os.kill(os.getpid(), signal.SIGTERM)
signal.pause()'
	is "$status" 9
	compgen -G 'profiles/python3*_cpu_*.prof'
}

@test "who waits for the end never has more rights than the program" {
	[ "$(id -u)" -eq 0 ] || skip "for root"
	profiles=$PROFFS_TEST_DIR/profiles # where other users come through
	install -d -m 777 "$profiles"
	tree_start --memprofile --profiledir "$profiles" -- python3 -c '
import os, time
while not os.path.exists("go"): time.sleep(0.05)
os.setgid(12345); os.setuid(12345)
time.sleep(100)'
	wait_until 5 an_heir
	is "$(stat -c %u "/proc/$(heirs "$PID")")" 0
	touch go
	follows() { [ "$(stat -c %u:%g "/proc/$(heirs "$PID")")" = 12345:12345 ]; }
	wait_until 5 follows
	tree_stop KILL
	written() { compgen -G "$profiles/python3*_mem_*.prof"; }
	wait_until 10 written
	is "$(stat -c %u "$profiles"/python3*_mem_*.prof)" 12345
}

@test "nobody waits behind an exec, and the program sees no child" {
	echo "int pause(void); int main(void) { return pause(); }" >still.c
	${CC:-cc} -static -o still still.c
	tree_start --cpuprofile --profiledir profiles -- python3 -c '
import os, time
print("here", flush=True)
while not os.path.exists("go"): time.sleep(0.05)
try:
    os.waitpid(-1, os.WNOHANG | 0x40000000)
    print("a child", flush=True)
except ChildProcessError:
    print("no child", flush=True)
os.execv("./still", ["still"])'
	wait_until 20 says here
	# Who starts it is a child for a moment, seen with __WALL alone.
	wait_until 10 grep -qE '^files_at_any_end +ok' "$TREE/status"
	touch go
	is_still() { [ "$(readlink "/proc/$PID/exe")" = "$PWD/still" ]; }
	wait_until 20 is_still
	wait_until 10 no_heir
	kill -0 "$PID"
	says "no child"
	is "$(ls -A profiles)" ""
}
