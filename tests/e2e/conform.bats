#!/usr/bin/env bats
# What go tool pprof, google-pprof and protoc-c make of a live tree, with their own commands. The
# numbers of the checks and where the others are made: doc/testing.md.

load ../helper

setup_file() {
	cd "$BATS_FILE_TMPDIR"
	cat >shelf.cc <<'C'
#include <thread>
template <class T> struct Cart {
	T sum{};
	__attribute__((noinline)) void add(T x) { for (int i = 0; i < 100000; i++) { asm volatile("" : "+m"(sum)); sum += x; } }
};
namespace shop {
struct Shelf {
	Cart<long> cart;
	__attribute__((noinline)) void put(long x) { cart.add(x); asm volatile(""); }
};
}
static void work() {
	shop::Shelf shelf;
	for (;;)
		shelf.put(1);
}
int main() {
	std::thread other(work);
	work();
}
C
	g++ -O1 -g -fno-optimize-sibling-calls -pthread -o shelf shelf.cc
	# 1,000,000 blocks of 64 bytes, half of them freed.
	cat >blocks.c <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static void *kept[1000000];
__attribute__((noinline)) void take(int i) { kept[i] = malloc(64); asm volatile(""); }
int main() {
	for (int i = 0; i < 1000000; i++)
		take(i);
	for (int i = 0; i < 500000; i++)
		free(kept[i]);
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
C
	gcc -O1 -fno-builtin -o blocks blocks.c
}

go_pprof() {
	go tool pprof "$@" 2>pprof.err || {
		cat pprof.err
		return 1
	}
}

# samples FILE FLAGS: the rows of -raw below its columns, without the numbers of the locations.
samples() {
	go_pprof -raw "${@:2}" "$1" |
		awk '/^Samples/ {getline; on = 1; next} /^Locations/ {on = 0} on {sub(/: .*/, ""); print}'
}

# columns FILE: "alloc_objects/count ..."
columns() {
	go_pprof -raw "$1" | awk '/^Samples/ {getline; print; exit}'
}

total() {
	awk '/^Showing nodes/ {sub(/.* of /, ""); sub(/ total.*/, ""); print; exit}'
}

@test "C1-C3 C7-C8 C13: each profile of debug/pprof has Go's types, columns and period" {
	tree_start --set enable=heap,mutex,block -- "$TARGET/births"
	wait_until 10 says ready
	P=$TREE/debug/pprof
	raw=$(go_pprof -raw "$P/heap")
	has "$raw" "PeriodType: space bytes"
	has "$raw" "Period: 524288"
	is "$(columns "$P/heap" | sed 's/\[dflt\]//')" \
		"alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes"
	has "$(go_pprof -top "$P/allocs")" "Type: alloc_space"
	has "$(go_pprof -top "$P/heap")" "Type: inuse_space"
	for name in mutex block; do
		is "$(columns "$P/$name" | sed 's/\[dflt\]//')" "contentions/count delay/nanoseconds"
		has "$(go_pprof -raw "$P/$name")" "PeriodType: contentions count"
	done
	is "$(columns "$P/goroutine" | sed 's/\[dflt\]//')" "goroutine/count"
	has "$(go_pprof -raw "$P/goroutine")" "PeriodType: goroutine count"
	is "$(columns "$TREE/threads.pprof" | sed 's/\[dflt\]//')" "threads/count"
	is "$(columns "$P/threadcreate" | sed 's/\[dflt\]//')" "threadcreate/count"
	for name in heap allocs mutex block goroutine threadcreate; do
		is "$(head -c2 "$P/$name" | od -An -tx1)" " 1f 8b"
	done
}

@test "C4-C5 C10 C10b C47: two busy threads of C++: types, period, times, names, one capture" {
	tree_start -- "$BATS_FILE_TMPDIR/shelf"
	ns() { awk '{n += $1} END {printf "%.0f", n}' "/proc/$PID/task/"{"$PID",$1}/schedstat; }
	wait_until 10 eval '[ "$(awk "/shelf/ {n++} END {print n}" "/proc/$PID/task/"*/comm)" = 2 ]'
	other=$(grep -lx shelf "/proc/$PID/task/"*/comm | cut -d/ -f5 | grep -vx "$PID")
	before=$(ns "$other")
	cp "$TREE/debug/pprof/profile?seconds=2&hz=100" cpu.pprof &
	used_meanwhile ns "$other"
	wait $!
	most=$(($(ns "$other") - before))
	# It opens the file twice; -symbolize is left as it is: names in the file must survive it.
	top=$(go_pprof -top "$TREE/debug/pprof/profile?seconds=1")
	is "$(awk '$1 == "captures_started" {print $2}' "$TREE/status")" 2
	raw=$(go_pprof -raw cpu.pprof)
	has "$raw" "PeriodType: cpu nanoseconds"
	has "$raw" "Period: 10000000"
	grep -qE '^Duration: [2-9]' <<<"$raw"
	has "$(columns cpu.pprof)" "samples/count cpu/nanoseconds"
	echo "$top"
	has "$top" "Cart<long>::add"
	has "$top" "shop::Shelf::put"
	hasnt "$top" "[shelf]"
	# Both threads' time, and no more than they have had.
	total=$(samples cpu.pprof | awk '/^ +[0-9]+ +[0-9]+$/ {n += $2} END {printf "%.0f", n}')
	between $((USED * 85 / 100)) "$most" "$total"
	[[ $top =~ Duration:\ [0-9.]+m?s,\ Total\ samples\ =\ [0-9.]+m?s\ \(\ ?[0-9.]+% ]]
	# The main mapping is first, whole pages, with its build id.
	id=$(readelf -n "$BATS_FILE_TMPDIR/shelf" | awk '/Build ID/ {print $3}')
	grep -A1 '^Mappings' <<<"$raw" | tail -1 |
		grep -E "^1: 0x[0-9a-f]+000/0x[0-9a-f]+000/0x([0-9a-f]*000|0) $BATS_FILE_TMPDIR/shelf $id \[FN\]$"
}

@test "C9 C14-C18: names, labels, ranges of sizes, callers, of a live heap and of threads" {
	tree_start --set heap_sample_bytes=1 -- "$TARGET/keeper"
	wait_until 10 says ready
	cp "$TREE/debug/pprof/heap" heap
	names=$(pprof_rows heap -symbolize=none -sample_index=alloc_space | awk '{print $6}')
	for name in leak token session main; do
		grep -qx "$name" <<<"$names"
	done
	hasnt "$names" "<unknown>"
	traces=$(go_pprof -traces -sample_index=alloc_space heap)
	grep -E '^ +bytes: +5kB$' <<<"$traces"
	grep -E '^ +thread: +sessions$' <<<"$traces"
	# leaf first
	grep -A1 -E ' session$' <<<"$traces" | grep -E '^ +sessions$'
	tags=$(go_pprof -tags -sample_index=alloc_space heap)
	has "$tags" "bytes: Total"
	has "$tags" "thread: Total"
	some=$(pprof_rows heap -tagfocus=bytes=1kb:8kb -sample_index=alloc_space)
	[ "$(column 1 leak <<<"$some")" != 0 ]
	[ "$(column 1 session <<<"$some")" != 0 ]
	is "$(column 1 token <<<"$some")" 0
	peek=$(go_pprof -peek '^session$' -sample_index=alloc_space heap)
	grep -E '\| +sessions$' <<<"$peek"
	peek=$(go_pprof -peek '^sessions$' -sample_index=alloc_space heap)
	grep -E '\| +session$' <<<"$peek"
	cp "$TREE/threads.pprof" .
	is "$(pprof_rows threads.pprof -cum -tagfocus="tid=$PID" | column 4 main)" 1
	has "$(go_pprof -tags threads.pprof)" "tid: Total"
	run go tool pprof -top -tagfocus=thread=1234 threads.pprof
	has "$output" "matched no samples"
}

@test "C11-C12 C51: every file of the tree for protoc-c and for flamegraph.pl" {
	tree_start --set heap_sample_bytes=1 --set enable=heap,mutex,block -- "$TARGET/keeper"
	wait_until 10 says ready
	echo 3600 >"$TREE/cpu/seconds"
	wait_until 10 has_samples $(($(samples_taken) + 5)) # of the capture
	echo 0 >"$TREE/cpu/seconds"
	for file in cpu.pprof heap.pprof allocs.pprof heap_peak.pprof heap_leaks.pprof \
		heap_lifetime.pprof mutex.pprof block.pprof threads.pprof threadcreate.pprof \
		debug/pprof/goroutine "debug/pprof/heap?seconds=0.2" "heap.pprof?lines=1"; do
		echo "$file"
		zcat <"$TREE/$file" >plain
		protoc-c --decode_raw <plain >/dev/null
		protoc-c -I "$SOURCE/render" --decode=perftools.profiles.Profile profile.proto <plain >decoded
		[ "$(grep -E '^ *[0-9]+[:{ ]' decoded | wc -l)" = 0 ]
		is "$(grep -m1 string_table decoded)" 'string_table: ""'
		hasnt "$(cat decoded)" doc_url
		awk '/^[a-z]/ {table = $1} /^  id: / {if ($2 != ++last[table]) {print table, $0; bad = 1}}
			END {exit bad}' decoded
	done
	for name in cpu heap allocs threads threadcreate; do
		cp "$TREE/$name.folded" folded
		[ -s folded ]
		is "$(awk '!/^[^ ;].*;.* [1-9][0-9]*$/' folded)" ""
	done
}

@test "C19-C22: rewritten, less itself, less before: what was freed is negative, the rest is gone" {
	tree_start --set heap_sample_bytes=1 -- "$TARGET/keeper"
	wait_until 10 says ready
	cp "$TREE/heap.pprof" before
	go_pprof -proto -output=again.pb.gz before
	diff <(samples before) <(samples again.pb.gz)
	for base in -base -diff_base; do
		has "$(go_pprof -top $base before before)" "Showing nodes accounting for 0"
	done
	kill -USR1 "$PID"
	wait_until 10 says done
	cp "$TREE/heap.pprof" after
	grep -E '^ +0 +0 +-300 +-307200$' <(samples after -base before)
	rows=$(pprof_rows after -base before -unit=B)
	echo "$rows"
	is "$(column 1 leak <<<"$rows")" -307200B
	is "$(column 1 late <<<"$rows")" 70000B
	# Nothing else has grown but the one block that session() and token() may each have at hand.
	is "$(awk '$1 != "0" && $1 != "0B" && $6 !~ /^(leak|late)$/ && !($6 == "session" && $1 ~ /^-?5000B$/) &&
		!($6 == "token" && $1 ~ /^-?48B$/)' <<<"$rows")" ""
}

@test "C22: two processes of a program, wherever they are loaded, subtract to what differs" {
	for blocks in 10 15; do
		tree_start --set heap_sample_bytes=1 -- "$TARGET/leak" "$blocks" 10
		wait_until 10 says ready
		cp "$TREE/heap.pprof" "heap.$blocks"
		tree_stop
	done
	rows=$(pprof_rows heap.15 -base heap.10 -unit=B)
	echo "$rows"
	is "$(column 1 leak_small <<<"$rows")" 500B
	is "$(awk '$1 != "0" && $1 != "0B" {print $6}' <<<"$rows")" leak_small
}

@test "C23-C24 C38: a difference has its duration; other kinds do not merge; a second capture is busy" {
	tree_start --set heap_sample_bytes=1 -- "$TARGET/keeper"
	wait_until 10 says ready
	cp "$TREE/debug/pprof/heap?seconds=1" delta
	grep -qE '^Duration: [1-9]' <(go_pprof -raw delta)
	is "$(columns delta)" "$(columns "$TREE/debug/pprof/heap")"
	cp "$TREE/threads.pprof" .
	run go tool pprof -top delta threads.pprof
	[ "$status" -ne 0 ]
	has "$output" "incompatible"
	cat "$TREE/debug/pprof/profile?seconds=60" >first &
	wait_until 10 grep -q running "$TREE/cpu/status"
	run -1 cat "$TREE/debug/pprof/profile?seconds=1"
	has "$output" "Device or resource busy"
	echo 0 >"$TREE/cpu/seconds"
	wait $!
	[ -s first ]
}

@test "C25-C27: the heap's text is one truth for go tool pprof, for google-pprof and for the protobuf" {
	tree_start --set heap_sample_bytes=1 -- "$TARGET/leak" 1000 300
	wait_until 10 says ready
	perl=$(google-pprof --text --inuse_space "$TARGET/leak" "$TREE/heap?debug=1" 2>&1)
	echo "$perl"
	has "$perl" "Heap version 2"
	has "$perl" "Total: 0.4 MB"
	has "$(grep -m1 '%' <<<"$perl")" leak_large
	has "$(go_pprof -top "$TREE/heap?debug=1")" "Type: inuse_space"
	cp "$TREE/heap?debug=1" text
	cp "$TREE/heap.pprof" .
	# As Go's, it ends with what the allocator says, which no reader takes for a record.
	sed -n '/^# proffs.MallocStats$/,/^MAPPED_LIBRARIES:$/p' text >footer
	cat footer
	grep -qx '# allocator = glibc' footer
	between 400000 1000000000 "$(awk '$2 == "allocator_inuse_bytes" {print $4}' footer)"
	between 400000 1000000000 "$(awk '$2 == "MaxRSS" {print $4}' footer)"
	hasnt "$(go_pprof -comments "$TREE/heap.pprof")" MallocStats
	# Freed blocks are in it, and the old way of scaling would have died of them.
	grep -q '^0: 0 \[1000: 24000\] @' text
	is "$(go_pprof -top text -unit=B | total)" "$(go_pprof -top heap.pprof -unit=B | total)"
	is "$(pprof_rows text -unit=B | column 1 leak_small)" 100000B
	sed '1s,heap_v2/1,heap/1048576,' text >old
	run google-pprof --text "$TARGET/leak" old
	has "$output" "Illegal division by zero"
	is "$(tail -c 8 "$TREE/heap?debug=1" | wc -c)" 8
}

@test "C28-C30: contentions and threads as text: same order, same totals, and what Go would refuse" {
	touch go
	tree_start --set enable=block --set block_rate_ns=1 -- "$TARGET/contend" holder 2
	wait_until 30 says done
	cp "$TREE/debug/pprof/block?debug=1" block.txt
	cp "$TREE/debug/pprof/goroutine?debug=1" goroutine.txt
	perl=$(google-pprof --text "$TARGET/contend" block.txt 2>/dev/null)
	go=$(go_pprof -top -unit=s block.txt)
	echo "$perl" "$go"
	has "$go" "Type: delay"
	seconds=$(awk '/^Total:/ {print $2}' <<<"$perl")
	between "$(awk -v s="$seconds" 'BEGIN {print s - 0.01}')" "$(awk -v s="$seconds" 'BEGIN {print s + 0.01}')" \
		"$(go_pprof -top -unit=s block.txt | total | tr -d s)"
	is "$(samples block.txt | awk '/^ +[0-9]+ +[0-9]+$/ {n += $2} END {printf "%.0f", n / 1e7}')" \
		"$(samples "$TREE/block.pprof" | awk '/^ +[0-9]+ +[0-9]+$/ {n += $2} END {printf "%.0f", n / 1e7}')"
	has "$(go_pprof -top goroutine.txt)" "Type: goroutine"
	sed -i 's/^--- Memory map: ---$/MAPPED_LIBRARIES:/' block.txt goroutine.txt
	run go tool pprof -top block.txt
	has "$output" "unrecognized profile format"
	run go tool pprof -top goroutine.txt
	has "$output" "malformed profile format"
}

@test "C31-C33: gperftools' names: CPU time and heap for google-pprof, with and without the program" {
	shelf=$BATS_FILE_TMPDIR/shelf
	tree_start --set heap_sample_bytes=1 -- "$shelf"
	cp "$TREE/pprof/profile?seconds=1" profile
	google-pprof --text "$shelf" profile >perl
	go_pprof -top -symbolize=local profile >go
	cat perl go
	has "$(grep -m1 '%' perl)" Cart::add
	has "$(cat go)" "Type: cpu"
	count=$(awk '/^Total:/ {print $2}' perl)
	[ "$count" -gt 0 ]
	is "$(samples profile | awk '/^ +[0-9]+ +[0-9]+$/ {n += $1} END {print n}')" "$count"
	google-pprof --collapsed "$shelf" profile >collapsed 2>/dev/null
	cat collapsed
	grep -qE ';main(<[0-9a-f]+>)?;.*;shop::Shelf::put.*;Cart<long>::add\(long\)(<[0-9a-f]+>)? [0-9]+$' collapsed
	# Read where it stands, by a tool that believes the size.
	has "$(google-pprof --text "$shelf" "$TREE/pprof/profile?seconds=0.5" 2>/dev/null | grep -m1 '%')" Cart::add
	# With its names: no program is needed, and Go does not know it.
	cp "$TREE/pprof/profile.sym?seconds=0.5" profile.sym
	cp "$TREE/pprof/heap" "$TREE/pprof/heap.sym" .
	(cd / && google-pprof --text "$OLDPWD/profile.sym") >perl 2>/dev/null
	cat perl
	has "$(grep -m1 '%' perl)" "Cart::add"
	run go tool pprof -top heap.sym
	has "$output" "unrecognized profile format"
	google-pprof --text --alloc_space heap.sym >perl 2>/dev/null
	cat perl
	has "$(grep -m1 '%' perl)" main # it makes the thread, and its state
	is "$(grep Total: perl)" "$(google-pprof --text --alloc_space "$shelf" heap 2>/dev/null | grep Total:)"
	is "$(tr '\0' ' ' <"$TREE/pprof/cmdline")" "$shelf"
	is "$(cat "$TREE/pprof/symbol")" "num_symbols: 1"
}

@test "who allocates comes first, not operator new; frames=all and the file itself have that, too" {
	cat >vector.cc <<'C'
#include <cstdio>
#include <unistd.h>
#include <vector>
static std::vector<char *> all;
__attribute__((noinline)) void hold() { all.push_back(new char[1000]); asm volatile(""); }
int main() {
	for (int i = 0; i < 100; i++)
		hold();
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
C
	g++ -O1 -o vector vector.cc
	tree_start --set heap_sample_bytes=1 -- ./vector
	wait_until 10 says ready
	for file in heap heap.folded heap.svg inuse_space heap_leaks; do
		hasnt "$(cat "$TREE/$file")" "operator new"
		has "$(cat "$TREE/$file?frames=all")" "operator new"
	done
	is "$(awk '!/^#/ {print $1, $6; exit}' "$TREE/heap")" "100000 hold"
	cp "$TREE/heap.pprof" .
	top=$(pprof_rows heap.pprof -unit=B)
	echo "$top"
	is "$(column 1 hold <<<"$top")" 100000B
	hasnt "$top" "operator new"
	has "$(go_pprof -raw heap.pprof)" "operator new"
	cp "$TREE/heap.pprof?frames=all" .
	has "$(go_pprof -top 'heap.pprof?frames=all')" "operator new"
	run -1 cat "$TREE/heap?frames=none"
	has "$output" "Invalid argument"
}

@test "who waits comes first, not the part of libc or of libstdc++ in which it does" {
	cat >turns.cc <<'C'
#include "task.h"
#include <atomic>
#include <mutex>
#include <semaphore.h>
#include <cstdio>
#include <thread>
#include <unistd.h>
static std::mutex turn;
static sem_t done;
static std::atomic<int> present;
static pid_t waiter;
__attribute__((noinline)) void hold() {
	std::lock_guard<std::mutex> mine(turn);
	usleep(20000);
}
__attribute__((noinline)) void hold_often() {
	present++;
	while (present < 2)
		usleep(100);
	for (int i = 0; i < 10; i++)
		hold();
}
__attribute__((noinline)) void wait_for_done() { task_says(&waiter); sem_wait(&done); asm volatile(""); }
int main() {
	sem_init(&done, 0, 0);
	std::thread other(hold_often), last([] { wait_for_done(); });
	hold_often();
	other.join();
	task_wait_asleep(&waiter);
	sem_post(&done);
	last.join();
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
C
	g++ -O0 -I"$SOURCE/tests/target" -pthread -o turns turns.cc
	tree_start --set enable=mutex,block --set block_rate_ns=1 --set mutex_fraction=1 -- ./turns
	wait_until 30 says ready
	cat "$TREE/mutex" "$TREE/block"
	is "$(awk '!/^#/ {print $6; exit}' "$TREE/mutex")" hold
	for name in hold wait_for_done; do
		flat=$(awk -v name=$name '!/^#/ && $6 == name {print ($1 > 0)}' "$TREE/block")
		is "$flat" 1
	done
	hasnt "$(grep -v '^#' "$TREE/block")" __gthread
	hasnt "$(grep -v '^#' "$TREE/block")" std::mutex
	has "$(cat "$TREE/block?frames=all")" std::mutex
	cp "$TREE/block.pprof" .
	is "$(pprof_rows block.pprof | awk '$6 ~ /gthread|std::mutex|sem_wait/')" ""
}

@test "C44: a million blocks of 64 bytes, of which one in hundreds is sampled, add up" {
	tree_start --set heap_sample_bytes=16384 -- "$BATS_FILE_TMPDIR/blocks"
	wait_until 30 says ready
	cp "$TREE/heap.pprof" .
	# Some 3900 samples: a tenth is six times what chance takes or gives.
	between 900000 1100000 "$(pprof_rows heap.pprof -sample_index=alloc_objects | column 1 take)"
	bytes=$(pprof_rows heap.pprof -sample_index=alloc_space -unit=B | column 1 take)
	between 57600000 70400000 "${bytes%B}"
	between 430000 570000 "$(pprof_rows heap.pprof -sample_index=inuse_objects | column 1 take)"
}

@test "C48: pprof's own web pages of a file of ours" {
	tree_start --set heap_sample_bytes=1 -- "$TARGET/leak" 100 100
	wait_until 10 says ready
	cp "$TREE/heap.pprof" .
	port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	"$(go tool -n pprof)" -http="127.0.0.1:$port" -no_browser heap.pprof </dev/null >web 2>&1 3>&- &
	STARTED+=("$!")
	wait_until 20 curl -sf -o top "http://127.0.0.1:$port/ui/top"
	has "$(cat top)" leak_large
	curl -sf "http://127.0.0.1:$port/ui/flamegraph" >flame
	has "$(cat flame)" leak_large
	curl -sf "http://127.0.0.1:$port/ui/download" >down
	is "$(head -c2 down | od -An -tx1)" " 1f 8b"
}

@test "comments say which agent, which settings and what was lost; pprof shows them" {
	cat >deaf.c <<'C'
#include <signal.h>
#include <pthread.h>
static void *spin(void *unused) { for (;;) ; return unused; }
int main() {
	sigset_t all;
	pthread_t thread;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, 0);
	pthread_create(&thread, 0, spin, 0);
	pthread_join(thread, 0);
}
C
	gcc -O1 -pthread -o deaf deaf.c
	tree_start --set enable=heap,mutex,block,exceptions --set stack_depth=77 --set mutex_fraction=3 -- ./deaf
	said() { go_pprof -comments "$1"; }
	cp "$TREE/debug/pprof/profile?seconds=2&hz=50" cpu.pprof
	for file in cpu.pprof "$TREE/"{heap,allocs,heap_peak,mutex,block,threads,threadcreate,exceptions}.pprof; do
		comments=$(said "$file")
		has "$comments" "proffs 0."
		has "$comments" "stack_depth 77"
	done
	has "$(said cpu.pprof)" "cpu: 50 Hz"
	lost=$(awk '$1 == "cpu_lost_signal_blocked" {print $2}' "$TREE/status")
	[ "$lost" -gt 0 ]
	has "$(said cpu.pprof)" "cpu_lost_signal_blocked "
	has "$(go_pprof -top cpu.pprof)" "cpu_lost_signal_blocked "
	has "$(said "$TREE/heap.pprof")" "heap_sample_bytes 524288"
	has "$(said "$TREE/mutex.pprof")" "mutex_fraction 3"
	has "$(said "$TREE/block.pprof")" "block_rate_ns 100000, block_kinds sync"
	has "$(said "$TREE/exceptions.pprof")" "exception_stacks 1000, exception_messages 1"
}

@test "a profile that is written twice is the same bytes" {
	tree_start --set heap_sample_bytes=1 -- "$TARGET/keeper"
	wait_until 10 says ready
	echo 0.3 >"$TREE/cpu/seconds"
	cat "$TREE/cpu/wait" >/dev/null
	# The same samples by two ways: the newest capture drawn anew, and the file kept of it.
	for name in cpu.pprof "cpu.pprof?lines=1" cpu.folded cpu.svg "cpu,n=5"; do
		cp "$TREE/$name" one
		cmp one "$TREE/$name"
	done
	cmp "$TREE/cpu.pprof" "$TREE"/captures/*.pprof
}
