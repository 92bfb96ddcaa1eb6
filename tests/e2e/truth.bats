# Profiles of programs whose right answer is known (the first comment of each in tests/target).
load ../helper

@test "a 70/30 split of the CPU time shows within 3 points at 1000 Hz over 5 s" {
	tree_start --set cpu/hz=1000 -- "$TARGET/split"
	capture_ms 5000
	cp "$TREE/cpu.pprof" .
	rows=$(pprof_rows cpu.pprof -cum)
	echo "$rows"
	between 67 73 "$(column 5 seventy <<<"$rows")"
	between 27 33 "$(column 5 thirty <<<"$rows")"
	between 99 100 "$(column 5 main <<<"$rows")"
}

@test "with cpu/precise a program in step with the tick shows its 50/30/20 within 3 points" {
	tree_start --set cpu/precise=1 --set cpu/hz=4000 -- "$TARGET/paced"
	wait_until 10 grep -q "^cpu_precise  *ok" "$TREE/status"
	cp "$TREE/cpu-8s.pprof" .
	# Samples: the weights also hold what going to sleep costs, which no function of the program's is.
	rows=$(pprof_rows cpu-8s.pprof -cum -sample_index=samples)
	echo "$rows"
	between 47 53 "$(column 5 fifty <<<"$rows")"
	between 27 33 "$(column 5 thirty <<<"$rows")"
	between 17 23 "$(column 5 twenty <<<"$rows")"
	[ "$(column 4 main <<<"$rows")" -ge 3000 ]
}

@test "the CPU profile's total is the CPU time that was used" {
	tree_start --set cpu/hz=1000 -- "$TARGET/split"
	cpu_us() { awk '{print int($1 / 1000)}' "/proc/$PID/schedstat"; } # the main thread does it all
	before=$(cpu_us)
	echo 3 >"$TREE/cpu/seconds"
	used_meanwhile cpu_us
	cp "$TREE/cpu.pprof" .
	most_ms=$((($(cpu_us) - before + 999) / 1000))
	total_ms=$(pprof_rows cpu.pprof -cum -unit=ms | column 4 main)
	echo "$((USED / 1000)) <= $total_ms <= $most_ms"
	between "$((USED * 97 / 100000))" "$most_ms" "${total_ms%ms}"
}

@test "every byte of a leak is accounted for when every block is sampled" {
	tree_start --set heap_sample_bytes=1 -- "$TARGET/leak" 1000 300
	wait_until 10 says ready
	cp "$TREE/heap.pprof" .
	objects=$(pprof_rows heap.pprof -sample_index=inuse_objects)
	bytes=$(pprof_rows heap.pprof -sample_index=inuse_space -unit=B)
	is "$(column 1 leak_small <<<"$objects")" 1000
	is "$(column 1 leak_small <<<"$bytes")" 100000B
	is "$(column 1 leak_large <<<"$objects")" 300
	is "$(column 1 leak_large <<<"$bytes")" 300000B
	is "$(column 1 borrow <<<"$objects")" 0
	# What was freed is in the other two columns.
	objects=$(pprof_rows heap.pprof -sample_index=alloc_objects)
	bytes=$(pprof_rows heap.pprof -sample_index=alloc_space -unit=B)
	is "$(column 1 borrow <<<"$objects")" 1000
	is "$(column 1 borrow <<<"$bytes")" 24000B
	is "$(column 1 leak_small <<<"$bytes")" 100000B
}

@test "twenty parked threads appear at exactly their functions" {
	tree_start -- "$TARGET/parked"
	wait_until 10 says ready
	for _ in 1 2 3; do
		rows=$(pprof_rows "$TREE/threads.pprof" -cum)
		echo "$rows"
		for n in {00..19}; do
			is "$(column 4 "park_$n" <<<"$rows")" 1
		done
		is "$(column 4 main <<<"$rows")" 1
	done
	text=$(cat "$TREE/threads")
	has "$text" "total 21" # twenty and main: none of ours
	hasnt "$text" proffs/
	for n in {00..19}; do
		has "$text" "park_$n"
	done
	is "$(readlink "$TREE/goroutine")" threads
	is "$(cat "$TREE/goroutine" | grep -c park_07)" "$(grep -c park_07 <<<"$text")"
}

@test "reading a dump wakes no thread" {
	tree_start -- "$TARGET/parked"
	wait_until 10 says ready
	switches() {
		awk '/^Name/ {ours = /proffs/} /ctxt_switches/ && !ours {n += $2} END {print n}' \
			"/proc/$PID/task/"*/status
	}
	cat "$TREE/threads" >/dev/null
	wait_until 10 asleep
	before=$(switches)
	for _ in {1..10}; do
		cat "$TREE/threads" >/dev/null
	done
	is "$(switches)" "$before"
}

@test "threads that were stopped and go on are in the calls they were in" {
	tree_start -- "$TARGET/parked"
	wait_until 10 says ready
	states() { cat "$TREE"/thread/*/state | sort | uniq -c; }
	before=$(states)
	has "$before" "4 poll"
	has "$before" "4 sleep"
	kill -STOP "$PID"
	wait_until 5 grep -q '^State:.T' "/proc/$PID/status"
	kill -CONT "$PID"
	wait_until 5 asleep
	is "$(states)" "$before"
	hasnt "$(cat "$TREE/threads")" restart_syscall
}

@test "a program whose main thread has ended is shown as any other" {
	tree_start -- "$TARGET/parked" leave
	wait_until 10 says ready
	wait_until 5 grep -q '^State:.Z' "/proc/$PID/status"
	rows=$(pprof_rows "$TREE/threads.pprof" -cum)
	echo "$rows"
	for n in {00..19}; do
		is "$(column 4 "park_$n" <<<"$rows")" 1
	done
	is "$(column 4 start_thread <<<"$rows")" 20
	has "$(cat "$TREE/threads")" "created by main"
	hasnt "$(cat "$TREE/status")" "degraded"
	has "$(pprof_rows "$TREE/wall-1s.pprof" -cum)" park_07
	is "$(tr '\0' ' ' <"$TREE/cmdline")" "$TARGET/parked leave "
	[ "$(awk '$1 == "rss_bytes" {print $2}' "$TREE/stats")" -gt 100000 ]
	has "$(cat "$TREE/buildinfo")" "$TARGET/parked"
}
