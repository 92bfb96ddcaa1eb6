# Does check-calls see what it is there for? Each test compiles a small library with one fault.

setup() {
	root=$BATS_TEST_DIRNAME/../..
	cd "$BATS_TEST_TMPDIR"
	echo 'memset # pure' >allow
}

# library C-TEXT [FLAGS...]: compiles lib.so of it with the compiler in use.
library() {
	printf '%s\n' '#include "base/mark.h"' '#include <stdlib.h>' '#include <string.h>' "$1" >lib.c
	${CC:-cc} -shared -fPIC -fvisibility=hidden -O2 -fcf-protection=none -I"$root" -Wl,-z,now "${@:2}" -o lib.so lib.c
}

check() {
	run "$root/scripts/check-calls" lib.so pf_sigsafe=allow pf_hook:pf_sigsafe=allow
	echo "$output"
}

clean_code='
PF_SIGSAFE int leaf(int x) { return x + 1; }
PF_SIGSAFE void wipe(char *at, size_t n) { memset(at, 0, n); }
PF_HOOK int hook(int x) { return leaf(x) + 1; }'

@test "code that stays in its section, or calls an allowed name, passes" {
	library "$clean_code"
	check
	[ "$status" -eq 0 ]
}

@test "a handler that calls malloc is named" {
	library "$clean_code PF_SIGSAFE void *bad(void) { return (char *)malloc(7) + 1; }"
	check
	[ "$status" -eq 1 ]
	[[ $output == *"bad: leaves pf_sigsafe for malloc"* ]]
}

@test "a tail call leaves as well as a call" {
	library "$clean_code PF_SIGSAFE void bad(void *p) { free(p); }"
	check
	[ "$status" -eq 1 ]
	[[ $output == *"bad: leaves pf_sigsafe for free"* ]]
}

@test "a call of our own unmarked function is named" {
	library "$clean_code
		__attribute__((noinline)) static int plain(int x) { __asm__ volatile(\"\"); return x * 3; }
		PF_SIGSAFE int bad(int x) { return plain(x) + 1; }"
	check
	[ "$status" -eq 1 ]
	[[ $output == *"bad: leaves pf_sigsafe for plain"* ]]
}

@test "a handler may not call a hook, though a hook may call handler code" {
	library "$clean_code PF_SIGSAFE int bad(int x) { return hook(x) + 1; }"
	check
	[ "$status" -eq 1 ]
	[[ $output == *"bad: leaves pf_sigsafe for hook"* ]]
}

@test "a memset that no source line shows is found" {
	: >allow
	library "$clean_code
		struct big { char bytes[65536]; };
		PF_SIGSAFE void bad(struct big *b) { *b = (struct big){0}; }"
	check
	[ "$status" -eq 1 ]
	[[ $output == *"bad: leaves pf_sigsafe for memset"* ]]
}

@test "a call through a pointer is refused" {
	library "$clean_code
		int (*pointer)(int);
		PF_HOOK int bad(int x) { return pointer(x) + 1; }"
	check
	[ "$status" -eq 1 ]
	[[ $output == *"bad: indirect "* ]]
	[[ $output == *"in pf_hook"* ]]
}

@test "pf_real_* may call a pointer, and only such a function" {
	library "$clean_code
		static void *(*real)(size_t);
		void set(void *(*to)(size_t)) { real = to; }
		PF_HOOK void *pf_real_thing(size_t n) { return real(n); }
		PF_HOOK void *good(size_t n) { return (char *)pf_real_thing(n) + 1; }"
	check
	[ "$status" -eq 0 ]
}

@test "pf_real_* may not call by name what is not allowed" {
	library "$clean_code PF_HOOK void *pf_real_thing(size_t n) { return (char *)malloc(n) + 1; }"
	check
	[ "$status" -eq 1 ]
	[[ $output == *"pf_real_thing: leaves pf_hook for malloc"* ]]
}

@test "a switch that became a jump table is refused" {
	library "$clean_code
		void a(void), b(void), c(void), d(void), e(void), f(void);
		PF_SIGSAFE int bad(int x) {
			volatile int y = x;
			switch (x) {
			case 0: y += 3; break; case 1: y *= 5; break; case 2: y ^= 9; break;
			case 3: y -= 7; break; case 4: y /= 3; break; case 5: y |= 8; break;
			case 6: y %= 3; break; case 7: y <<= 2; break; case 8: y >>= 1; break;
			}
			return y;
		}" -fjump-tables
	check
	[ "$status" -eq 1 ]
	[[ $output == *"bad: indirect jmp"*"table"* ]] || [[ $output == *"bad: indirect br"*"table"* ]]
}

@test "thread-local storage that may allocate is refused" {
	library "$clean_code
		__thread int depth;
		PF_SIGSAFE int bad(void) { return ++depth; }"
	check
	[ "$status" -eq 1 ]
	[[ $output == *"__tls_get_addr"* ]] || [[ $output == *"dynamic thread-local storage"* ]]
}

@test "PF_TLS passes" {
	library "$clean_code
		PF_TLS int depth;
		PF_SIGSAFE int good(void) { return ++depth; }"
	check
	[ "$status" -eq 0 ]
}

@test "lazy binding is refused" {
	library "$clean_code" -Wl,-z,lazy
	check
	[ "$status" -eq 1 ]
	[[ $output == *"lazy binding"* ]]
}

@test "a library without the section is refused: nothing would be checked" {
	library 'PF_SIGSAFE int leaf(int x) { return x + 1; }'
	check
	[ "$status" -eq 1 ]
	[[ $output == *"no section pf_hook"* ]]
}

@test "an allowed name needs its reason" {
	echo memset >allow
	library "$clean_code"
	check
	[ "$status" -eq 1 ]
	[[ $output == *"allow:1: memset is allowed without a reason"* ]]
}

@test "libproffs.so itself passes" {
	cd "$root"
	run scripts/check-calls "$PROFFS_BUILD/libproffs.so" \
		pf_sigsafe=scripts/allow-sigsafe pf_hook:pf_sigsafe=scripts/allow-hook
	echo "$output"
	[ "$status" -eq 0 ]
}
