#!/usr/bin/env bats
# `echo NAME > snapshot` makes plain files of the whole tree at one moment.

load fs.bash

@test "a snapshot is a directory of files with sizes, each as its live file would have been" {
	start_host
	[ "$(cat "$M/snapshot")" = none ]
	echo before >"$M/snapshot"
	[ "$(cat "$M/snapshot")" = before ]
	[ "$(ls "$M/captures")" = before ]
	[ "$(stat -c '%F %a' "$M/captures/before")" = "directory 700" ]
	for name in heap allocs threads; do
		for form in "" .txt .pprof .folded .svg .html; do
			[ -s "$M/captures/before/$name$form" ]
			[ "$(stat -c %s "$M/captures/before/$name$form")" = \
				"$(wc -c <"$M/captures/before/$name$form")" ]
		done
	done
	# Of one moment: the fake's n-th heap has 2000 n bytes.
	for name in heap heap.txt heap.pprof heap.folded heap.svg heap.html inuse_space; do
		head -n 1 "$M/captures/before/$name" | awk '{print $4}'
	done | sort -u >"$DIR/values"
	[ "$(cat "$DIR/values")" = 2000 ]
	cmp "$M/captures/before/cmdline" "$M/cmdline"
	grep -q '^# proffs ' "$M/captures/before/status"
	age=$(($(date +%s) - $(stat -c %Y "$M/captures/before")))
	[ "$age" -le 5 ]
}

@test "tar, cp -r and rsync copy a snapshot whole" {
	start_host
	echo one >"$M/snapshot"
	tar -C "$M/captures" -cf "$DIR/t.tar" one
	mkdir "$DIR/tar" && tar -C "$DIR/tar" -xf "$DIR/t.tar"
	diff -r "$M/captures/one" "$DIR/tar/one"
	cp -r "$M/captures/one" "$DIR/cp"
	diff -r "$M/captures/one" "$DIR/cp"
	rsync -a "$M/captures/one/" "$DIR/rsync/"
	diff -r "$M/captures/one" "$DIR/rsync"
	[ "$(wc -l <"$DIR/tar/one/heap")" = 8001 ]
}

@test "rm -r frees a snapshot, rm one file of it, and its name can be had again" {
	start_host
	echo one >"$M/snapshot"
	run -1 bash -c "echo one >'$M/snapshot'"
	[[ $output == *"File exists"* ]]
	run -1 rmdir "$M/captures/one"
	[[ $output == *"Directory not empty"* ]]
	rm "$M/captures/one/heap"
	[ ! -e "$M/captures/one/heap" ]
	[ -e "$M/captures/one/heap.txt" ]
	exec 5<"$M/captures/one/allocs"
	rm -r "$M/captures/one"
	[ -z "$(ls "$M/captures")" ]
	[ "$(wc -l <&5)" = 8001 ]
	exec 5<&-
	echo one >"$M/snapshot"
	[ "$(head -n 1 "$M/captures/one/heap" | cut -d' ' -f4)" -gt 2000 ]
	run -1 bash -c "echo x >'$M/captures/one/heap'"
	run -1 mkdir "$M/captures/two"
	[[ $output == *"Operation not permitted"* ]]
}

@test "what is no name is refused, and error_log has it without escapes" {
	start_host
	for bad in '' . .. a/b .a; do
		run -1 bash -c "echo '$bad' >'$M/snapshot'"
		[[ $output == *"Invalid argument"* ]]
	done
	run -1 bash -c "printf '\033[31mred' >'$M/snapshot'"
	[[ $output == *"Invalid argument"* ]]
	grep -q 'snapshot: "?\[31mred": Invalid argument' "$M/error_log"
	[ -z "$(ls "$M/captures")" ]
}
