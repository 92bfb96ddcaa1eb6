#!/usr/bin/env bats
# What other people's tools make of our files. DRAW writes the known profiles of
# tests/unit/render/profiles.h; the expected numbers stand there.

setup() {
	T=$BATS_TEST_TMPDIR
	export PPROF_TMPDIR=$T
}

draw() {
	"$DRAW" "$1" "$2" >"$T/$1.$2"
}

go_pprof() {
	go tool pprof -symbolize=none "$@" 2>"$T/stderr"
}

@test "go tool pprof reads the columns of a heap profile in order" {
	draw heap pprof
	run go_pprof -raw "$T/heap.pprof"
	[ "$status" -eq 0 ]
	[[ $output == *"PeriodType: space bytes"* ]]
	[[ $output == *"Period: 524288"* ]]
	[[ $output == *"alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes"* ]]
	[[ $output == *"         30       3000         10       1000: 1 2 3 4 "* ]]
	[[ $output == *"Comment: 7 samples lost"* ]]
}

@test "go tool pprof: flags of the mappings and the linker's name are kept" {
	draw heap pprof
	run go_pprof -raw "$T/heap.pprof"
	[[ $output == *"1: 0x400000/0x500000/0x0 /opt/shop/server 00112233445566778899aabbccddeeff00112233 [FN]"* ]]
	[[ $output == *"2: 0x7f0000001010 M=2 cart::Cart::add :0 s=0(_ZN4cart4Cart3addEv)"* ]]
}

@test "go tool pprof -top shows 70 to 30" {
	draw cpu pprof
	run go_pprof -top "$T/cpu.pprof"
	[ "$status" -eq 0 ]
	[[ $output == *"Duration: 2s, Total samples = 1030.93ms"* ]]
	[[ $output == *"721.65ms 70.00% 70.00%   721.65ms 70.00%  cart::Cart::add"* ]]
	[[ $output == *"309.28ms 30.00%   100%  1030.93ms   100%  handle"* ]]
}

@test "go tool pprof: the default column is what the profile says" {
	draw heap pprof
	run go_pprof -top "$T/heap.pprof"
	[[ $output == *"Type: inuse_space"* ]]
	draw cpu pprof
	run go_pprof -top "$T/cpu.pprof"
	[[ $output == *"Type: cpu"* ]]
}

@test "go tool pprof -traces and -tags show the labels" {
	draw cpu pprof
	run go_pprof -traces "$T/cpu.pprof"
	[[ $output == *"thread:  worker"* ]]
	run go_pprof -tags "$T/cpu.pprof"
	[[ $output == *"thread: Total"* ]]
	[[ $output == *"tid: Total"* ]]
	run go_pprof -top -tagfocus=tid=1234 "$T/cpu.pprof"
	[[ $output == *"721.65ms"* ]]
	[[ $output != *"309.28ms"* ]]
}

@test "go tool pprof -peek shows callers and callees" {
	draw heap pprof
	run go_pprof -peek '^handle$' "$T/heap.pprof"
	[[ $output == *"|   main"* ]]
	[[ $output == *"|   cart::Cart::add"* ]]
}

@test "go tool pprof: a profile less itself is nothing" {
	draw heap pprof
	run go_pprof -top -base "$T/heap.pprof" "$T/heap.pprof"
	[ "$status" -eq 0 ]
	[[ $output == *"Showing nodes accounting for 0"* ]]
}

@test "go tool pprof writes the same samples again" {
	draw heap pprof
	go_pprof -proto -output="$T/again.pb.gz" "$T/heap.pprof"
	diff <(go_pprof -raw "$T/heap.pprof" | sed -n '/^Samples/,/^Locations/p') \
		<(go_pprof -raw "$T/again.pb.gz" | sed -n '/^Samples/,/^Locations/p')
}

@test "go tool pprof: nothing recorded is an empty report" {
	draw empty pprof
	run go_pprof -top "$T/empty.pprof"
	[ "$status" -eq 0 ]
	[[ $output == *"Showing nodes accounting for 0, 0% of 0 total"* ]]
}

@test "go tool pprof: one sample" {
	draw one pprof
	run go_pprof -top "$T/one.pprof"
	[[ $output == *"10.31ms   100%   100%    10.31ms   100%  main"* ]]
}

@test "go tool pprof: names with separators, quotes, bad bytes, 10 KiB" {
	draw nasty pprof
	run go_pprof -top "$T/nasty.pprof"
	[ "$status" -eq 0 ]
	[[ $output == *"semi;colon"* ]]
	[[ $output == *"quo\"te's"* ]]
	[[ $output == *"operator<< <int, char>"* ]]
	[[ $output == *"[truncated]"* ]]
	[[ $output == *"[unknown]"* ]]
	[ "$(grep -o 'x' <<<"$output" | wc -l)" -ge 10234 ]
}

@test "go tool pprof: 100,000 stacks of 100 frames" {
	draw deep pprof
	run go_pprof -top -nodecount=3 -nodefraction=0 "$T/deep.pprof"
	[ "$status" -eq 0 ]
	[[ $output == *"of 1030.93s total"* ]]
}

@test "protoc-c knows every field" {
	for profile in empty one cpu heap threads nasty; do
		draw $profile pprof
		zcat "$T/$profile.pprof" | protoc-c --decode_raw >/dev/null
		zcat "$T/$profile.pprof" |
			protoc-c -I "$PROTO" --decode=perftools.profiles.Profile profile.proto >"$T/decoded"
		! grep -E '^ *[0-9]+[:{ ]' "$T/decoded"
		[ "$(grep -m1 string_table "$T/decoded")" = 'string_table: ""' ]
	done
}

@test "gzip magic, and gzip itself is content" {
	draw heap pprof
	[ "$(head -c2 "$T/heap.pprof" | od -An -tx1)" = " 1f 8b" ]
	gzip -t <"$T/heap.pprof"
}

@test "heap text: go tool pprof and google-pprof agree with the protobuf" {
	draw heap legacy
	run go_pprof -raw "$T/heap.legacy"
	[ "$status" -eq 0 ]
	[[ $output == *"         30       3000         10       1000: 1 2 3 4 "* ]]
	[[ $output == *"1: 0x403010 M=1"* ]]
	run google-pprof --text --alloc_objects /bin/true "$T/heap.legacy"
	[ "$status" -eq 0 ]
	[[ $output == *"Heap version 2"* ]]
	[[ $output == *"Total: 37 objects"* ]]
}

@test "contention text: go tool pprof and google-pprof agree" {
	draw mutex legacy
	run go_pprof -raw "$T/mutex.legacy"
	[ "$status" -eq 0 ]
	[[ $output == *"          3  500000000: 1 2 3 "* ]]
	run google-pprof --text /bin/true "$T/mutex.legacy"
	[ "$status" -eq 0 ]
	[[ $output == *"Total: 0.501 seconds"* ]]
}

@test "gperftools' CPU profile: the same samples for go tool pprof and for google-pprof" {
	draw cpu binary
	run go_pprof -raw "$T/cpu.binary"
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *"PeriodType: cpu nanoseconds"* ]]
	[[ $output == *"Period: 10309000"* ]]
	# 70 and 30 periods, each in halves; no frame is taken for the profiler's own.
	[ "$(grep -cE '^ +(35|15) +[0-9]+: ' <<<"$output")" -eq 4 ]
	[ "$(grep -cE '^ +35 +360815000: [0-9]+ [0-9]+ [0-9]+ $' <<<"$output")" -eq 2 ]
	google-pprof --text /bin/true "$T/cpu.binary" >"$T/perl" 2>/dev/null
	grep -q '^Total: 100 samples' "$T/perl"
}

@test "a symbolized profile has its names in it, for google-pprof alone" {
	for profile in cpu heap mutex; do
		draw $profile symbolized
		google-pprof --text "$T/$profile.symbolized" >"$T/perl" 2>/dev/null
		cat "$T/perl"
		grep -q ' main$' "$T/perl"
		run go_pprof -raw "$T/$profile.symbolized"
		[[ $(cat "$T/stderr") == *"unrecognized profile format"* ]]
	done
	google-pprof --collapsed "$T/cpu.symbolized" >"$T/collapsed" 2>/dev/null
	[ "$(awk '$1 == "main;handle;cart::Cart::add" {n += $2} END {print n}' "$T/collapsed")" = 70 ]
	draw nasty symbolized
	google-pprof --text "$T/nasty.symbolized" 2>/dev/null | grep -q 'semi;colon'
}

@test "count text: go tool pprof reads threads" {
	draw threads legacy
	run go_pprof -raw "$T/threads.legacy"
	[ "$status" -eq 0 ]
	[[ $output == *"threads/count"* ]]
	[[ $output == *"          3: 1 2 3 "* ]]
}

@test "every folded line has a root, a leaf and a positive count" {
	for profile in heap cpu threads nasty many; do
		draw $profile folded
		[ -s "$T/$profile.folded" ]
		run awk '!/^[^ ;].*;.* [1-9][0-9]*$/' "$T/$profile.folded"
		[ -z "$output" ]
	done
}

@test "text is columns for awk" {
	draw heap text
	[ "$(awk '!/^#/ {s += $1} END {print s}' "$T/heap.text")" = 1500 ]
	[ "$(awk '$6 == "main" {print $4}' "$T/heap.text")" = 1500 ]
	[ "$(awk '!/^#/ {print $6; exit}' "$T/heap.text")" = alloc ]
}
