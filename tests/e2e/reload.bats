# Libraries that are closed, and others at the same addresses: tests/target/reload.c.
load ../helper

# reload [unseen]: its three uses of two plugins, seen by every collector from beginning to end.
reload() {
	cp "$TARGET/reload_old.so" "$TARGET/reload_new.so" .
	tree_start --set heap_sample_bytes=1 --set cpu/hz=1000 --set wall/hz=50 -- \
		"$TARGET/reload" ./reload_old.so ./reload_new.so go "$@"
	wait_until 10 says ready
	echo +wall >"$TREE/enable"
	touch go
	for prefix in old new; do
		wait_until 20 grep -q "${prefix}_sleep" "$TREE/wall.folded"
		touch "seen_$prefix"
	done
	wait_until 20 says done
	says "same place"
}

isnt_zero() {
	[ "${1%%ms}" != 0 ]
}

read_profiles() {
	for name in cpu wall heap; do
		cp "$TREE/$name.pprof" .
	done
	objects=$(pprof_rows heap.pprof -sample_index=inuse_objects)
	cpu_ms=$(pprof_rows cpu.pprof -cum -unit=ms)
	wall_ms=$(pprof_rows wall.pprof -cum -unit=ms)
}

@test "what closed plugins did keeps their names, though others are where they were" {
	reload
	read_profiles
	is "$(column 1 old_keep <<<"$objects")" 2000
	is "$(column 1 new_keep <<<"$objects")" 500
	echo "$cpu_ms" "$wall_ms"
	# How much exactly is not what this is about: each has its own, and nothing has no name.
	for prefix in old new; do
		isnt_zero "$(column 4 "${prefix}_spin" <<<"$cpu_ms")"
		isnt_zero "$(column 4 "${prefix}_sleep" <<<"$wall_ms")"
	done
	hasnt "$objects$cpu_ms$wall_ms" unknown
	# Text says the same, and a caller in the program is still a caller.
	stacks=$(cat "$TREE/heap.folded")
	has "$stacks" "main;use;old_keep"
	has "$stacks" "main;use;new_keep"
}

@test "a closed plugin has a mapping with its build id, and the living one keeps its own" {
	reload
	read_profiles
	id() { readelf -n "$1" | awk '/Build ID/ {print $3}'; }
	raw=$(go tool pprof -raw heap.pprof 2>/dev/null)
	for plugin in reload_old reload_new; do
		is "$(grep -c "$PWD/$plugin.so $(id "$plugin.so")" <<<"$raw")" 1
	done
}

@test "a file that was replaced since gives no names to the code that ran" {
	reload
	mv reload_new.so reload_old.so
	folded=$(cat "$TREE/heap.folded")
	echo "$folded"
	hasnt "$folded" keep
	is "$(awk '/main;use;.*reload_old.so/ {n += $NF} END {print n}' <<<"$folded")" 2000000
	is "$(awk '/main;use;.*reload_new.so/ {n += $NF} END {print n}' <<<"$folded")" 500000
}

@test "closed by a pointer that nobody saw, no library's work is put down to another" {
	reload unseen
	read_profiles
	old=$(column 1 old_keep <<<"$objects")
	new=$(column 1 new_keep <<<"$objects")
	echo "$objects"
	[ "$old" -le 2000 ] && [ "$new" -le 500 ]
	[ "$old" -eq 2000 ] || has "$objects" "[unknown]"
	hasnt "$(cat "$TREE/heap.folded")" "new_keep;old"
}
