#!/usr/bin/env bats
# Whoever reads everything starts nothing and waits for nothing; so do two hundred at once.

load fs.bash

# within SECONDS CMD...: it succeeds, and is not ended for taking longer
within() {
	timeout "$1" "${@:2}"
}

@test "reading the whole tree, with a snapshot in it, takes no capture's time" {
	start_host -w
	echo one >"$M/snapshot"
	# A capture runs: whoever waited for it would wait an hour.
	echo 3600 >"$M/cpu/seconds"
	within 20 grep -r no-such-text "$M" || [ $? = 1 ]
	within 20 tar -C "$M" -cf "$DIR/t.tar" .
	within 20 cp -r "$M" "$DIR/copy"
	within 20 find "$M" -type f -exec cat {} + >"$DIR/all"
	within 20 rsync -a "$M/" "$DIR/synced/"
	[ "$(status captures_started)" = 1 ]
	diff -r "$M/captures" "$DIR/copy/captures"
	diff -r "$M/captures" "$DIR/synced/captures"
	[ -L "$DIR/copy/events" ]
	[ -L "$DIR/synced/cpu/wait" ]
	[ "$(find "$M" -type f | wc -l)" = "$(tar -tvf "$DIR/t.tar" | grep -c '^-')" ]
}

@test "two hundred readers of different files and of one snapshot get them whole" {
	start_host
	echo one >"$M/snapshot"
	for i in $(seq 50); do
		for file in heap allocs.pprof threads captures/one/heap; do
			cat "$M/$file" >"$DIR/$i.${file//\//.}" &
			readers="$readers $!"
		done
	done
	for pid in $readers; do wait "$pid"; done
	[ "$(cat "$DIR"/[0-9]* | grep -c '^07999 ')" = 200 ]
	[ "$(cat "$DIR"/[0-9]* | wc -l)" = $((200 * 8001)) ]
	for i in $(seq 50); do cmp "$DIR/$i.captures.one.heap" "$M/captures/one/heap"; done
}
