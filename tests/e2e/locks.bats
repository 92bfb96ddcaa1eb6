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

# times FACTOR A B: the factor of what A is more than B.
times() {
	awk -v factor="$1" -v a="$2" -v b="$3" 'BEGIN {print factor * (a - b)}'
}

@test "a lock held for 100 ms while five wait: 500 ms where it is released, one contention each time" {
	SETS=(--set mutex_fraction=1)
	contend mutex,block holder 4
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

@test "many short waits and few long ones weigh the same" {
	SETS=(--set block_rate_ns=10000000)
	contend block waits 1000 1000
	# Each takes a little longer than asked for: the program has measured how long.
	short=$(ms wait_for_us <"$TREE/block")
	read -r short_true short_kept short_first <"$OUT"
	tree_stop
	rm go
	contend block waits 100000 10
	long=$(ms wait_for_us <"$TREE/block")
	read -r long_true long_kept long_first <"$OUT"
	echo "$short of $short_true (- $short_kept, + $short_first), $long of $long_true (- $long_kept, + $long_first)"
	# What it was kept from a processor may lie in its measure and before the wait, or in the wait; what
	# the first took, too.
	between "$(times 0.85 "$short_true" "$short_kept")" "$(times 1.15 "$short_true" "-$short_first")" "$short"
	between "$(times 0.99 "$long_true" "$long_kept")" "$(times 1.01 "$long_true" "-$long_first")" "$long"
}

@test "a deadlock is named with both stacks" {
	contend cpu deadlock
	text=$(cat "$TREE/mutex")
	echo "$text"
	has "$text" "DEADLOCK: 2 threads"
	for name in lock_ab lock_ba wait_a; do
		has "$text" "$name  [contend]"
	done
	has "$text" "waiting now: 1 thread for locks"
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

# rows PROFILE KIND: `NAME MILLISECONDS` of all functions, sums with what they called.
rows() {
	pprof_rows "$1" -cum -sample_index=delay -unit=ms -tagfocus="kind=$2" | awk '{print $6, $4 + 0}' | sed 's/([^ ]*)//'
}

# waited PROFILE KIND NAME
waited() {
	rows "$1" "$2" | awk -v name="$3" '$1 == name {v = $2} END {print v + 0}'
}

@test "std::mutex, Rust's kind of lock, C++20's waits, raw futexes, sleeps and reads: each by its kind" {
	tree_start --set enable=mutex,block --set block_kinds=sync+sleep+io --set block_rate_ns=10000 \
		-- "$TARGET/waits"
	touch go
	wait_until 30 says done
	cp "$TREE/mutex.pprof" "$TREE/block.pprof" .
	for kind in mutex cond join futex sleep io; do
		echo "$kind:" && rows block.pprof "$kind"
	done
	between 95 300 "$(waited mutex.pprof mutex std_unlock)"
	between 95 300 "$(waited mutex.pprof futex three_unlock)"
	between 95 300 "$(waited block.pprof mutex wait_std)"
	between 95 300 "$(waited block.pprof futex wait_three)"
	between 95 300 "$(waited block.pprof futex wait_atomic)"
	between 95 300 "$(waited block.pprof futex wait_gate)"
	between 95 300 "$(waited block.pprof cond wait_condition)"
	between 95 300 "$(waited block.pprof sleep nap)"
	between 95 300 "$(waited block.pprof io read_pipe)"
	is "$(waited block.pprof io read_much)" 0
	# Nineteen looks a second; the first and the last of them may miss it.
	between 850 1300 "$(waited block.pprof futex wait_raw)"
	between 850 1300 "$(waited mutex.pprof futex wait_raw)"
	is "$(waited mutex.pprof futex wait_atomic)" 0 # whoever wakes it has held nothing
	is "$(waited mutex.pprof futex open_gate)" 0
}

@test "block_kinds is set by words, and counts nothing else" {
	tree_start --set enable=block --set block_rate_ns=1 -- "$TARGET/waits"
	is "$(cat "$TREE/config/block_kinds")" sync
	echo "sleep io" >"$TREE/config/block_kinds"
	is "$(cat "$TREE/config/block_kinds")" "sleep io"
	run bash -c "echo naps >'$TREE/config/block_kinds'"
	[ "$status" -ne 0 ]
	has "$output" "Invalid argument"
	is "$(cat "$TREE/config/block_kinds")" "sleep io"
	touch go
	wait_until 30 says done
	is "$(rows "$TREE/block.pprof" 'mutex|cond|join|futex|sem|rwlock' | grep -c .)" 0
	between 95 300 "$(waited "$TREE/block.pprof" sleep nap)"
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
