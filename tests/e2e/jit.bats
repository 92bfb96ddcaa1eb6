#!/usr/bin/env bats
# Code made at run time, named by the file in which its maker tells of it.

load ../helper

@test "functions of a just-in-time compiler have the names it gave them" {
	tree_start -- "$TARGET/jit"
	wait_until 20 grep -q second "/tmp/perf-$PID.map"
	wait_until 20 grep -q "  jit::first loop" "$TREE/cpu.txt"
	wait_until 20 grep -q "  jit::second" "$TREE/cpu.txt"
	run -0 cat "$TREE/cpu.folded"
	has "$output" ";main;jit::second "
	cp "$TREE/cpu.pprof" .
	has "$(pprof_rows cpu.pprof)" "jit::first loop"
	tree_stop TERM
}
