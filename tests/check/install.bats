# What `meson install` gives, and that a stranger's program can use it.

setup_file() {
	export ROOT=$BATS_FILE_TMPDIR/root
	DESTDIR=$ROOT meson install -C "$PROFFS_BUILD" --no-rebuild --quiet
}

setup() {
	libdir=$(dirname "$(find "$ROOT" -name libproffs.so)")
}

# needed LIB: the libraries it asks for.
needed() {
	readelf -dW "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort
}

# exported LIB: the functions and objects others see; the names of symbol versions are no such.
exported() {
	nm -D --defined-only "$1" | awk '$2 != "A" {sub(/@.*/, "", $3); print $3}' | sort
}

@test "the library, its private half, the command, the header and the pages are there, and no more" {
	run find "$ROOT" \( -type f -o -type l \) -printf '%f\n'
	sorted=$(sort <<<"$output" | grep -v '^libproffs.so.0')
	echo "$sorted"
	[ "$sorted" = "$(printf '%s\n' libproffs-fs.so libproffs.so proffs proffs-lines proffs-reaper proffs-tree.5 \
		proffs.1 proffs.h proffs.pc proffs_start.3 | sort)" ]
	[ -f "$libdir/proffs/libproffs-fs.so" ]
}

@test "libproffs.so needs libc alone" {
	[ "$(needed "$libdir/libproffs.so")" = libc.so.6 ]
}

@test "libproffs.so exports the functions of its header and nothing else" {
	run exported "$libdir/libproffs.so"
	echo "$output"
	[[ $output == *proffs_start* ]]
	[ "$output" = "$(grep -oE '\bproffs_[a-z_]+\(' "$ROOT/usr/local/include/proffs/proffs.h" |
		tr -d '(' | sort -u)" ]
}

@test "libproffs-fs.so exports its five functions and nothing else" {
	run exported "$libdir/proffs/libproffs-fs.so"
	echo "$output"
	[ "$output" = "$(printf '%s\n' proffs_fs_dump proffs_fs_path proffs_fs_serve proffs_fs_start proffs_fs_stop)" ]
}

@test "libproffs.so is bound at once and is never unloaded" {
	flags=$(readelf -dW "$libdir/libproffs.so" | grep FLAGS)
	[[ $flags == *NOW* ]]
	[[ $flags == *NODELETE* ]]
}

@test "no text relocation, no executable stack" {
	for lib in "$libdir/libproffs.so" "$libdir/proffs/libproffs-fs.so"; do
		run readelf -dlW "$lib"
		[[ $output != *TEXTREL* ]]
		[[ $output != *"GNU_STACK"*"RWE"* ]]
	done
}

@test "a program finds it by pkg-config, links it, and runs" {
	cd "$BATS_TEST_TMPDIR"
	cat >user.c <<-'END'
		#include <proffs/proffs.h>
		#include <stdio.h>
		int main(void) { return puts(proffs_version()) < 0; }
	END
	export PKG_CONFIG_PATH=$libdir/pkgconfig PKG_CONFIG_SYSROOT_DIR=$ROOT
	cc -Wall -Werror user.c $(pkg-config --cflags --libs proffs) -o user
	run env LD_LIBRARY_PATH="$libdir" ./user
	[ "$status" -eq 0 ]
	[ "$output" = "$(pkg-config --modversion proffs)" ]
}

@test "the header is C++, too" {
	cd "$BATS_TEST_TMPDIR"
	printf '#include <proffs/proffs.h>\nstruct proffs_options options;\n' >user.cc
	clang -x c++ -nostdinc++ -Wall -Werror -fsyntax-only -I"$ROOT/usr/local/include" user.cc
}

@test "the installed command knows its version" {
	[[ $("$ROOT/usr/local/bin/proffs" version) == "proffs "[0-9]* ]]
}
