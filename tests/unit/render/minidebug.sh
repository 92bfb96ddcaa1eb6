#!/bin/sh
# minidebug.sh IN OUT: IN stripped, its static functions' names packed into .gnu_debugdata as some
# distributions do (https://sourceware.org/gdb/current/onlinedocs/gdb.html/MiniDebugInfo.html).
set -e
in=$1 out=$2
nm -D "$in" --format=posix --defined-only | awk '{print $1}' | sort >"$out.dynamic"
nm "$in" --format=posix --defined-only | awk '$2 == "T" || $2 == "t" {print $1}' | sort >"$out.all"
comm -13 "$out.dynamic" "$out.all" >"$out.keep"
objcopy --only-keep-debug "$in" "$out.debug"
objcopy -S --remove-section .gdb_index --remove-section .comment --keep-symbols="$out.keep" \
	"$out.debug" "$out.mini"
strip --strip-all -o "$out" "$in"
rm -f "$out.mini.xz"
xz "$out.mini"
objcopy --add-section .gnu_debugdata="$out.mini.xz" "$out"
rm -f "$out.dynamic" "$out.all" "$out.keep" "$out.debug" "$out.mini.xz"
