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
