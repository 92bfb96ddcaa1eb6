#!/usr/bin/env bats
# A profile of ours and one that Go made (made_by_go.go, beside this) under the same commands; and
# profiles of every size. What is expected of ours stands in tests/unit/render/profiles.h.

bats_require_minimum_version 1.5.0

setup() {
	T=$BATS_TEST_TMPDIR
	export PPROF_TMPDIR=$T
	cd "$T"
}

# Both kinds of a profile: ours.pprof and go.pprof, and the function that has most in it.
both() {
	"$DRAW" "$1" pprof >ours.pprof
	cp "$BATS_TEST_DIRNAME/go_$1.pprof" go.pprof
}

go_pprof() {
	go tool pprof -symbolize=none "$@" 2>stderr || {
		cat stderr
		return 1
	}
}

@test "-top: type, totals and the function on top, of both" {
	both heap
	for profile in ours go; do
		run -0 go_pprof -top $profile.pprof
		[[ $output == *"Type: inuse_space"* ]]
		[[ $output == *"flat  flat%   sum%        cum   cum%"* ]]
		[[ $output =~ [0-9.]+[kB]+\ +[0-9.]+%\ +[0-9.]+%\ +[0-9.]+[kB]+\ +[0-9.]+%\ +(main\.)?alloc ]]
	done
	both cpu
	for profile in ours go; do
		run -0 go_pprof -top $profile.pprof
		[[ $output == *"Type: cpu"* ]]
		[[ $output =~ Duration:\ [0-9.]+m?s,\ Total\ samples\ =\ [0-9.]+m?s ]]
	done
}

@test "-top of every column of a heap profile" {
	both heap
	for profile in ours go; do
		for column in alloc_objects alloc_space inuse_objects inuse_space; do
			run -0 go_pprof -top -sample_index=$column $profile.pprof
			[[ $output == *"Type: $column"* ]]
			[[ $output == *alloc* ]]
		done
	done
}

@test "-traces: stacks leaf first, with their labels" {
	both heap
	for profile in ours go; do
		run -0 go_pprof -traces $profile.pprof
		[[ ${output//main./} =~ alloc$'\n'[^$'\n']*add$'\n'[^$'\n']*handle$'\n'[^$'\n']*main ||
			$output == *cart::Cart::add* ]]
	done
	both cpu
	for profile in ours go; do
		run -0 go_pprof -traces $profile.pprof
		[[ $output =~ thread:\ +worker ]]
	done
}

@test "-peek: who calls, who is called" {
	both heap
	for profile in ours go; do
		run -0 go_pprof -peek '(^|\.)handle$' $profile.pprof
		[[ $output =~ \|\ +(main\.)?main ]]
		[[ $output =~ \|\ +(main\.|cart::Cart::)?add ]]
	done
}

@test "-tags: labels and their shares" {
	both cpu
	for profile in ours go; do
		run -0 go_pprof -tags $profile.pprof
		[[ $output == *"thread: Total"* ]]
		[[ $output == *"worker"* ]]
		run -0 go_pprof -top -tagfocus=thread=worker $profile.pprof
		[[ $output != *"accounting for 0,"* ]]
	done
}

@test "-base and -diff_base: a profile less itself is nothing; twice is twice" {
	for kind in heap cpu; do
		both $kind
		for profile in ours go; do
			run -0 go_pprof -top -base $profile.pprof $profile.pprof
			[[ $output == *"Showing nodes accounting for 0"* ]]
			run -0 go_pprof -top -diff_base $profile.pprof $profile.pprof
			[[ $output == *"Showing nodes accounting for 0"* ]]
			go_pprof -proto -output=twice.pb.gz $profile.pprof $profile.pprof
			one=$(go_pprof -raw $profile.pprof | awk '/^Samples/ {on = 1} /^Locations/ {on = 0}
				on && /^ +-?[0-9]+ / {s += $1} END {print s}')
			two=$(go_pprof -raw twice.pb.gz | awk '/^Samples/ {on = 1} /^Locations/ {on = 0}
				on && /^ +-?[0-9]+ / {s += $1} END {print s}')
			[ "$two" -eq $((2 * one)) ]
		done
	done
}

@test "ids are dense and in order, the first string is empty, no field that others do not know" {
	for profile in empty one cpu heap mutex threads nasty many far; do
		"$DRAW" $profile pprof | zcat |
			protoc-c -I "$PROTO" --decode=perftools.profiles.Profile profile.proto >decoded
		[ "$(grep -m1 string_table decoded)" = 'string_table: ""' ]
		! grep -q doc_url decoded
		awk '/^[a-z]/ {table = $1} /^  id: / {if ($2 != ++last[table]) {print table, $0; bad = 1}}
			END {exit bad}' decoded
	done
}

@test "the same profile twice is the same bytes" {
	for profile in empty one cpu heap nasty deep far; do
		"$DRAW" $profile pprof >one.pprof
		"$DRAW" $profile pprof | cmp - one.pprof
	done
}

@test "addresses over more than 4 GiB" {
	"$DRAW" far pprof >far.pprof
	run -0 go_pprof -raw far.pprof
	[[ $output == *"1: 0x1000/0x300000000/0x0 /opt/shop/far"* ]]
	[[ $output == *"0x1000 M=1 low"* && $output == *"0xffffffff M=1 middle"* && $output == *"0x2ffffffff M=1 high"* ]]
	run -0 go_pprof -top far.pprof
	for name in low middle high; do
		[[ $output == *"33.33%"*" $name"* ]]
	done
}

@test "100,000 stacks of 100 frames under -traces, -tags and -base" {
	"$DRAW" deep pprof >deep.pprof
	[ "$(go_pprof -raw deep.pprof | awk '/^Samples/ {on = 1; next} /^Locations/ {on = 0} on && /: / {n++} END {print n}')" = 100000 ]
	run -0 go_pprof -top -nodefraction=0 -base deep.pprof deep.pprof
	[[ $output == *"Showing nodes accounting for 0"* ]]
}

@test "google-pprof reads the texts of what go tool pprof reads, with the same totals" {
	"$DRAW" heap legacy >heap.txt
	run -0 google-pprof --text --inuse_space /bin/true heap.txt
	[[ $output == *"Total: 0.0 MB"* ]]
	run -0 google-pprof --raw --inuse_objects /bin/true heap.txt
	"$DRAW" mutex legacy >mutex.txt
	google-pprof --text --total_delay /bin/true mutex.txt >perl
	[[ $(cat perl) == *"Total: 0.501 seconds"* ]]
	run -0 go_pprof -top mutex.txt
	[[ $output == *"Type: delay"* && $output == *"of 0.50s total"* ]] || [[ $output == *"501"* ]]
}

# opens FILE CMD...: how often CMD opens FILE.
opens() {
	python3 - "$@" <<'P'
import ctypes, os, struct, subprocess, sys
libc = ctypes.CDLL(None)
watch = libc.inotify_init1(os.O_NONBLOCK)
OPEN, CLOSE = 0x20, 0x10 # with the closes, so that two opens are never told as one
assert libc.inotify_add_watch(watch, sys.argv[1].encode(), OPEN | CLOSE) > 0
subprocess.run(sys.argv[2:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(sum(mask & OPEN != 0 for _, mask, _, _ in struct.iter_unpack('iIII', os.read(watch, 65536))))
P
}

@test "C6: go opens a file twice, and that is why a capture outlives its first reader" {
	"$DRAW" heap pprof >heap.pprof
	[ "$(opens heap.pprof go tool pprof -top heap.pprof)" = 2 ]
	[ "$(opens heap.pprof cat heap.pprof)" = 1 ]
}

# broken KIND: a small profile that is wrong in KIND, or in nothing.
broken() {
	python3 - "$1" >"$1.pb" <<'P'
import sys
def number(n):
    out = b''
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])
def message(*fields):
    out = b''
    for field, value in fields:
        if isinstance(value, int):
            out += number(field << 3) + number(value)
        else:
            out += number(field << 3 | 2) + number(len(value)) + value
    return out
kind = sys.argv[1]
strings = [b'' if kind != 'string' else b'x', b'samples', b'count', b'main']
values = 1 if kind != 'values' else 2
location = 1 if kind != 'location' else 9
index = 3 if kind != 'index' else 99
sys.stdout.buffer.write(message(
    (1, message((1, 1), (2, 2))),
    (2, message((1, location), *[(2, 5)] * values)),
    (4, message((1, 1), (3, 4096), (4, message((1, 1))))),
    (5, message((1, 1), (2, index))),
    *[(6, s) for s in strings]))
P
}

@test "C34: what go refuses of a broken profile: the first string, a location, a count of values" {
	broken nothing
	run -0 go_pprof -raw nothing.pb
	[[ $output == *"main"* ]]
	for kind in string index location values; do
		broken $kind
		run go tool pprof -symbolize=none -top $kind.pb
		echo "$kind: $output"
		[ "$status" -ne 0 ]
		case $kind in
		string | index) [[ $output == *"unrecognized profile format"* ]] ;;
		location) [[ $output == *"has nil location"* ]] ;;
		values) [[ $output == *"mismatch: sample has"* ]] ;;
		esac
	done
}
