#!/usr/bin/env bats
# Names with a query, in every spelling of the README, on a program whose right answers are known.

load ../helper

@test "every example of a name with a query is answered, and takes what it says" {
	tree_start -- "$TARGET/split"
	local dir name
	for dir in "$TREE" "$TREE/debug/pprof"; do
		has "$(head -1 "$dir/heap?gc=1&debug=1")" "heap profile:"
		has "$(head -1 "$dir/heap,gc=1,debug=1")" "heap profile:"
		for name in 'heap?seconds=0.3' 'heap,seconds=0.3' 'profile?seconds=0.5&hz=500' \
			'profile,seconds=0.5,hz=500'; do
			cat "$dir/$name" >"$BATS_TEST_TMPDIR/answer"
			[ -s "$BATS_TEST_TMPDIR/answer" ]
		done
	done
	has "$(cat "$TREE/gc")" "resident memory"
	cat "$TREE/cpu-0.5s.pprof" >"$BATS_TEST_TMPDIR/cpu.pprof"
	[ -n "$(pprof_rows "$BATS_TEST_TMPDIR/cpu.pprof")" ]
	has "$(go tool pprof -raw "$TREE/debug/pprof/profile,seconds=0.4,hz=500" 2>/dev/null)" "2000000"
}

@test "focus shows stacks with a matching function only, in text and in pprof" {
	tree_start -- "$TARGET/split"
	cat "$TREE/cpu,seconds=2,focus=nothing_like_it" >none
	has "$(cat none)" "# focus nothing_like_it: 0 of"
	cat "$TREE/cpu?seconds=2&focus=^seven&n=20" >some
	has "$(cat some)" "# focus ^seven: "
	has "$(cat some)" seventy
	hasnt "$(cat some)" thirty
	cat "$TREE/cpu.folded,seconds=2,focus=thirty|nothing" >folded
	hasnt "$(cat folded)" seventy
	has "$(cat folded)" thirty
	cat "$TREE/debug/pprof/profile?seconds=2&focus=thirty" >pprof
	hasnt "$(pprof_rows pprof)" seventy
	has "$(pprof_rows pprof)" thirty
	run -1 cat "$TREE/heap?focus=[&n=20"
	has "$output" "Invalid argument"
	has "$(head -1 "$TREE/heap?focus=main&n=20")" "heap"
}
