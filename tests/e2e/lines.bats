#!/usr/bin/env bats
# File, line and inlined functions, of a program that runs.

load ../helper

setup_file() {
	cd "$BATS_FILE_TMPDIR"
	cat >leaf.h <<'C'
template <class T> struct Cart {
  T sum{};
  inline __attribute__((always_inline)) void add(T x) {
    for (int i = 0; i < 1000; i++) { asm volatile("" : "+m"(sum)); sum += x; }
  }
};
C
	cat >cart.cc <<'C'
#include "leaf.h"
__attribute__((noinline)) void outer(Cart<long> &c) {
  c.add(2); asm volatile("");
}
int main() {
  Cart<long> c;
  for (;;)
    outer(c);
}
C
	g++ -O2 -g cart.cc -o cart
}

@test "lines=1: a row for each line, and inlined functions are frames" {
	tree_start -- "$BATS_FILE_TMPDIR/cart"
	capture_ms 300
	run -0 cat "$TREE/cpu.txt"
	[[ $output == *"outer  [cart]"* ]]
	[[ $output != *"Cart<long>::add"* ]]
	run -0 cat "$TREE/cpu.txt?lines=1"
	[[ $output == *"  Cart<long>::add  $BATS_FILE_TMPDIR/leaf.h:4"* ]]
	[[ $output == *"  outer  $BATS_FILE_TMPDIR/cart.cc:3"* ]]
	run -0 cat "$TREE/cpu.folded?lines=1"
	[[ $output == *";main;outer;Cart<long>::add "* ]]
}

@test "config/symbols=lines is for every file; pprof has one location with several lines" {
	tree_start --set config/symbols=lines -- "$BATS_FILE_TMPDIR/cart"
	is "$(cat "$TREE/config/symbols")" lines
	capture_ms 300
	cp "$TREE/cpu.pprof" .
	run go tool pprof -raw cpu.pprof
	[[ $output == *"[FN][FL][LN][IN]"* ]]
	[[ $output == *" Cart<long>::add $BATS_FILE_TMPDIR/leaf.h:4 s=3"*"(_ZN4CartIlE3addEl)"* ]]
	run go tool pprof -symbolize=none -top cpu.pprof
	[[ $output == *"100%  main"* ]]
	[[ $output == *"  Cart<long>::add (inline)"* ]]
	echo names >"$TREE/config/symbols"
	is "$(cat "$TREE/config/symbols")" names
	run -0 cat "$TREE/cpu.txt"
	[[ $output != *"cart.cc"* ]]
	run bash -c "echo more >'$TREE/config/symbols'"
	[ "$status" -ne 0 ]
	grep -q config/symbols "$TREE/error_log"
}

@test "a program and a library that were replaced on disk keep their lines" {
	cat >plug.c <<'C'
__attribute__((noinline)) void spin_in_plug(void) { for (int i = 0; i < 100000; i++) __asm__ volatile(""); }
C
	cat >host.c <<'C'
void spin_in_plug(void);
__attribute__((noinline)) static void spin_in_host(void) { for (int i = 0; i < 100000; i++) __asm__ volatile(""); }
int main(void) { for (;;) { spin_in_host(); spin_in_plug(); } }
C
	gcc -O1 -g -shared -fPIC -Wl,--build-id -o libplug.so plug.c
	gcc -O1 -g -Wl,--build-id -o host host.c ./libplug.so
	tree_start -- ./host
	for file in host libplug.so; do
		cp /bin/true new
		mv new "$file"
	done
	# Each has had its turn.
	both() {
		echo 0.5 >"$TREE/cpu/seconds"
		cat "$TREE/cpu/wait" >/dev/null
		cp "$TREE/cpu.txt?lines=1" text
		grep -q spin_in_host text && grep -q spin_in_plug text
	}
	wait_until 30 both
	cat text
	grep -q "spin_in_host  $PWD/host.c:2" text
	# Whoever may not look into map_files is told which file it is.
	grep -q "spin_in_plug  $PWD/plug.c:1" text ||
		{ [ "$(id -u)" -ne 0 ] && grep -q "^# lines: $PWD/libplug.so is no longer" text; }
}

@test "the program notices nothing: no SIGCHLD, no child, no wait that ends" {
	tree_start -- bash -c 'trap "echo a child ended" CHLD; trap "echo still here" USR1; echo trapped; while :; do :; done'
	wait_until 10 says trapped
	cat "$TREE/threads?lines=1" "$TREE/cpu.txt?lines=1" >/dev/null
	[ "$(awk '$1 == "line_lookups" {print $2}' "$TREE/status")" -ge 1 ]
	# bash runs the trap at its next command: let it run some.
	kill -USR1 "$PID"
	wait_until 10 grep -q "still here" "$OUT"
	hasnt "$(cat "$OUT" "$ERR")" "a child ended"
}
