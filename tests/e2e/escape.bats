#!/usr/bin/env bats
# Whatever a program calls its threads and functions, no file of text drives the reader's terminal.

load ../helper

# A program whose thread is named ESC[31mred and CSI m, and burns in a function named ESC[31mburn.
build_red() {
	cat >red.c <<-'C'
		#include <pthread.h>
		#include <stdio.h>
		#include <stdlib.h>
		#include <unistd.h>
		#include <sys/prctl.h>
		static void *volatile kept;
		__attribute__((noinline)) void burn(void) {
			kept = malloc(1000);
			for (volatile int i = 0; i < 100000; i++)
				;
		}
		static void *red(void *arg) {
			prctl(PR_SET_NAME, "\033[31mred\302\233m");
			for (;;)
				burn();
		}
		int main(void) {
			pthread_t thread;
			pthread_create(&thread, NULL, red, NULL);
			puts("ready");
			fflush(stdout);
			pause();
		}
	C
	${CC:-gcc} -O1 -c -o red.o red.c
	objcopy --redefine-sym burn=$'\033[31mburn' red.o
	${CC:-gcc} -o red red.o -pthread
}

# texts: every file of text in the tree, also those behind links that take time
texts() {
	find "$TREE" -type f ! -name '*.pprof' ! -path '*/debug/pprof/*' ! -name cmdline \
		! -path '*/pprof/threadcreate*' ! -path '*/pprof/exceptions*' # numbers, as google-pprof has them
	local name
	for name in cpu wall; do
		printf '%s\n' "$TREE/$name.txt" "$TREE/$name.folded"
	done
	for name in heap allocs goroutine; do
		printf '%s\n' "$TREE/debug/pprof/$name?debug=1"
	done
	printf '%s\n' "$TREE/debug/pprof/goroutine?debug=2"
}

@test "no text has a terminal escape in it, whatever threads and functions are called" {
	build_red
	tree_start --set heap_sample_bytes=1 -- ./red
	wait_until 10 says ready
	echo $'a\033[31mred' >"$TREE/cpu/hz" 2>/dev/null || true
	echo one >"$TREE/snapshot"
	(echo 0.5 >"$TREE/cpu/seconds")
	(echo 0.5 >"$TREE/wall/seconds")
	cat "$TREE/cpu/wait" "$TREE/wall/wait" >wait
	has "$(cat "$TREE/thread"/*/name)" '?[31mred'
	has "$(cat "$TREE/threads")" '?[31mred'
	has "$(cat "$TREE/threads")" '?[31mburn'
	has "$(cat "$TREE/cpu.txt")" '?[31mburn'
	has "$(cat "$TREE/cpu.folded")" '?[31mburn'
	has "$(cat "$TREE/heap")" '?[31mburn'
	texts >names
	[ "$(wc -l <names)" -gt 40 ]
	local file
	while read -r file; do
		cat "$file" >text
		if LC_ALL=C grep -q $'[\001-\010\013-\037\177]\\|\302[\200-\237]' text; then
			echo "$file"
			LC_ALL=C grep -m3 $'[\001-\010\013-\037\177]\\|\302[\200-\237]' text | cat -v
			return 1
		fi
	done <names
	# Nor has what go tool pprof prints, which takes names as they stand in the file.
	for file in cpu heap threads; do
		for how in -top -traces -tags -raw; do
			go tool pprof "$how" "$TREE/$file.pprof" 2>/dev/null | sed 's/\t/ /g' >text
			has "$(cat text)" '?[31m'
			run ! env LC_ALL=C grep -q $'[\001-\010\013-\037\177]\\|\302[\200-\237]' text
		done
	done
}
