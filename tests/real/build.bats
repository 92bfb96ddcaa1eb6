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

@test "gcc -O2 on a large file: a chain of execs, the same object code, and each of the chain is watched" {
	sources 12
	cat part*.c >large.c
	plain gcc -O2 -c -o object.o large.c
	mv object.o plain.o
	watched_family gcc -O2 -c -o object.o large.c
	agrees
	is "$STATUS" 0
	cmp plain.o object.o
	cc1=$(dump_of cc1)
	most "$cc1/cpu.folded" 90 toplev::main
	most "$cc1/cpu.folded" 50 execute_pass_list
	most "$cc1/allocs.folded" 60 toplev::main
	names "$cc1/heap.folded" toplev::main
	names "$(dump_of gcc)/wall.folded" wait4 # it is stripped
	# What it refuses it refuses as it does.
	echo 'int f(void) { return g(; }' >>large.c
	family gcc -O2 -c -o object.o large.c
	is "$STATUS" 1
	has "$(cat "$ERR")" 'expected expression'
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
