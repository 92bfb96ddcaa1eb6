#!/usr/bin/env bats
# debug/pprof/symbol: addresses in, names out, on the same open file.

load ../helper

# Lookup addresses of the program's main() and of nothing, as 0xHEX.
address_of_main() {
	local base
	base=$(awk -v file="$TARGET/leak" '$6 == file {split($1, a, "-"); print a[1]; exit}' "/proc/$PID/maps")
	printf '%#x' $((16#$base + 16#$(nm "$TARGET/leak" | awk '$3 == "main" {print $1}') + 4))
}

@test "read without a question it says that it knows symbols" {
	tree_start -- "$TARGET/leak" 10 10
	is "$(cat "$TREE/debug/pprof/symbol")" "num_symbols: 1"
	is "$(stat -c %a "$TREE/debug/pprof/symbol")" 600
}

@test "a shell asks and reads on the same descriptor, as often as it likes" {
	tree_start -- "$TARGET/leak" 10 10
	main=$(address_of_main)
	exec 5<>"$TREE/debug/pprof/symbol"
	echo "$main+0x10" >&5
	is "$(cat <&5)" "num_symbols: 1
$main	main"
	printf %s "0x10+${main/0x/0x0000}" >&5
	is "$(cat <&5)" "num_symbols: 1
$main	main"
	exec 5>&-
	# The next one to open it has asked nothing.
	is "$(cat "$TREE/debug/pprof/symbol")" "num_symbols: 1"
}

@test "python seeks, perl does not; both get names" {
	tree_start -- "$TARGET/leak" 10 10
	main=$(address_of_main)
	is "$(python3 -c "
f = open('$TREE/debug/pprof/symbol', 'r+b', buffering=0)
f.write(b'$main')
f.seek(0)
print(f.read().decode(), end='')")" "num_symbols: 1
$main	main"
	is "$(perl -e 'open(F, "+<", $ARGV[0]); syswrite(F, $ARGV[1]); sysread(F, $x, 100); print $x' \
		"$TREE/debug/pprof/symbol" "$main")" "num_symbols: 1
$main	main"
}

@test "thousands of addresses in one go" {
	tree_start -- "$TARGET/leak" 10 10
	main=$(address_of_main)
	python3 - "$TREE/debug/pprof/symbol" "$main" <<'P'
import sys
f = open(sys.argv[1], 'r+b', buffering=0)
asked = '+'.join(['%#018x' % n for n in range(4096, 4096 + 20000)] + [sys.argv[2]]).encode()
while asked:
    asked = asked[f.write(asked):]
f.seek(0)
print(f.read().decode(), end='')
f.seek(0)
assert f.readall().decode().splitlines()[-1] == sys.argv[2] + '\tmain'
P
}

@test "what is no address is refused, and said" {
	tree_start -- "$TARGET/leak" 10 10
	for bad in "" hello 401000 0x 0xg 0x10000000000000000 "0x10 0x1g+0x2222222222222222222222"; do
		run bash -c "printf %s '$bad' | dd of='$TREE/debug/pprof/symbol' conv=notrunc 2>&1"
		[ "$status" -ne 0 ] || [ -z "$bad" ]
	done
	has "$(cat "$TREE/error_log")" debug/pprof/symbol
	run -1 bash -c "echo 0x10 >'$TREE/debug/pprof/cmdline'"
}

@test "the stubs through which a program calls others are called what objdump calls them" {
	cat >stubs.cc <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
	char *volatile text = strdup(argv[0]);
	int (*volatile f)(const char *, const char *) = strcmp;
	char *more = new char[strlen(text) + 1];
	printf("%d %d\n", memcmp(text, argv[0], strlen(text)), f(text, argv[0]) + strcmp(text, "x"));
	delete[] more;
	free(text);
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
C
	for way in "-Wl,-z,lazy" "-Wl,-z,now" "-fcf-protection=full -Wl,-z,ibtplt" "-no-pie" "-Wl,-z,now -s"; do
		# shellcheck disable=SC2086
		g++ -O1 -fno-builtin $way -o stubs stubs.cc
		tree_start -- ./stubs
		wait_until 10 says ready
		base=$(awk -v file="$PWD/stubs" '$6 == file {split($1, a, "-"); print a[1]; exit}' "/proc/$PID/maps")
		[[ $way != -no-pie ]] || base=0
		# An address inside each, and its name.
		objdump -d -j .plt -j .plt.sec -j .plt.got stubs 2>objdump.err |
			awk '/^[0-9a-f]+ <.*@plt>:$/ {gsub(/[<>:]/, ""); sub(/@.*@plt/, "@plt", $2); print $1, $2}' |
			while read -r address name; do
				printf '%#x\t%s\n' $((16#$base + 16#$address + 2)) "$name"
			done | sort >should
		cat should
		[ "$(wc -l <should)" -ge 5 ]
		exec 5<>"$TREE/debug/pprof/symbol"
		cut -f1 should | paste -sd+ | tr -d '\n' >&5
		cat <&5 | grep -v num_symbols | sort | sed 's/operator new\[\]@plt/_Znam@plt/;s/operator delete\[\]@plt/_ZdaPv@plt/' >said
		exec 5>&-
		diff said should
		tree_stop
	done
}

@test "a file whose .gnu_debugdata is empty, or is none, has fewer names and no harm" {
	: >empty
	head -c 100 /dev/zero | tr '\0' x >none
	for kind in empty none; do
		strip -o "with_$kind" "$TARGET/split"
		objcopy --add-section .gnu_debugdata=$kind "with_$kind"
		readelf -SW "with_$kind" | grep -q gnu_debugdata
		tree_start -- "./with_$kind"
		echo 0.3 >"$TREE/cpu/seconds"
		has "$(cat "$TREE/cpu.txt")" "[with_$kind]"
		has "$(cat "$TREE/cpu.txt?lines=1")" "[with_$kind]"
		kill -0 "$PID"
		tree_stop
	done
}
