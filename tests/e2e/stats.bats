# The process in numbers: stats, metrics, history, against what the kernel and the program say.
load ../helper

number() { awk -v name="$1" '$1 == name {print $2}' "$TREE/stats"; }

# kib NAME: that line of the kernel's status, in bytes.
kib() { awk -v name="$1:" '$1 == name {print $2 * 1024}' "/proc/$PID/status"; }

@test "stats are what the kernel says of the process" {
	tree_start -- "$TARGET/hoard"
	wait_until 20 says ready
	is "$(number pid)" "$PID"
	is "$(number threads)" 1
	is "$(number fds)" "$(find "/proc/$PID/fd" -type l | wc -l)"
	is "$(number fds_max)" "$(awk '/^Max open files/ {print $4}' "/proc/$PID/limits")"
	# It sleeps: what is its own stands still, and we are small beside 164 MB.
	for pair in rss_bytes:VmRSS rss_peak_bytes:VmHWM rss_anonymous_bytes:RssAnon \
		rss_file_bytes:RssFile data_bytes:VmData swapped_bytes:VmSwap; do
		kernel=$(kib "${pair#*:}")
		between $((kernel - 4000000)) $((kernel + 4000000)) "$(number "${pair%:*}")"
	done
	between 163000000 200000000 "$(number pss_bytes)"
	between "$(($(stat -c %Y "/proc/$PID") - 2))" "$(($(stat -c %Y "/proc/$PID") + 2))" \
		"$(number start_time_seconds)"
	awk 'NF != 2 {exit 1}' "$TREE/debug/stats"
}

@test "what is used grows from one reading to the next, and no faster than the kernel says" {
	tree_start -- "$TARGET/split"
	cpu_us() { awk '{print int($1 / 1000)}' "/proc/$PID/schedstat"; } # the main thread
	before=$(cpu_us)
	first=$(number cpu_user_seconds)
	from=$(cpu_us)
	wait_until 20 eval '[ "$(cpu_us)" -gt $((from + 500000)) ]'
	to=$(cpu_us)
	second=$(number cpu_user_seconds)
	after=$(cpu_us)
	between $(((to - from) * 8 / 10)) $((after - before + 200000)) \
		"$(awk -v a="$first" -v b="$second" 'BEGIN {printf "%.0f", (b - a) * 1e6}')"
	between 1 1000000 "$(number involuntary_context_switches)"
	between 1 1000000 "$(number minor_faults)"
}

@test "heap in use and allocated are the heap profile's totals" {
	tree_start --set heap_sample_bytes=1 -- "$TARGET/leak" 1000 300
	wait_until 10 says ready
	for pair in heap_inuse_bytes:inuse_space heap_allocated_bytes:alloc_space; do
		rows=$(pprof_rows "$TREE/heap.pprof" -sample_index="${pair#*:}" -unit=B)
		total=$(awk '{sum += $1} END {printf "%d", sum}' <<<"$rows")
		is "$(number "${pair%:*}")" "$total"
	done
	echo -heap >"$TREE/enable"
	is "$(number heap_inuse_bytes)" ""
}

# What the allocator itself says of 167,108,864 bytes; a kibibyte for a kilobyte is all it may add.
hoard_over() {
	tree_start -- "$@" "$TARGET/hoard"
	wait_until 20 says ready
	cat "$TREE/stats"
	between 167108864 176000000 "$(number allocator_inuse_bytes)"
	between 167108864 200000000 "$(number allocator_system_bytes)"
	between 0 40000000 "$(number allocator_free_bytes)"
}

@test "glibc's numbers of a known hoard, before and after it is spent and given back" {
	hoard_over
	is "$(number allocator)" glibc
	between 67108864 70000000 "$(number allocator_mapped_bytes)"
	is "$(number gc_count)" 0
	is "$(number gc_last_time_seconds)" 0
	kill -USR1 "$PID"
	wait_until 20 says spent
	wait_until 20 eval '[ "$(number allocator_free_bytes)" -gt 98000000 ]'
	between 68108864 76000000 "$(number allocator_inuse_bytes)"
	before=$(date +%s)
	echo 1 >"$TREE/gc"
	is "$(number gc_count)" 1
	# Of each hundred blocks, 99,000 bytes in a row: of those, all whole pages.
	between 85000000 100000000 "$(number gc_released_bytes)"
	between "$before" "$(($(date +%s) + 1))" "$(number gc_last_time_seconds)"
	between 0.000001 60 "$(number gc_seconds)"
}

@test "jemalloc's numbers of a known hoard" {
	hoard_over env LD_PRELOAD="$(ldconfig -p | awk '/libjemalloc.so.2/ {print $NF}') $BUILD/libproffs.so"
	is "$(number allocator)" jemalloc
}

@test "tcmalloc's numbers of a known hoard" {
	hoard_over env LD_PRELOAD="$(ldconfig -p | awk '/libtcmalloc_minimal.so.4/ {print $NF}') $BUILD/libproffs.so"
	is "$(number allocator)" tcmalloc
}

@test "the allocator is not asked where it shall not be" {
	tree_start --set ask_allocator=0 -- "$TARGET/hoard"
	wait_until 20 says ready
	hasnt "$(cat "$TREE/stats")" allocator_
	echo 1 >"$TREE/config/ask_allocator"
	has "$(cat "$TREE/stats")" allocator_inuse_bytes
}

@test "stats as JSON has the keys and values of the lines" {
	tree_start -- "$TARGET/parked"
	wait_until 10 says ready
	cp "$TREE/stats,json=1" stats.json
	python3 -c 'import json, sys
stats = json.load(open("stats.json"))
print(" ".join(stats))
assert stats["threads"] == 21 and stats["pid"] == int(sys.argv[1])
assert stats["allocator"] == "glibc" and isinstance(stats["uptime_seconds"], (int, float))' "$PID" >keys
	is "$(cat keys)" "$(awk '{printf "%s%s", (NR > 1 ? " " : ""), $1}' "$TREE/stats")"
}

@test "promtool and a strict OpenMetrics parser have nothing to say against metrics" {
	tree_start -- "$TARGET/parked"
	wait_until 10 says ready
	echo 1 >"$TREE/enable"
	cp "$TREE/metrics" "$TREE/openmetrics" .
	# /usr/bin/python3: Debian's own, for which its packages are.
	is "$(promtool check metrics <metrics 2>&1)" ""
	/usr/bin/python3 -c 'from prometheus_client.openmetrics.parser import text_string_to_metric_families
families = {f.name: f for f in text_string_to_metric_families(open("openmetrics").read())}
assert families["process_threads"].samples[0].value == 21
cpu = families["process_cpu_seconds"]
assert cpu.type == "counter" and cpu.unit == "seconds"
on = {s.labels["collector"]: s.value for s in families["proffs_collector_enabled"].samples}
assert set(on.values()) == {1} and "heap" in on, on
events = {s.labels["event"]: s.value for s in families["proffs_events"].samples}
assert events["fs_requests"] > 0 and events["history_lost"] == 0'
	/usr/bin/python3 -c 'from prometheus_client.parser import text_string_to_metric_families
families = {f.name: f for f in text_string_to_metric_families(open("metrics").read())}
assert families["process_threads"].samples[0].value == 21
assert all(f.documentation for f in families.values())'
}

@test "history has a row for every second, and the numbers that stats has" {
	tree_start -- "$TARGET/parked"
	wait_until 10 says ready
	rows() { grep -v '^#' "$TREE/history"; }
	wait_until 30 eval '[ "$(rows | wc -l)" -ge 4 ]'
	rows >history
	# One second apart; where we were kept from a processor for a second, that one has no row.
	cut -d' ' -f1 history | date -f - +%s |
		awk 'NR > 1 && $1 <= last {print "from", last, "to", $1; exit 1} {last = $1}'
	three_in_a_row() { [ "$(grep -cv '^#' "$TREE/history,seconds=3")" = 3 ]; }
	wait_until 10 three_in_a_row
	column_of() { awk -v name="$1" '/^#time/ {for (i = 1; i <= NF; i++) if ($i == name) at = i}
		!/^#/ {value = $at} END {print value}' "$TREE/history"; }
	is "$(column_of threads)" 21
	between $(($(number rss_bytes) - 4000000)) $(($(number rss_bytes) + 4000000)) "$(column_of rss)"
	is "$(column_of heap_inuse)" "$(($(number heap_inuse_bytes) / 1024 * 1024))"
	is "$(grep -cv '^#' "$TREE/history,n=2")" 2
	python3 -c 'import json, sys
history = json.load(sys.stdin)
columns = {c["name"]: c for c in history["columns"]}
assert history["step_seconds"] == 1 and len(history["time"]) >= 4
assert columns["threads"]["value"][-1] == 21 and not columns["threads"]["counter"]
assert all(len(c["value"]) == len(history["time"]) for c in columns.values())' \
		<"$TREE/history.json"
}

@test "the history wakes nobody in the program" {
	tree_start -- "$TARGET/parked"
	wait_until 10 says ready
	echo 0 >"$TREE/enable"
	wait_until 10 asleep
	# By thread, without ours: switches before and after two more rows.
	switches() {
		grep -H '^[a-z_]*ctxt_switches' "/proc/$PID/task/"*/status |
			grep -v -F -f <(grep -l '^proffs/' "/proc/$PID/task/"*/comm | sed 's/comm$/status/')
	}
	rows() { grep -cv '^#' "$TREE/history"; }
	before=$(switches)
	count=$(rows)
	wait_until 20 eval '[ "$(rows)" -ge $((count + 2)) ]'
	is "$(switches)" "$before"
}

@test "records of the mutex and the block profile are counted, as long as they are on" {
	touch go
	tree_start --set enable=mutex,block --set mutex_fraction=1 -- "$TARGET/contend" holder 2
	records() { sed -n "s/^proffs_profile_records{profile=\"$1\"} //p" "$TREE/metrics"; }
	wait_until 20 says done
	for profile in mutex block; do
		[ "$(records "$profile")" -ge "$(grep -c . "$TREE/$profile.folded")" ]
		[ "$(records "$profile")" -gt 0 ]
	done
	echo -block >"$TREE/enable"
	is "$(records block)" ""
}
