# What builds programs: gcc -O2 and its chain of execs, make -j4, the linker; the same bytes.
load real

sources() { # COUNT
	for ((n = 0; n < $1; n++)); do
		{
			echo '#include <stdio.h>'
			echo '#include <stdlib.h>'
			echo '#include <string.h>'
			for i in {1..40}; do
				echo "int f${n}_$i(int x, char *p) { int s = 0; for (int i = 0; i < x; i++) s += p[i] * $i + i % ($i + 3); if (s & 1) qsort(p, x, 1, (int (*)(const void *, const void *))strcmp); return s; }"
			done
		} >"part$n.c"
	done
}

@test "gcc -O2 on a large file: a chain of execs, the same object code, and cc1 is watched" {
	sources 12
	cat part*.c | sort -u -s -k1,1 -k2,2 >/dev/null
	cat part*.c >large.c
	plain gcc -O2 -c -o plain.o large.c
	to_end -m "$BATS_TEST_TMPDIR/trees-%p" -- gcc -O2 -c -o watched.o large.c 3>&- &
	running=$!
	STARTED+=("$running")
	# Of gcc's children the compiler proper lives for seconds.
	seen=
	while kill -0 "$running" 2>/dev/null; do
		for tree in trees-*; do
			grep -qs '^program cc1' "$tree/status" && cat "$tree/allocs.folded" >seen.now 2>/dev/null &&
				[ "$(wc -l <seen.now)" -gt 20 ] && mv seen.now seen && seen=yes
		done
		sleep 0.1
	done
	wait "$running"
	cmp plain.o watched.o
	cmp plain.err "$ERR"
	is "$seen" yes
	names seen main
	wait_until 5 no_mount_left
}

@test "make -j4, gcc and ar and ld beneath: the same library" {
	sources 8
	cat >Makefile <<-'END'
		OBJECTS = $(patsubst %.c,%.o,$(sort $(wildcard part*.c)))
		all: program
		%.o: %.c ; gcc -O1 -c -o $@ $<
		libparts.a: $(OBJECTS) ; ar rcsD $@ $^
		program: main.c libparts.a ; gcc -Wl,--build-id=none -o $@ main.c libparts.a
		clean: ; rm -f *.o *.a program
	END
	echo 'int f3_7(int, char *); int main(void) { char b[64] = "deterministic"; return f3_7(5, b) & 63; }' >main.c
	plain make -s -j4
	mv program plain.program
	make -s clean
	watched make -s -j4
	agrees
	cmp program plain.program
	names dump/wall.folded main update_goal_chain reap_children
	./program || status=$?
	./plain.program || is "$?" "${status-0}"
	# A failing rule fails as it does.
	echo 'int' >part1.c
	plain make -s -j4
	make -s clean
	watched make -s -j4
	is "$STATUS" "$PLAIN_STATUS"
	is "$STATUS" 2
}
