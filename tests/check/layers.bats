# Does check-layers see a wall broken? Each test makes a small tree with one wrong line.

setup() {
	root=$BATS_TEST_DIRNAME/../..
	cd "$BATS_TEST_TMPDIR"
	mkdir base sampler render fs agent cli include
	echo '#include "base/mark.h"' >render/good.c
}

check() {
	run "$root/scripts/check-layers" .
	echo "$output"
}

@test "a tree that keeps its walls passes" {
	printf '%s\n' '#include "sampler/sampler.h"' '#include <stdio.h>' >fs/good.c
	printf '%s\n' '#include <fuse3/fuse_lowlevel.h>' >fs/fuse.c
	printf '%s\n' '#include "sampler/crew.h"' '#include "proffs/proffs.h"' >agent/good.c
	check
	[ "$status" -eq 0 ]
}

@test "siblings may not see each other" {
	echo '#include "sampler/sampler.h"' >render/bad.c
	check
	[ "$status" -eq 1 ]
	[[ $output == "render/bad.c:1: sampler/sampler.h: render/ may not include sampler/" ]]
}

@test "base includes no other room" {
	printf '\n#  include "fs/fs.h"\n' >base/bad.h
	check
	[ "$status" -eq 1 ]
	[[ $output == "base/bad.h:2: fs/fs.h: base/ may not include fs/" ]]
}

@test "another room is entered by its door" {
	echo '#include "sampler/stack.h"' >fs/bad.c
	check
	[ "$status" -eq 1 ]
	[[ $output == *"fs/ may include only the door of sampler/: sampler.h"* ]]
}

@test "angle brackets, relative paths and bare names are no way round" {
	echo '#include <sampler/sampler.h>' >render/angle.c
	echo '#include "../sampler/sampler.h"' >render/relative.c
	echo '#include "text.h"' >render/bare.c
	check
	[ "$status" -eq 1 ]
	[[ $output == *"render/angle.c:1: "*"may not include sampler/"* ]]
	[[ $output == *'render/bare.c:1: text.h: is not written as "room/file.h"'* ]]
	[[ $output == *'render/relative.c:1: '*'is not written as "room/file.h"'* ]]
}

@test "libfuse stays in the files that know it" {
	echo '#include <fuse_lowlevel.h>' >fs/table.c
	check
	[ "$status" -eq 1 ]
	[[ $output == *"fs/table.c:1: fuse_lowlevel.h: belongs to fs/fuse* alone"* ]]
}

@test "an empty tree is refused: nothing would be checked" {
	rm render/good.c
	check
	[ "$status" -eq 1 ]
}

@test "this tree passes" {
	run "$root/scripts/check-layers"
	echo "$output"
	[ "$status" -eq 0 ]
}
