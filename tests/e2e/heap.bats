# What the heap's files say of a program whose truth is known (tests/target/keeper.c).
load ../helper

keeper() {
	tree_start --set heap_sample_bytes=1 "$@" -- "$TARGET/keeper"
	wait_until 10 says ready
}

# row NAME FILE: the row of a function.
row() {
	awk -v name="$1" '!/^#/ && $(NF - 1) == name' "$2"
}

first_row() {
	awk '!/^#/ {print; exit}' "$1"
}

@test "a leak among heavy churn is the first row of heap_leaks, with its ages" {
	keeper
	wait_until 10 grep -q ' leak ' "$TREE/heap_leaks" # a tenth of the time later
	is "$(first_row "$TREE/heap_leaks" | awk '{print $1, $3, $6}')" "1024000 1000 leak"
	rows=$(cat "$TREE/heap_leaks")
	has "$rows" "oldest_s"
	has "$rows" "1024000 bytes in 1000 objects, allocated "
	is "$(row token "$TREE/heap_leaks")" ""
	objects=$(pprof_rows "$TREE/heap_leaks.pprof" -sample_index=inuse_objects)
	is "$(column 1 leak <<<"$objects")" 1000
}

@test "modules of the agent's own are not said to have been found late" {
	keeper
	sleep 2 # until our thread has looked
	hasnt "$(cat "$TREE/status")" modules_unasked
	hasnt "$(cat "$TREE/status")" heap_fetched
}

@test "a forked child knows the blocks of its parent, and what it did in its first moments" {
	background "$PROFFS" run -m "$TREE-%p" --set heap_sample_bytes=1 -- "$TARGET/forked"
	wait_until 10 grep -q "ready child" "$OUT"
	child=$(awk '/ready child/ {print $3}' "$OUT")
	parent=$PID
	STARTED+=("$child")
	wait_until 10 test -e "$TREE-$child/heap" -a -e "$TREE-$parent/heap"
	is "$(row before "$TREE-$child/inuse_objects" | awk '{print $1}')" 60
	is "$(row before "$TREE-$child/heap" | awk '{print $1}')" 60000
	is "$(row before "$TREE-$child/allocs" | awk '{print $1}')" 100000
	is "$(row after "$TREE-$child/heap" | awk '{print $1}')" 20000
	is "$(row before "$TREE-$parent/heap" | awk '{print $1}')" 100000
	is "$(row after "$TREE-$parent/heap")" ""
}

@test "min= leaves small stacks out, and what is no size is refused" {
	keeper
	wait_until 10 grep -q ' leak ' "$TREE/heap_leaks"
	for size in 1000KB 1000KiB 1000K 1024000; do
		is "$(grep -vc '^#' "$TREE/heap_leaks?min=$size")" 1
	done
	is "$(grep -vc '^#' "$TREE/heap_leaks,min=1GB" || true)" 0
	has "$(cat "$TREE/heap,min=1MB")" "min 1048576: 0 of"
	for size in 10XB MB 1.5MB -1 0x10; do
		run cat "$TREE/heap_leaks?min=$size"
		[ "$status" -ne 0 ]
		has "$output" "Invalid argument"
	done
}

@test "captures= asks for what has outlived so many readings" {
	keeper
	run cat "$TREE/heap_leaks,captures=2"
	has "$output" "No data available"
	cat "$TREE/heap" >/dev/null
	sleep 1.1
	cat "$TREE/heap" >/dev/null
	text=$(cat "$TREE/heap_leaks,captures=2")
	has "$text" "have outlived 2 readings"
	is "$(awk '!/^#/ {print $1, $3, $6; exit}' <<<"$text")" "1024000 1000 leak"
	run cat "$TREE/heap_leaks,captures=0"
	has "$output" "Invalid argument"
}

@test "heap_lifetime tells brief blocks from slow ones and from those that stay" {
	keeper
	cp "$TREE/heap_lifetime" lives
	cp "$TREE/heap_lifetime.pprof" .
	cat lives
	is "$(row leak lives)" ""
	between 0 1 "$(row token lives | awk '{print $2}')"        # ms; a microsecond and what lies between
	between 16 100000 "$(row session lives | awk '{print $2}')" # 20 ms, of a class that begins at 16.4
	between 1000 1000000000 "$(row token lives | awk '{print $1}')"
	is "$(row token lives | awk '{print $3}')" "100.00%"
	objects=$(pprof_rows heap_lifetime.pprof -sample_index=alloc_objects)
	[ "$(column 1 token <<<"$objects")" -ge 20000 ]
	go tool pprof -tags heap_lifetime.pprof >tags 2>/dev/null
	has "$(cat tags)" "life:"
	# Over a second of its own.
	text=$(cat "$TREE/heap_lifetime,seconds=1")
	grep -qE '^# from .*, [1-9][0-9]*\.[0-9]{3} s' <<<"$text"
	has "$text" "session"
	hasnt "$text" " leak "
}

@test "the labels of a sample: size, kind, and the thread by the name it had" {
	keeper
	tags=$(go tool pprof -tags -sample_index=alloc_space "$TREE/heap.pprof" 2>/dev/null)
	has "$tags" "kind: Total"
	has "$tags" ": malloc"
	hasnt "$tags" ": mmap"
	has "$tags" "thread: Total"
	has "$tags" ": sessions"
	has "$(cat "$TREE/allocs")" "#   bytes 5120; kind malloc; thread sessions"
}

@test "mappings are seen when config/heap_mmap says so, and add up" {
	keeper
	is "$(cat "$TREE/config/heap_mmap")" 0
	is "$(row reserve "$TREE/heap")" ""
	tree_stop
	keeper --set heap_mmap=1
	row reserve "$TREE/heap"
	is "$(row reserve "$TREE/heap" | awk '{print $1}')" $((8 << 20))
	has "$(go tool pprof -tags "$TREE/heap.pprof" 2>/dev/null)" ": mmap"
	echo 0 >"$TREE/config/heap_mmap"
	is "$(row reserve "$TREE/heap" | awk '$1 > 0')" ""
	echo 1 >"$TREE/config/heap_mmap" # nothing of before comes back
	is "$(row reserve "$TREE/heap" | awk '$1 > 0')" ""
	run sh -c "echo 2 >$TREE/config/heap_mmap"
	[ "$status" -ne 0 ]
}

@test "switched on late: what was allocated from then on, and nothing of what was freed" {
	keeper --set enable=-heap
	run cat "$TREE/heap"
	has "$output" "No data available"
	echo +heap >"$TREE/enable"
	kill -USR1 "$PID"
	wait_until 10 says done
	cp "$TREE/heap.pprof" .
	objects=$(pprof_rows heap.pprof -sample_index=inuse_objects)
	bytes=$(pprof_rows heap.pprof -sample_index=inuse_space -unit=B)
	is "$(column 1 late <<<"$objects")" 100
	is "$(column 1 late <<<"$bytes")" 70000B
	is "$(column 1 leak <<<"$objects")" 0 # allocated before, freed since
	between 0 1 "$(column 1 session <<<"$objects")"
}

@test "the heap's text ends with a sum that is VmRSS, to the byte" {
	for preload in '' libjemalloc.so.2 libtcmalloc_minimal.so.4 libmimalloc.so.2; do
		LD_PRELOAD=$preload keeper
		cp "$TREE/heap" heap
		sed -n '/^# where resident/,$p' heap
		awk '/^# where resident/ {begun = 1; next}
			begun && $2 ~ /^-?[0-9]+$/ {
				if ($3 == "VmRSS") {found = 1; exit sum != $2}
				sum += $2
			}
			END {if (!found) exit 1}' heap
		# Nobody's guess: the kernel says the same, give or take what moved meanwhile.
		said=$(awk '$3 == "VmRSS" {print int($2 / 1024)}' heap)
		now=$(awk '/^VmRSS/ {print $2}' "/proc/$PID/status")
		between $((now * 80 / 100)) $((now * 120 / 100)) "$said"
		[ "$(grep -c '^# where resident' "$TREE/allocs" || true)" -eq 0 ]
		tree_stop
	done
}

@test "a program built with AddressSanitizer runs as it would, and it is said that it is not watched" {
	printf '#include <stdlib.h>\n#include <stdio.h>\nint main(int n, char **v) { char *p = malloc(10); ' >a.c
	printf 'p[n > 1 ? 10 : 0] = 1; free(p); puts("fine"); return 3; }\n' >>a.c
	gcc -fsanitize=address -o a a.c
	run --separate-stderr "$PROFFS" run -m "$TREE" -- ./a
	is "$status" 3
	is "$output" fine
	has "$stderr" "built with a sanitizer"
	run --separate-stderr "$PROFFS" run -m "$TREE" -- ./a overflow
	has "$stderr" heap-buffer-overflow
	# With its runtime inside, it would count what the agent allocates as leaks of the program's,
	# which lives long enough to have a tree.
	for how in 'gcc -fsanitize=address -static-libasan' \
		'gcc -fsanitize=thread -static-libtsan' 'clang -fsanitize=address' 'clang -fsanitize=memory'; do
		printf '#include <stdio.h>\n#include <unistd.h>\nint main() { puts("fine"); usleep(300000); return 3; }\n' >b.c
		$how -o b b.c
		run --separate-stderr "$PROFFS" run -m "$TREE" -- ./b
		echo "$how: $stderr"
		is "$status" 3
		is "$output" fine
		has "$stderr" "built with a sanitizer"
	done
	# Started without the command; with a runtime that must be the first of all, if it may be second.
	for how in 'gcc -fsanitize=address -static-libasan' 'gcc -fsanitize=address' \
		'gcc -fsanitize=thread -static-libtsan' 'clang -fsanitize=address'; do
		$how -o b b.c
		run --separate-stderr env LD_PRELOAD="$BUILD/libproffs.so" PROFFS_MOUNT="$TREE" ASAN_OPTIONS=verify_asan_link_order=0 ./b
		echo "$how: $stderr"
		is "$status" 3
		is "$output" fine
		has "$stderr" "no tree: it is built with a sanitizer"
		is "$(wc -l <<<"$stderr")" 1
	done
	# A child of a watched program, whatever else its user wants of the sanitizer.
	run --separate-stderr env ASAN_OPTIONS=exitcode=5 "$PROFFS" run -m "$TREE" -- sh -c './a; echo $?; ./a overflow; exit $?'
	is "$output" $'fine\n3'
	is "$status" 5
	has "$stderr" heap-buffer-overflow
	# AFL minds options that are not its own.
	has "$("$PROFFS" run -m "$TREE" -- env)" "ASAN_OPTIONS=verify_asan_link_order=0"
	hasnt "$(AFL_SKIP_CPUFREQ=1 "$PROFFS" run -m "$TREE" -- env)" ASAN_OPTIONS
	ln -s "$(command -v env)" afl-env
	hasnt "$("$PROFFS" run -m "$TREE" -- ./afl-env)" ASAN_OPTIONS
	# Asked by the program itself.
	printf '#include <proffs/proffs.h>\n#include <stdio.h>\n' >c.c
	printf 'int main() { printf("%%d\\n", proffs_start(NULL)); return 3; }\n' >>c.c
	for how in 'gcc -fsanitize=address' 'clang -fsanitize=address' 'clang -fsanitize=undefined'; do
		$how -I"$SOURCE/include" -o c c.c -L"$BUILD" -lproffs -Wl,-rpath,"$BUILD"
		run --separate-stderr ./c
		echo "$how: $output $stderr"
		is "$status" 3
		if [ "$how" = 'clang -fsanitize=undefined' ]; then
			is "$output" 0
			hasnt "$stderr" "unwatched"
		else
			is "$output" -95
			has "$stderr" "no tree: it is built with a sanitizer"
			is "$(wc -l <<<"$stderr")" 1
		fi
	done
	# A child of a program that has its tree there is left alone without a word.
	run --separate-stderr env LD_PRELOAD="$BUILD/libproffs.so" PROFFS_MOUNT="$TREE" bash -c \
		'for i in {1..100}; do [ -e "$0/status" ] && break; sleep 0.1; done; ./b; echo "$?"' "$TREE"
	is "$output" $'fine\n3'
	is "$stderr" ""
	# One that only looks at arithmetic is in nobody's way.
	clang -fsanitize=undefined -o b b.c
	run --separate-stderr "$PROFFS" run -m "$TREE" -- ./b
	is "$status $output" "3 fine"
	hasnt "$stderr" "unwatched"
}

@test "a malloc that is hidden in the executable is said by the first status already" {
	printf '#include <unistd.h>\nstatic char room[9999]; __attribute__((visibility("hidden"))) void *%s(unsigned long n) { return room; }\n' \
		malloc >hidden.c
	printf '#include <unistd.h>\nextern void *malloc(unsigned long); int main(void) { malloc(9); pause(); return 0; }\n' >main.c
	gcc -fno-builtin -o hidden hidden.c main.c
	tree_start -- ./hidden
	has "$(grep '^heap  *degraded' "$TREE/status")" 'a malloc that is hidden in the executable'
	tree_stop
}

# has_answered COUNT: the target has said so often how malloc does.
has_answered() {
	[ "$(grep -c mapped "$OUT")" -eq "$1" ]
}

@test "reading leaves malloc's thresholds as the program had them" {
	mkfifo ask
	exec {ask}<>ask
	tree_start --set heap_sample_bytes=1 --set enable=1 -- sh -c 'exec "$0" <ask' "$TARGET/bushy"
	echo grow >&"$ask"
	wait_until 10 says "grown 4096"
	echo before >&"$ask"
	wait_until 10 says mapped
	for view in heap heap.pprof heap.folded heap.svg heap.html "heap?debug=1" "heap?focus=left" heap_leaks allocs.pprof \
		heap_lifetime mutex threads.pprof debug/pprof/symbol; do
		cat "$TREE/$view" >/dev/null
	done
	has "$(pprof_rows "$TREE/heap.pprof" -sample_index=inuse_objects | head -n 3)" grow
	echo after >&"$ask"
	wait_until 10 has_answered 2
	exec {ask}>&-
	is "$(grep -cx mapped "$OUT")" 2
}

# A module that is found while it is still being opened was found in time, if its first function is asked for;
# one whose constructor hands it out may have been called before.
@test "a plugin whose constructor takes long is patched in time, and nobody who reads waits for it" {
	cat >plugin.c <<-'END'
		#include <stdlib.h>
		#include <unistd.h>
		extern void (*registered)(void);
		void allocates(void) { for (int i = 0; i < 1000; i++) *(char *volatile *)&(char *){malloc(100)} += 0; }
		__attribute__((constructor)) static void begin(void) { if (REGISTERS) registered = allocates; usleep(TAKES); }
	END
	cat >host.c <<-'END'
		#include <dlfcn.h>
		#include <stddef.h>
		#include <unistd.h>
		void (*registered)(void);
		int main(int n, char **v) {
			sleep(1);
			void *h = dlopen(v[1], RTLD_NOW);
			(registered ? registered : (void (*)(void))dlsym(h, "allocates"))();
			if (write(1, "ready\n", 6) == 6) for (;;) pause();
		}
	END
	gcc -O1 -rdynamic -o host host.c
	gcc -O0 -shared -fPIC -DREGISTERS=0 -DTAKES=30000 -o asked.so plugin.c
	gcc -O0 -shared -fPIC -DREGISTERS=1 -DTAKES=0 -o unasked.so plugin.c
	gcc -O0 -shared -fPIC -DREGISTERS=0 -DTAKES=8000000 -o slow.so plugin.c
	tree_start --set heap_sample_bytes=1 -- ./host "$PWD/asked.so"
	wait_until 10 says ready
	is "$(row allocates "$TREE/inuse_objects" | awk '{print $1}')" 1000
	sleep 2
	hasnt "$(cat "$TREE/status")" modules_unasked
	tree_stop
	tree_start --set heap_sample_bytes=1 -- ./host "$PWD/unasked.so"
	wait_until 10 says ready
	is_counted() { grep -q '^modules_unasked  *1 ' "$TREE/status"; }
	wait_until 10 is_counted
	tree_stop
	tree_start --set heap_sample_bytes=1 -- ./host "$PWD/slow.so"
	sleep 2 # it sleeps with the loader's lock
	timeout 3 cat "$TREE/status" >status
	timeout 3 cat "$TREE/heap" >heap
	hasnt "$(cat "$OUT")" ready
}

# nomad HOW: its blocks are in the heap, once each, and nothing is amiss.
nomad() {
	tree_start --set heap_sample_bytes=1 "${@:2}" -- "$TARGET/$1"
	wait_until 10 says ready
	cp "$TREE/heap" heap
	cat heap
	is "$(row stays heap | awk '{print $1}')" 1000000
	is "$(row arrays heap | awk '{print $1}')" 100000
	is "$(row stays "$TREE/inuse_objects" | awk '{print $1}')" 1000
	is "$(row arrays "$TREE/inuse_objects" | awk '{print $1}')" 1000
	is "$(row goes "$TREE/allocs" | awk '{print $1}')" 500000
	is "$(row goes heap | awk '$1 > 0')" ""
	grep '^heap  *ok' "$TREE/status"
	tree_stop
}

@test "what a library's operator new takes from a pool of its own is in the heap, once, until it is deleted" {
	nomad nomad
	LD_BIND_NOW=1 nomad nomad
	# Preloaded before what it is linked to.
	LD_PRELOAD=$TARGET/libpool.so nomad nomad_malloc
	nomad nomad_malloc
	nomad nomad_alone_malloc
	# The pool is a mapping; its blocks are counted one by one.
	nomad nomad --set heap_mmap=1
}

@test "an operator new of the executable's own that does not end in malloc is said, and breaks nothing" {
	tree_start --set heap_sample_bytes=1 -- "$TARGET/nomad_alone"
	wait_until 10 says ready
	is "$(row stays "$TREE/heap")" ""
	has "$(grep '^heap  *degraded' "$TREE/status")" "operator new of its own"
	tree_stop
}

# takes FLAGS...: a program whose operator new is take(), with a call of malloc beside it, until it is ready.
takes() {
	cat >takes.cc <<-'END'
		#include <cstddef>
		#include <cstdlib>
		#include <new>
		#include <sys/mman.h>
		#include <unistd.h>
		extern "C" { void *take(std::size_t n); void give(void *p); void once(); void behind(); }
		void *operator new(std::size_t n) {
		#ifdef HOLE
			if (n == 12345) once();
		#endif
			if (void *p = take(n)) return p;
			throw std::bad_alloc();
		}
		void operator delete(void *p) noexcept { give(p); }
		void operator delete(void *p, std::size_t) noexcept { give(p); }
		// Lies behind the throw, in the same section.
		extern "C" __attribute__((cold, noinline)) void *neighbour(std::size_t n) { return std::malloc(n); }
		__attribute__((noinline)) static char *stays() { char *p = static_cast<char *>(::operator new(1000)); *p = 1; return p; }
		int main() {
			static char *volatile kept[1000];
			static void *volatile other = std::malloc(10);
			for (int i = 0; i < 1000; i++) kept[i] = stays();
		#ifdef HOLE
			if (mprotect(reinterpret_cast<void *>(once), 4096, PROT_NONE) != 0) return 1;
		#endif
			if (other && write(1, "ready\n", 6) == 6) for (;;) pause();
		}
	END
	cat >taker.cc <<-'END'
		#include <cstddef>
		#include <cstdlib>
		extern "C" { void *take(std::size_t n); void give(void *p); void once(); void behind(); }
		#ifdef POOL
		static char pool[1 << 22]; static std::size_t used;
		void *take(std::size_t n) { std::size_t at = __atomic_fetch_add(&used, n, 0); return at + n <= sizeof pool ? pool + at : nullptr; }
		void give(void *) {}
		#endif
		#ifdef OVER_MALLOC
		void *take(std::size_t n) { return std::malloc(n); }
		void give(void *p) { std::free(p); }
		#endif
		#ifdef BY_POINTER
		void *(*volatile taker)(std::size_t) = std::malloc;
		void *take(std::size_t n) { return taker(n); }
		void give(void *p) { std::free(p); }
		#endif
		#ifdef HOLE
		__attribute__((aligned(4096))) void once() { __asm__ volatile("nop"); }
		__attribute__((aligned(4096))) void behind() { __asm__ volatile("nop"); }
		#endif
	END
	g++ -w -o takes "${FROM:-takes.cc}" taker.cc "$@"
	tree_start --set heap_sample_bytes=1 -- ./takes
	wait_until 10 says ready
}

@test "what an executable's own operator new takes from a library is seen there" {
	printf '#include <stdlib.h>\nvoid *take(unsigned long n) { return malloc(n); }\nvoid give(void *p) { free(p); }\n' >take.c
	gcc -shared -fPIC -o libtake.so take.c
	takes -O1 -L. -Wl,--no-as-needed -ltake -Wl,-rpath,"$PWD"
	is "$(row stays "$TREE/heap" | awk '{print $1}')" 1000000
	grep '^heap  *ok' "$TREE/status"
}

@test "an executable that calls malloc, and has an operator new that does not, is told from one whose does" {
	local flags
	for flags in -O0 -O2 '-O2 -fno-plt' '-O2 -fcf-protection -no-pie' '-O2 -static-libstdc++'; do
		takes $flags -DPOOL
		is "$(row stays "$TREE/heap")" ""
		has "$(grep '^heap  *degraded' "$TREE/status")" "its calls cannot be seen"
		tree_stop
		takes $flags -DOVER_MALLOC
		is "$(row stays "$TREE/heap" | awk '{print $1}')" 1000000
		grep '^heap  *ok' "$TREE/status"
		tree_stop
	done
	# Only those for arrays, and for what asks for its alignment.
	sed 's/operator new(std::size_t n)/operator new(std::size_t n, std::align_val_t)/; s/operator delete(void \*p)/operator delete(void *p, std::align_val_t)/
		s/operator delete(void \*p, std::size_t)/operator delete(void *p, std::size_t, std::align_val_t)/; s/::operator new(1000)/::operator new(1000, std::align_val_t(64))/' takes.cc >aligned.cc
	grep -q align_val_t aligned.cc
	FROM=aligned.cc takes -std=c++17 -O1 -DPOOL
	has "$(grep '^heap  *degraded' "$TREE/status")" "its calls cannot be seen"
	tree_stop
	# Code that nobody may read any more.
	takes -O1 -DPOOL -DHOLE -static-libstdc++
	has "$(grep '^heap  *degraded' "$TREE/status")" "which its code does not tell"
	grep -q '^pid' "$TREE/status"
	tree_stop
	takes -O1 -DBY_POINTER
	is "$(row stays "$TREE/heap" | awk '{print $1}')" 1000000
	has "$(grep '^heap  *degraded' "$TREE/status")" "which its code does not tell"
}
