#!/usr/bin/env bats
# What proffs-lines says of real debug information: every way in which it is kept, both compilers.
# The truth is in the source: HERE(name) is one instruction on one line, at a symbol of that name.

setup_file() {
	cd "$BATS_FILE_TMPDIR"
	cat >leaf.h <<'C'
#define HERE(name) __asm__ volatile(".globl " #name "\n" #name ": nop")
namespace cart {
template <class T> struct Cart {
  T sum{};
  inline __attribute__((always_inline)) void add(T x) {
    HERE(at_add);
    sum += x;
  }
};
}
C
	cat >cart.cc <<'C'
#include "leaf.h"
namespace shop { namespace { inline __attribute__((always_inline)) void middle(cart::Cart<long> &c) {
  c.add(2);
} } }
extern "C" __attribute__((noinline)) void outer(cart::Cart<long> &c) {
  shop::middle(c);
  HERE(at_outer);
}
C
	g++ -O2 -fPIC -g -shared cart.cc -o libcart.so
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	cp "$BATS_FILE_TMPDIR"/{leaf.h,cart.cc} .
}

# Where the symbol $2 of the file $1 lies in the file, from its symbols in $3 (or itself).
offset_of() {
	local address kind offset start physical size
	address=$((16#$(nm "${3:-$1}" | awk -v name="$2" '$3 == name {print $1}')))
	while read -r kind offset start physical size _; do
		[ "$kind" = LOAD ] && ((address >= start && address < start + size)) &&
			printf '%x\n' $((address - start + offset))
	done < <(readelf -lW "$1")
	return 0
}

# ask FILE OFFSET [BUILD-ID [ROOT]]: the answer, one frame a line: LINE START FUNCTION SYSTEM FILE
ask() {
	printf '%s\0m%s\0%s\0a%s\0' "${4:-/nowhere}" "${3:-}" "$PWD/$1" "$2" >asked
	"$PROFFS_LINES" 536870912 20 3<asked 4>answer
	tr '\0' '\n' <answer | awk '
		/^(none|gone)/ {print substr($0, 1, 4)}
		/^l[0-9]/ {line = substr($0, 2); for (i = 0; i < 3; i++) {getline text; line = line " " text}; print line}'
}

# Of the instruction inlined twice, as every variant must have it.
is_right() {
	diff /dev/stdin <(ask "$1" "$(offset_of "$1" at_add "${2:-$1}")" "${3:-}" "${4:-}" |
		# gcc has no linkage name for a function that is inlined everywhere.
		sed -E 's/(middle) [^ ]*middle[^ ]*/\1/') <<-END
		6 5 cart::Cart<long>::add _ZN4cart4CartIlE3addEl $PWD/leaf.h
		3 2 shop::(anonymous namespace)::middle $PWD/cart.cc
		6 5 outer outer $PWD/cart.cc
	END
}

@test "an instruction inlined twice has three frames, innermost first" {
	g++ -O2 -fPIC -g -shared cart.cc -o lib.so
	is_right lib.so
}

@test "one that is not inlined has one" {
	g++ -O2 -fPIC -g -shared cart.cc -o lib.so
	[ "$(ask lib.so "$(offset_of lib.so at_outer)")" = "7 5 outer outer $PWD/cart.cc" ]
}

@test "DWARF 4, and compressed sections" {
	g++ -O2 -fPIC -gdwarf-4 -shared cart.cc -o lib.so
	is_right lib.so
	g++ -O2 -fPIC -g -gz=zlib -shared cart.cc -o packed.so
	readelf -SW packed.so | grep -q 'debug_info.* C '
	is_right packed.so
}

@test "sections compressed with zstd; a broken one leaves the names" {
	g++ -O2 -fPIC -g -shared cart.cc -o lib.so
	objcopy --compress-debug-sections=zstd lib.so packed.so
	readelf -tW packed.so | grep -q 'ZSTD'
	is_right packed.so
	objcopy --only-keep-debug --compress-debug-sections=zstd lib.so lib.so.debug
	objcopy --strip-all --add-gnu-debuglink=lib.so.debug lib.so stripped.so
	is_right stripped.so lib.so
	# The size it says, larger and smaller; what it unpacks from; all of it cut off.
	python3 - <<-'END'
		import subprocess
		whole = open('packed.so', 'rb').read()
		for line in subprocess.run(['readelf', '-SW', 'packed.so'], capture_output=True, text=True).stdout.splitlines():
		    words = line.replace('[', ' ').replace(']', ' ').split()
		    if '.debug_info' in words:
		        at = int(words[words.index('.debug_info') + 3], 16)
		for name, where, what in ('larger', at + 8, b'\xff\xff\xff\x0f'), ('huge', at + 8, b'\xff' * 8), \
		        ('smaller', at + 8, b'\x10\0\0\0'), ('bytes', at + 40, b'\xff' * 64):
		    open(name + '.so', 'wb').write(whole[:where] + what + whole[where + len(what):])
	END
	for file in larger huge smaller bytes; do
		cmp -s $file.so packed.so && false
		[[ $(ask "$file.so" "$(offset_of packed.so at_add)") == none ]]
	done
}

@test "clang: no .debug_aranges, relative paths" {
	clang++ -O2 -fPIC -g -shared cart.cc -o lib.so
	! readelf -SW lib.so | grep -q debug_aranges
	is_right lib.so
	clang++ -O2 -fPIC -gdwarf-4 -shared cart.cc -o four.so
	is_right four.so
}

@test "a separate debug file, by .gnu_debuglink" {
	g++ -O2 -fPIC -g -shared -Wl,--build-id=none cart.cc -o whole.so
	objcopy --only-keep-debug whole.so lib.so.debug
	objcopy --strip-all --add-gnu-debuglink=lib.so.debug whole.so lib.so
	is_right lib.so whole.so
	mkdir .debug
	mv lib.so.debug .debug
	is_right lib.so whole.so
}

@test "a separate debug file, by build id" {
	g++ -O2 -fPIC -g -shared -Wl,--build-id=0x00112233445566778899aabbccddeeff00112233 cart.cc -o whole.so
	mkdir -p root/.build-id/00
	objcopy --only-keep-debug whole.so root/.build-id/00/112233445566778899aabbccddeeff00112233.debug
	objcopy --strip-all whole.so lib.so
	is_right lib.so whole.so 00112233445566778899aabbccddeeff00112233 "$PWD/root"
}

@test "what two files have in common taken out by dwz" {
	for name in one two; do
		g++ -O2 -fPIC -g -shared cart.cc -o "$name.so"
	done
	dwz -m common.dwz one.so two.so
	readelf -SW one.so | grep -q gnu_debugaltlink
	is_right one.so
}

@test "split DWARF: the functions are in the .dwo file" {
	g++ -O2 -fPIC -g -gsplit-dwarf -shared cart.cc -o lib.so
	ls ./*.dwo
	is_right lib.so
}

@test "functions in sections of their own, some dropped by the linker" {
	cat >>cart.cc <<'C'
static __attribute__((used, noinline)) void spare(cart::Cart<long> &c) { c.sum++; }
__attribute__((visibility("hidden"))) void dropped(cart::Cart<long> &c) { spare(c); }
C
	g++ -O2 -fPIC -g -ffunction-sections -Wl,--gc-sections -shared cart.cc -o lib.so
	is_right lib.so
}

@test "another build id, no debug information, no file: none" {
	g++ -O2 -fPIC -g -shared cart.cc -o lib.so
	offset=$(offset_of lib.so at_add)
	[ "$(ask lib.so "$offset" 0011)" = gone ]
	strip --strip-debug lib.so
	[ "$(ask lib.so "$offset")" = none ]
	rm lib.so
	[ "$(ask lib.so "$offset")" = gone ]
}

@test "several modules in one go, and addresses that nobody knows" {
	g++ -O2 -fPIC -g -shared cart.cc -o lib.so
	offset=$(offset_of lib.so at_outer)
	printf '%s\0' /nowhere m /nowhere/x a10 m "$PWD/lib.so" affffff0 "a$offset" a0 >asked
	"$PROFFS_LINES" 536870912 20 3<asked 4>answer
	[ "$(tr '\0' '\n' <answer)" = "gone0
f2
l7 5
outer
outer
$PWD/cart.cc" ]
}

@test "with too little memory it ends, and what was answered before stays" {
	g++ -O2 -fPIC -g -shared cart.cc -o lib.so
	[ "$(offset_of lib.so at_outer)" ]
	printf '%s\0' /nowhere m /nowhere/x a10 m "$PWD/lib.so" "a$(offset_of lib.so at_outer)" >asked
	run bash -c '"$PROFFS_LINES" 1 20 3<asked 4>answer'
	[ "$status" -ne 0 ] || [ "$(tr '\0' '\n' <answer | head -1)" = gone0 ]
}

@test "nothing asked, nothing answered; by hand it says what it is" {
	: >asked
	"$PROFFS_LINES" 536870912 20 3<asked 4>answer
	[ ! -s answer ]
	run "$PROFFS_LINES"
	[ "$status" -eq 2 ]
}

@test "a lambda is its function's, not an anonymous namespace's; so is a class inside a function" {
	cat >lambda.cc <<'C'
#include "leaf.h"
namespace shop {
__attribute__((noinline)) void sell(long *x) {
	struct Local { static inline __attribute__((always_inline)) void set(long *y) { HERE(at_local); *y = 3; } };
	auto f = [x]() __attribute__((always_inline)) { HERE(at_lambda); *x = 2; };
	f();
	Local::set(x);
}
}
C
	for compiler in g++ clang++; do
		"$compiler" -O2 -fPIC -g -shared lambda.cc -o liblambda.so
		ask liblambda.so "$(offset_of liblambda.so at_lambda)" >said
		cat said
		# clang gives it a linker's name, with a number.
		grep -qE ' shop::sell(::\{lambda\}|\(long\*\)::\$_0)::operator\(\) ' said
		grep -q ' shop::sell ' said
		ask liblambda.so "$(offset_of liblambda.so at_local)" >said
		cat said
		grep -qE ' shop::sell(\(long\*\))?::Local::set ' said
	done
}
