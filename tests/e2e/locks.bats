# mutex and block: who makes others wait, who waits, and who waits right now. The right answers stand in
# the first comment of tests/target/contend.c.
load ../helper

# contend ENABLE ARGS...: runs it until it says done.
contend() {
	tree_start --set enable="$1" "${SETS[@]}" -- "$TARGET/contend" "${@:2}"
	touch go
	wait_until 60 says done
}

# ms NAME: flat milliseconds of a function in a text on stdin.
ms() {
	awk -v name="$1" '$1 !~ /^#/ && $6 == name {v = $1} END {print v ? v : 0}'
}

@test "a lock held for 100 ms while five wait: 500 ms where it is released, one contention each time" {
	SETS=(--set mutex_fraction=1)
	contend mutex,block holder 4
	[ "$(awk '$1 == "mutex_waited_ns" {print $2}' "$TREE/status")" -ge 1980000000 ] # not only a second later
	cat "$TREE/mutex"
	has "$(cat "$TREE/mutex")" "(contentions 4,"
	most=$(head -n 1 "$OUT" | awk '{print 1.01 * $1}')
	between 1980 "$most" "$(ms hold_long <"$TREE/mutex")"
	cp "$TREE/mutex.pprof" "$TREE/block.pprof" .
	is "$(pprof_rows mutex.pprof -sample_index=contentions | column 1 hold_long)" 4
	rows=$(pprof_rows block.pprof -tagfocus=kind=mutex -sample_index=contentions)
	is "$(column 1 take <<<"$rows")" 20
	rows=$(pprof_rows block.pprof -tagfocus=kind=mutex -sample_index=delay -unit=ms)
	waited=$(column 1 take <<<"$rows")
	between 1980 "$most" "${waited%ms}"
}

@test "the same with a lock for readers and writers" {
	SETS=(--set mutex_fraction=1)
	contend mutex,block rwlock 3
	cat "$TREE/mutex"
	between 1485 "$(head -n 1 "$OUT" | awk '{print 1.01 * $1}')" "$(ms hold_long <"$TREE/mutex")"
	has "$(cat "$TREE/mutex")" "(contentions 3,"
	has "$(pprof_rows "$TREE/block.pprof" -tagfocus=kind=rwlock)" take
}

@test "writers who wait for a writer, as those of std::shared_mutex do, are charged to it" {
	SETS=(--set mutex_fraction=1)
	contend mutex,block writers 3
	cat "$TREE/mutex"
	between 1485 "$(head -n 1 "$OUT" | awk '{print 1.01 * $1}')" "$(ms hold_long <"$TREE/mutex")"
	has "$(pprof_rows "$TREE/block.pprof" -tagfocus=kind=rwlock)" take
}

# weighs_right RATE_MS: what the profile says is what was waited, by the waiter's own clock. Each stretch of
# RATE_MS is hit exactly once, whatever waits it is made of: more than one stretch is never missing.
weighs_right() {
	local said least most
	said=$(ms wait_for_us <"$TREE/block")
	read -r least most <"$OUT"
	echo "$said of $least to $most"
	between "$(awk -v rate="$1" -v least="$least" 'BEGIN {print 0.99 * least - rate}')" \
		"$(awk -v rate="$1" -v most="$most" 'BEGIN {print 1.01 * most + rate}')" "$said"
}

@test "many short waits and few long ones weigh the same" {
	SETS=(--set block_rate_ns=10000000)
	contend block waits 1000 1000
	weighs_right 10
	tree_stop
	rm go
	contend block waits 100000 10
	weighs_right 0
}

# locked_crosswise MODE: two threads, and a third that waits for one of them; no hook is on.
locked_crosswise() {
	contend cpu "$1"
	text=$(cat "$TREE/mutex")
	echo "$text"
	has "$text" "DEADLOCK: 2 threads"
	for name in lock_ab lock_ba wait_a; do
		has "$text" "$name  [contend]"
	done
	has "$text" "waiting now: 1 thread for locks"
}

@test "a deadlock is named with both stacks" {
	locked_crosswise deadlock
}

# thread_named NAME: its number.
thread_named() {
	grep -lx "$1" "$TREE"/thread/*/name | cut -d/ -f"$(($(tr -cd / <<<"$TREE/thread" | wc -c) + 2))"
}

@test "blocked_on leads from who waits to who holds, and in a deadlock nowhere" {
	contend cpu chain
	holder=$(thread_named holder)
	waiter=$(thread_named waiter)
	is "$(readlink "$TREE/thread/$waiter/blocked_on")" "../$holder"
	is "$(cat "$TREE/thread/$waiter/blocked_on/name")" holder
	is "$(readlink -f "$TREE/thread/$waiter/blocked_on")" "$(realpath "$TREE")/thread/$holder"
	has "$(ls "$TREE/thread/$waiter")" blocked_on
	hasnt "$(ls "$TREE/thread/$holder")" blocked_on
	run readlink "$TREE/thread/$holder/blocked_on"
	[ "$status" -ne 0 ]
	tree_stop
	rm go
	contend mutex,block deadlock
	for name in ab ba third; do
		link=$TREE/thread/$(thread_named "$name")/blocked_on
		[ -L "$link" ]
		run realpath "$link"
		[ "$status" -ne 0 ]
		has "$output" "Too many levels of symbolic links"
		run cat "$link/name"
		has "$output" "Too many levels of symbolic links"
		run readlink -f "$link"
		[ "$status" -ne 0 ]
	done
	is "$(find "$TREE/thread" -name blocked_on -type l | wc -l)" 3
}

@test "a deadlock of writers is named with no hook, and who reads waits for one of them" {
	locked_crosswise rwdeadlock
	for name in ab ba third; do
		run realpath "$TREE/thread/$(thread_named "$name")/blocked_on"
		has "$output" "Too many levels of symbolic links"
	done
}

@test "a thread that locks its own lock again waits for itself" {
	contend mutex self
	text=$(cat "$TREE/mutex")
	has "$text" "DEADLOCK: 1 thread, which waits for itself"
	has "$text" lock_twice
	hasnt "$text" libproffs
}

@test "the texts of debug=1 are Go's, and both pprof read them" {
	SETS=(--set mutex_fraction=1)
	contend mutex,block holder 1
	for name in mutex block; do
		cp "$TREE/debug/pprof/$name?debug=1" "$name.txt"
		is "$(head -n 1 "$name.txt")" "--- contention:"
		has "$(pprof_rows "$name.txt" -cum)" libc.so.6
		has "$(cat "$TREE/$name.folded")" "main;"
		has "$(cat "$TREE/debug/pprof/$name" | gunzip | strings)" contentions
	done
	has "$(pprof_rows mutex.txt)" hold_long
	google-pprof --text "$TARGET/contend" mutex.txt 2>/dev/null | grep -q hold_long
}

@test "a thousand answers of glibc's locks are the same with every hook on" {
	"$TARGET/lockmatrix" >plain &
	plain=$!
	tree_start --set enable=mutex,block --set mutex_fraction=1 --set block_rate_ns=1 \
		--set block_kinds=sync+sleep+io -- "$TARGET/lockmatrix" go
	touch go
	wait "$PID"
	wait "$plain"
	diff plain "$OUT"
	[ "$(wc -l <plain)" -gt 1200 ]
	grep -q EOWNERDEAD plain
	grep -q ENOTRECOVERABLE plain
}

@test "in a fight nobody is let in beside who holds the lock, whatever its kind, and waits are seen" {
	tree_start --set enable=mutex,block --set mutex_fraction=1 --set block_rate_ns=1 -- "$TARGET/lockfight" go
	touch go
	wait_until 60 says done
	[ "$(grep -c ' 16000 0$' "$OUT")" -eq 10 ]
	[ "$(awk '$1 == "mutex_samples" {print $2}' "$TREE/status")" -ge 8 ]
	touch leave
	wait "$PID"
}

@test "a thread that was there before the agent and takes its own lock again waits for nobody" {
	background "$TARGET/stranger" "$TREE"
	wait_until 20 says done
	cat "$TREE/block"
	hasnt "$(cat "$TREE/block.folded" "$TREE/mutex.folded")" take_again
	has "$(cat "$TREE/block.folded")" main
	is "$(awk '/^(mutex_contentions|mutex_waited_ns|wait_short) /' "$TREE/status")" ""
}

@test "a wait for a lock that looked free is seen where somebody has waited lately" {
	tree_start --set enable=mutex,block --set mutex_fraction=1 --set block_rate_ns=1 -- "$TARGET/handover" go
	touch go
	wait_until 20 says done
	cat "$TREE/block"
	cp "$TREE/block.pprof" .
	for name in take_early take_late; do
		is "$(pprof_rows block.pprof -tagfocus=kind=mutex -sample_index=contentions | column 1 $name)" 1
		[ "$(ms $name <"$TREE/block" | awk '{print int($1)}')" -ge 100 ]
	done
	[ "$(ms hold_while <"$TREE/mutex" | awk '{print int($1)}')" -ge 200 ]
}

# rows PROFILE KIND: `NAME MILLISECONDS` of all functions, sums with what they called.
rows() {
	pprof_rows "$1" -cum -sample_index=delay -unit=ms -tagfocus="kind=$2" | awk '{print $6, $4 + 0}' | sed 's/([^ ]*)//'
}

# waited PROFILE KIND NAME
waited() {
	rows "$1" "$2" | awk -v name="$3" '$1 == name {v = $2} END {print v + 0}'
}

# as_long PROFILE KIND NAME [WAITER]: it is there for as long as WAITER has waited, by its own clock.
as_long() {
	local waited
	waited=$(waited "$1" "$2" "$3")
	echo "$1 $2 $3: $waited ms; $(grep "^${4:-$3} " "$OUT")"
	between "$(awk -v name="${4:-$3}" '$1 == name {print 0.99 * $2}' "$OUT")" \
		"$(awk -v name="${4:-$3}" '$1 == name {print 1.01 * $3}' "$OUT")" "$waited"
}

# next_look PROFILE NAME: waits until one more look at NAME has been added; $SUM_US is its sum then, and the look
# was between $LOOK_FROM_US and $LOOK_TO_US.
next_look() {
	local was='' begun until=$((SECONDS + 30))
	while [ "$SECONDS" -lt "$until" ]; do
		begun=${EPOCHREALTIME/[.,]/}
		SUM_US=$(awk -v name=";$2" 'index($0, name) {sum += $NF} END {printf "%d", sum / 1000}' "$TREE/$1.folded")
		LOOK_TO_US=${EPOCHREALTIME/[.,]/}
		[ "$SUM_US" = "${was:-$SUM_US}" ] || return 0
		was=$SUM_US LOOK_FROM_US=$begun
		sleep 0.01
	done
	echo "nobody has looked at $2"
	return 1
}

# grows_by_time THREADS PROFILE NAME: so many wait there all the time, and a second later it has that much more.
grows_by_time() {
	local sum from to
	next_look "$2" "$3"
	sum=$SUM_US from=$LOOK_FROM_US to=$LOOK_TO_US
	sleep 1
	next_look "$2" "$3"
	between $(((LOOK_FROM_US - to) * $1 * 99 / 100)) $(((LOOK_TO_US - from) * $1 * 101 / 100)) $((SUM_US - sum))
}

@test "who is told to go on and waits for the mutex again, within a condition's wait, is in mutex as polled" {
	contend mutex,block again
	grows_by_time 5 mutex wait_for_turn
	cat "$TREE/mutex"
	has "$(cat "$TREE/mutex")" "# polled "
	hasnt "$(cat "$TREE/mutex.folded")" wait_for_nothing
	hasnt "$(cat "$TREE/block.folded")" wait_for_turn # its hook has it when it is over
	has "$(cat "$TREE/mutex")" "waiting now: 5 threads for locks"
}

@test "std::mutex, Rust's kind of lock, C++20's waits, raw futexes, sleeps and reads: each by its kind" {
	tree_start --set enable=mutex,block --set block_kinds=sync+sleep+io --set block_rate_ns=10000 \
		-- "$TARGET/waits"
	touch go
	wait_until 30 says waiting
	# Who waits without the C library is looked at again and again: its sum is exact from look to look.
	grows_by_time 1 block wait_raw
	touch end
	wait_until 30 says done
	cp "$TREE/mutex.pprof" "$TREE/block.pprof" .
	for kind in mutex cond join futex sleep io; do
		echo "$kind:" && rows block.pprof "$kind"
	done
	as_long mutex.pprof mutex std_unlock wait_std
	as_long mutex.pprof futex three_unlock wait_three
	as_long block.pprof mutex wait_std
	as_long block.pprof futex wait_three
	as_long block.pprof futex wait_atomic
	as_long block.pprof futex wait_gate
	as_long block.pprof futex wait_future
	as_long block.pprof cond wait_condition
	as_long block.pprof sleep nap
	as_long block.pprof io read_pipe
	is "$(waited block.pprof io read_much)" 0
	as_long block.pprof io read_until_signal
	is "$(waited block.pprof io read_in_handler)" 0
	is "$(waited mutex.pprof futex wait_raw)" "$(waited block.pprof futex wait_raw)"
	# It stands at who waited, and the text says so.
	polled=$(sed -n 's/^# polled \([0-9.]*\) ms since the start: .*/\1/p' "$TREE/mutex")
	is "$polled" "$(awk '/;wait_raw/ {sum += $NF} END {printf "%.3f", sum / 1e6}' "$TREE/mutex.folded")"
	is "$(waited mutex.pprof futex wait_atomic)" 0 # whoever wakes it has held nothing
	is "$(waited mutex.pprof futex open_gate)" 0
	is "$(waited mutex.pprof futex fulfil)" 0
	# The waiters themselves come first, not what they wait in.
	flat=$(pprof_rows block.pprof -sample_index=delay | awk '$1 !~ /^0/ {print $6}')
	echo "$flat"
	for name in wait_std wait_atomic wait_future wait_condition read_until_signal; do
		grep -qx "$name" <<<"$flat"
	done
}

@test "a read that waits after many in quick succession counts for its wait, not for the work before it" {
	cat >quick.c <<-'END'
		#include <fcntl.h>
		#include <pthread.h>
		#include <stdio.h>
		#include <time.h>
		#include <unistd.h>
		static int ask[2], answer[2];
		static double now_ms(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e3 + t.tv_nsec / 1e6; }
		static void *answers(void *unused) {
			struct timespec pause = {0, 4000000};
			for (char c; read(ask[0], &c, 1) == 1; nanosleep(&pause, NULL), (void)!write(answer[1], &c, 1)) ;
			return NULL;
		}
		__attribute__((noinline)) static int takes(char *c) { return read(answer[0], c, 1) == 1; }
		int main(void) {
			double waited = 0;
			char c = 0;
			int zero = open("/dev/zero", O_RDONLY);
			pthread_t thread;
			while (access("go", F_OK) != 0) usleep(1000);
			if (pipe(ask) || pipe(answer) || pthread_create(&thread, NULL, answers, NULL)) return 1;
			for (int i = 0; i < 100; i++) {
				for (double from = now_ms(); now_ms() < from + 2;) ;
				for (int k = 0; k < 50; k++) if (read(zero, &c, 1) != 1) return 1;
				if (write(ask[1], &c, 1) != 1) return 1;
				for (double from = now_ms(); now_ms() < from + 1;) ;
				double from = now_ms();
				if (!takes(&c)) return 1;
				waited += now_ms() - from;
			}
			printf("waited %.3f\ndone\n", waited);
			fflush(stdout);
			for (;;) pause();
		}
	END
	gcc -O1 -o quick quick.c
	tree_start --set enable=block --set block_rate_ns=1 --set block_kinds=io -- ./quick
	sleep 0.2
	touch go
	wait_until 20 says done
	cat "$OUT" "$TREE/block"
	between "$(awk '/^waited/ {print 0.97 * $2}' "$OUT")" "$(awk '/^waited/ {print 1.05 * $2}' "$OUT")" \
		"$(ms takes <"$TREE/block")"
}

@test "a reader with a time limit, behind a writer who waits and is preferred, is charged to who lets them go" {
	cat >behind.c <<-'END'
		#include <pthread.h>
		#include <stdio.h>
		#include <time.h>
		#include <unistd.h>
		static pthread_rwlock_t lock;
		static double now_ms(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e3 + t.tv_nsec / 1e6; }
		static void *writes(void *unused) {
			usleep(50000);
			pthread_rwlock_wrlock(&lock);
			usleep(50000);
			pthread_rwlock_unlock(&lock);
			return NULL;
		}
		__attribute__((noinline)) static void *reads_in_time(void *unused) {
			struct timespec until;
			double from;
			usleep(100000);
			clock_gettime(CLOCK_REALTIME, &until);
			until.tv_sec += 20;
			from = now_ms();
			if (pthread_rwlock_timedrdlock(&lock, &until)) return NULL;
			printf("waited %.3f\ndone\n", now_ms() - from);
			pthread_rwlock_unlock(&lock);
			return NULL;
		}
		int main(void) {
			pthread_rwlockattr_t how;
			pthread_t writer, reader;
			pthread_rwlockattr_init(&how);
			pthread_rwlockattr_setkind_np(&how, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
			pthread_rwlock_init(&lock, &how);
			while (access("go", F_OK) != 0) usleep(1000);
			pthread_rwlock_rdlock(&lock);
			pthread_create(&writer, NULL, writes, NULL);
			pthread_create(&reader, NULL, reads_in_time, NULL);
			usleep(300000);
			pthread_rwlock_unlock(&lock);
			pthread_join(writer, NULL);
			pthread_join(reader, NULL);
			fflush(stdout);
			for (;;) pause();
		}
	END
	gcc -O1 -w -o behind behind.c
	tree_start --set enable=mutex,block --set mutex_fraction=1 --set block_rate_ns=1 -- ./behind
	sleep 0.2
	touch go
	wait_until 20 says done
	cat "$OUT" "$TREE/block" "$TREE/mutex"
	between "$(awk '/^waited/ {print 0.95 * $2}' "$OUT")" "$(awk '/^waited/ {print 1.02 * $2}' "$OUT")" \
		"$(ms reads_in_time <"$TREE/block")"
	is "$(ms reads_in_time <"$TREE/mutex")" 0
	is "$(awk '/^mutex_contentions /{print $2}' "$TREE/status")" 2
}

@test "Rust's locks: writers and readers are charged to who lets them go, and nobody for a condition" {
	/usr/bin/rustc -O -g -o rwlock "$SOURCE/tests/target/rwlock.rs"
	tree_start --set enable=mutex,block --set mutex_fraction=1 --set block_rate_ns=1 -- ./rwlock
	touch go
	wait_until 30 says done
	cp "$TREE/mutex.pprof" "$TREE/block.pprof" .
	rows mutex.pprof futex
	# Of three, the readers' time is not the next writer's, who has not held it yet.
	for name in writer_lets_writer writer_lets_reader reader_lets_writer writer_lets_three second_lets_reader \
		mutex_lets_go; do
		as_long mutex.pprof futex "rwlock::$name" "$name"
	done
	hasnt "$(cat "$TREE/mutex.folded")" who_notifies
	hasnt "$(cat "$TREE/mutex.folded")" who_unparks
	for name in wait_behind wait_parked; do
		has "$(rows block.pprof futex)" "rwlock::$name"
	done
	is "$(awk '$1 == "mutex_unblamed_ns" {print $2}' "$TREE/status")" ""
}

@test "block_kinds is set by words, and counts nothing else" {
	tree_start --set enable=block --set block_rate_ns=1 -- "$TARGET/waits"
	is "$(cat "$TREE/config/block_kinds")" sync
	echo "+sleep" >"$TREE/config/block_kinds"
	is "$(cat "$TREE/config/block_kinds")" "sync sleep"
	echo "sleep io" >"$TREE/config/block_kinds"
	is "$(cat "$TREE/config/block_kinds")" "sleep io"
	run bash -c "echo naps >'$TREE/config/block_kinds'"
	[ "$status" -ne 0 ]
	has "$output" "Invalid argument"
	is "$(cat "$TREE/config/block_kinds")" "sleep io"
	touch go end
	wait_until 30 says done
	cp "$TREE/block.pprof" .
	is "$(rows block.pprof 'mutex|cond|join|futex|sem|rwlock' | grep -c .)" 0
	as_long block.pprof sleep nap
}

@test "off: an empty profile that says so; on and off again: the sums stay, and no hook" {
	tree_start -- "$TARGET/contend" holder 2
	has "$(cat "$TREE/mutex")" "off: echo +mutex > enable"
	slots() { awk '$1 == "patch_slots" {print $2}' "$TREE/status"; }
	echo "0" >"$TREE/enable"
	echo "+mutex +block" >"$TREE/enable"
	echo "-mutex -block" >"$TREE/enable"
	before=$(slots)
	echo "+mutex +block" >"$TREE/enable"
	echo 1 >"$TREE/config/mutex_fraction"
	[ "$(slots)" -gt "$before" ]
	touch go
	wait_until 30 says done
	echo "-mutex -block" >"$TREE/enable"
	is "$(slots)" "$before"
	has "$(cat "$TREE/enable")" "mutex off"
	between 990 "$(head -n 1 "$OUT" | awk '{print 1.01 * $1}')" \
		"$(awk '$6 == "hold_long" && !/^#/ {print $1}' "$TREE/mutex")"
}

# A barrier of 8 is slept for by a word that counts: 8, in its second round.
@test "in a container, where thread ids are small numbers, no count is taken for one" {
	[ "$(id -u)" -eq 0 ] || skip "for root"
	cat >barrier.c <<-'END'
		#include <pthread.h>
		#include <stdio.h>
		#include <unistd.h>
		enum { N = 8 };
		static pthread_barrier_t barrier;
		static void *comes(void *late) {
			for (int round = 0;; round++) {
				if (late && round == 1) for (;;) pause();
				pthread_barrier_wait(&barrier);
			}
			return NULL;
		}
		int main(void) {
			pthread_t thread;
			pthread_barrier_init(&barrier, NULL, N);
			for (long i = 0; i < N; i++) pthread_create(&thread, NULL, comes, (void *)(long)!i);
			sleep(1);
			if (write(1, "ready\n", 6) == 6) pause();
		}
	END
	gcc -O1 -pthread -o barrier barrier.c
	cat >inside <<-'END'
		"$PROFFS" run -m "$1" --set enable="$2" -- ./barrier >out 2>&1 3>&- &
		for i in {1..100}; do grep -q ready out && [ -e "$1/README" ] && break; sleep 0.1; done
		ls "$1/thread" | sort -n
		readlink "$1"/thread/*/blocked_on
		grep DEADLOCK "$1/mutex" "$1/block"
		kill %1
	END
	mkdir tree
	for enable in cpu mutex,block; do
		PROFFS=$PROFFS unshare -pfm --mount-proc bash inside "$PWD/tree" "$enable" >seen
		has "$(cat seen)" 8 # an id like the count
		hasnt "$(cat seen)" ../
		hasnt "$(cat seen)" DEADLOCK
	done
}

# It sleeps by another word than all who wait for a writer to leave.
@test "a reader behind a writer who waits is a waiter, though no hook is on" {
	cat >behind.c <<-'END'
		#include <pthread.h>
		#include <unistd.h>
		static pthread_rwlock_t lock;
		static void *writes(void *p) { pthread_rwlock_wrlock(&lock); return p; }
		static void *reads(void *p) { sleep(1); pthread_rwlock_rdlock(&lock); return p; }
		int main(void) {
			pthread_rwlockattr_t kind; pthread_t thread;
			pthread_rwlockattr_init(&kind);
			pthread_rwlockattr_setkind_np(&kind, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
			pthread_rwlock_init(&lock, &kind);
			pthread_rwlock_rdlock(&lock);
			pthread_create(&thread, NULL, writes, NULL); pthread_create(&thread, NULL, reads, NULL);
			sleep(2);
			if (write(1, "ready\n", 6) == 6) for (;;) pause();
		}
	END
	gcc -O1 -pthread -o behind behind.c
	tree_start --set enable=0 -- ./behind
	wait_until 10 says ready
	has "$(cat "$TREE/mutex")" "waiting now: 2 threads for locks"
}
