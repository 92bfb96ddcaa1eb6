# The unwinder for aarch64: does it compile without a warning, and walk under an emulator?

setup() {
	root=$BATS_TEST_DIRNAME/../..
	cd "$BATS_TEST_TMPDIR"
}

# compile FLAGS...: the walk and what it needs. Not unwind_lib.c: no libunwind for another processor.
compile() {
	local sampler
	sampler=$(ls "$root"/sampler/{gate,map*,own_memory,past*,stack*,unwind*}.c | grep -v -e x86_64 -e unwind_lib)
	aarch64-linux-gnu-gcc -std=gnu11 -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes \
		-Wmissing-prototypes -Wold-style-definition -Wpointer-arith -Wvla -Wundef -Wwrite-strings \
		-Wformat=2 -Wcast-align -Wimplicit-fallthrough -Wnull-dereference -Wno-unused-parameter \
		-Wno-missing-field-initializers -Wno-sign-compare -D_GNU_SOURCE -DPF_VERSION='"0"' \
		-fvisibility=hidden -fno-common -fno-strict-aliasing -fno-jump-tables -I"$root" "$@" \
		"$BATS_TEST_DIRNAME/aarch64.c" $sampler \
		"$root"/base/{arena,buf,clock,counter,feature,forbid,knob,lock,memory,own_file,place,profile,sort}.c -Wl,-z,now -o walk
}

walk() {
	run timeout 100 qemu-aarch64 -L /usr/aarch64-linux-gnu ./walk
	echo "$output"
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == 'own stack known; '*' the last a root' ]]
}

@test "optimised code" {
	compile -O2
	walk
}

@test "code that is not optimised" {
	compile -O0
	walk
}

@test "code without frame pointers, and with signed return addresses" {
	compile -O2 -fomit-frame-pointer -mbranch-protection=standard
	walk
}

@test "the hooks and the filters that are written in its assembler and numbers" {
	local name
	for name in filter filter_call filter_hook patch_poke wait_futex_hook wait_hook; do
		aarch64-linux-gnu-gcc -std=gnu11 -O2 -Wall -Wextra -Werror -Wno-unused-parameter \
			-Wno-missing-field-initializers -Wno-sign-compare -D_GNU_SOURCE -DPF_VERSION='"0"' \
			-fPIC -fvisibility=hidden -I"$root" -c "$root/sampler/$name.c" -o "$name.o"
	done
	aarch64-linux-gnu-objdump -dr filter_hook.o | grep -A3 '<pf_filter_after_syscall>:' | grep -q 'x0, #0x115'
}

@test "the reaper, which has no libc" {
	aarch64-linux-gnu-gcc -std=gnu11 -O2 -Wall -Wextra -Werror -D_GNU_SOURCE -I"$root" -fno-builtin \
		-fno-tree-loop-distribute-patterns -fno-stack-protector -static -nostdlib \
		"$root"/fs/{reaper,mounted,bare}.c -o reaper
	qemu-aarch64 ./reaper 3 -1 mount "$PWD/new" proffs-1 4 3< <(for ((i = 0; i < 3000; i++)); do [ ! -d new ] || break; sleep 0.01; done) 4>answer
	[ "$(od -An -td4 answer | tr -d ' ')" = 1 ]
	[ ! -e new ]
	run qemu-aarch64 ./reaper
	[ "$status" -eq 2 ]
	[[ $output == usage:* ]]
}
