# Other allocators beside us by LD_PRELOAD, and one that is inside the executable.
load real

library() { ldconfig -p | awk -v name="$1" '$1 == name {print $NF; exit}'; }

program() {
	cat >program.cc <<-'END'
		#include <cstdio>
		#include <cstdlib>
		#include <map>
		#include <string>
		#include <thread>
		#include <vector>
		[[gnu::noinline]] static std::vector<std::string> *hoards(int n) {
			auto *kept = new std::vector<std::string>;
			for (int i = 0; i < n; i++) kept->push_back(std::string(1000, 'x'));
			return kept;
		}
		[[gnu::noinline]] static unsigned long churns(unsigned seed) {
			std::vector<void *> slots(1000); unsigned long sum = 0;
			for (int i = 0; i < 300000; i++) {
				seed = seed * 1103515245 + 12345; unsigned at = seed / 65536 % 1000; size_t size = seed / 7 % 5000;
				switch (seed >> 29) {
				case 0: free(slots[at]); slots[at] = calloc(1, size + 1); sum += *(char *)slots[at]; break;
				case 1: slots[at] = realloc(slots[at], size + 1); break;
				case 2: free(slots[at]); if (posix_memalign(&slots[at], 64, size + 1)) abort(); sum += (unsigned long)slots[at] % 64; break;
				default: free(slots[at]); slots[at] = malloc(size + 1); sum += size; }
			}
			for (void *p : slots) free(p);
			return sum;
		}
		int main() {
			auto *kept = hoards(40000);
			unsigned long sums[4]; std::vector<std::thread> threads;
			for (int n = 0; n < 4; n++) threads.emplace_back([&, n] { sums[n] = churns(n + 1); });
			for (auto &t : threads) t.join();
			printf("%zu %lu %lu %lu %lu\n", kept->size(), sums[0], sums[1], sums[2], sums[3]);
			return 9;
		}
	END
	g++ -O1 -g -pthread "$@" -o program program.cc
}

over() { # LIBRARY ALLOCATOR
	local preload
	preload=$(library "$1")
	[ -n "$preload" ]
	program
	LD_PRELOAD=$preload same ./program
	is "$STATUS" 9
	names dump/allocs.folded hoards churns
	most dump/heap.folded 80 hoards
	# 40,000,000 bytes and what the vector and the headers take, by samples of 16 KiB: to 10 %.
	total=$(awk '/hoards/ {sum += $NF} END {printf "%d", sum}' dump/heap.folded)
	between 38000000 50000000 "$total"
	has "$(cat dump/stats)" "allocator $2"
}

@test "jemalloc beside us" { over libjemalloc.so.2 jemalloc; }
@test "tcmalloc beside us" { over libtcmalloc_minimal.so.4 tcmalloc; }
@test "mimalloc beside us" { over libmimalloc.so.2 mimalloc; }

# libstdc++ has an operator new itself and calls it by a slot that is bound at the first call: what
# that leads to must be known before.
@test "from its first allocation on, operator new beside jemalloc, tcmalloc and mimalloc" {
	program
	for name in libjemalloc.so.2 libtcmalloc_minimal.so.4 libmimalloc.so.2; do
		FAST=(--set heap_sample_bytes=1)
		rm -rf dump
		LD_PRELOAD=$(library "$name") watched ./program
		is "$STATUS" 9
		is "$(awk '/hoards;.*_M_construct/ {sum += $NF} END {printf "%d", sum}' dump/heap.folded)" 40040000
	done
}

# All of tcmalloc walks a stack with libunwind whenever its heap grows, on our threads, too; libunwind keeps the
# two numbers of a pipe for the whole process, and where they are closed makes a new one.
@test "all of tcmalloc beside us: its pipe and the program's files stay what they are" {
	cat >grows.c <<-'END'
		#include <pthread.h>
		#include <stdio.h>
		#include <stdlib.h>
		#include <string.h>
		#include <unistd.h>
		static void *left(int way, int depth), *right(int way, int depth);
		static void *branch(int way, int depth, int size) {
			return !depth ? malloc(size) : way & 1 ? right(way >> 1, depth - 1) : left(way >> 1, depth - 1);
		}
		static void *left(int way, int depth) { void *p = branch(way, depth, 30); __asm__ volatile(""); return p; }
		static void *right(int way, int depth) { void *p = branch(way, depth, 40); __asm__ volatile(""); return p; }
		static void *waits(void *p) { pause(); return p; }
		int main(int argc, char **argv) {
			int depth = atoi(argv[1]);
			pthread_t thread;
			for (int i = 0; i < 5; i++) pthread_create(&thread, NULL, waits, NULL);
			for (int i = 0; i < 1 << depth; i++) left(i, depth);
			while (access("go", F_OK)) usleep(10000);
			for (int i = 0; i < 50; i++) memset(malloc(3 << 20), 1, 3 << 20);
			printf("%ld\n", (long)lseek(3, 0, SEEK_CUR));
			return 9;
		}
	END
	gcc -O1 -fno-inline -fno-optimize-sibling-calls -pthread -o grows grows.c
	for depth in 12 13 14; do
		rm -f go
		(exec 3</etc/services; export LD_PRELOAD="$(library libtcmalloc.so.4)"
			exec "$PROFFS" run -m "$PWD/tree" --set heap_sample_bytes=1 -- ./grows "$depth") >position 2>said &
		program=$!
		wait_until 30 test -e tree/status
		for ((k = 0; k < 3; k++)); do
			timeout 30 cat tree/heap >heap
			has "$(grep ' threads' heap)" 'stacks of 6 threads'
		done
		touch go
		wait "$program" || is $? 9
		is "$(cat position)" 0
	done
}

@test "a malloc inside the executable is detected and said, and nothing breaks" {
	cat >own.c <<-'END'
		#include <stddef.h>
		#include <string.h>
		#include <errno.h>
		static char memory[1 << 30] __attribute__((aligned(64)));
		static size_t used;
		static void *take(size_t align, size_t size) {
			size_t at, end;
			do { at = __atomic_load_n(&used, __ATOMIC_RELAXED); end = ((at + 16 + align - 1) & ~(align - 1)) + size; if (end > sizeof(memory)) return NULL; }
			while (!__atomic_compare_exchange_n(&used, &at, end, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
			char *p = memory + end - size; ((size_t *)p)[-1] = size; return p;
		}
		void *malloc(size_t size) { return take(16, size); }
		void free(void *p) {}
		void *calloc(size_t n, size_t size) { return take(16, n * size); }
		void *realloc(void *p, size_t size) { void *q = take(16, size); if (p && q) { size_t old = ((size_t *)p)[-1]; memcpy(q, p, old < size ? old : size); } return q; }
		int posix_memalign(void **out, size_t align, size_t size) { *out = take(align, size); return *out ? 0 : ENOMEM; }
		void *aligned_alloc(size_t align, size_t size) { return take(align, size); }
		void *memalign(size_t align, size_t size) { return take(align, size); }
		size_t malloc_usable_size(void *p) { return p ? ((size_t *)p)[-1] : 0; }
	END
	gcc -O1 -c own.c
	cat >main.c <<-'END'
		#include <stdio.h>
		#include <stdlib.h>
		#include <string.h>
		int main(void) { size_t sum = 0; for (int i = 0; i < 200000; i++) { char *p = malloc(i % 999 + 1); memset(p, i, i % 999 + 1); sum += (unsigned char)p[0]; free(p); } char *s = strdup("kept"); printf("%zu %s\n", sum, s); return 9; }
	END
	gcc -O1 -fno-builtin -o program main.c own.o
	same ./program
	is "$STATUS" 9
	has "$(grep '^heap  *degraded' dump/status)" "has its own malloc"
}
