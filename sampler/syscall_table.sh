#!/bin/sh
# The kernel's system call numbers as lines of a C array: [0] = "read",
# usage: syscall_table.sh OUTPUT COMPILER...
set -eu
output=$1
shift
echo '#include <asm/unistd.h>' | "$@" -E -dM -x c - |
	sed -n 's/^#define __NR_\([a-z0-9_]*\) \([0-9][0-9]*\)$/[\2] = "\1",/p' >"$output"
test -s "$output"
