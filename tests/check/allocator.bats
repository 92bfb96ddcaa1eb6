# Every function that an allocator exports is hooked, or stands in scripts/allow-allocator with the reason
# why not: a new version of one shall not bring names that nobody looked at.

setup() {
	root=$BATS_TEST_DIRNAME/../..
	cd "$BATS_TEST_TMPDIR"
}

# The hook of NAME is called pf_real_after_NAME (sampler/heap_call.h).
hooked() { nm "$PROFFS_BUILD/libproffs.so" | sed -n 's/.* t pf_real_after_//p' | sort -u; }

# unknown LIBRARY: C functions, and operators new and delete; what else is C++ is the library's inside.
unknown() {
	nm -D --defined-only "$1" | sed 's/@.*//' | awk '$2 ~ /[TWi]/ {print $3}' |
		grep -Ev '^(_Z[^nd]|_init$|_fini$|__start_|__stop_)' | sort -u >exported
	[ -s exported ]
	sed -n 's/^\([A-Za-z_*]*\) *#.*/\1/p' "$root/scripts/allow-allocator" | sed 's/\*/.*/; s/.*/^&$/' >allowed
	hooked >hooked
	grep -qx malloc hooked
	comm -23 exported hooked | grep -vf allowed || true
}

over() {
	library=$(ldconfig -p | awk -v name="$1" '$1 == name {print $NF; exit}')
	[ -n "$library" ]
	names=$(unknown "$library")
	[ -s exported ]
	[ -s hooked ]
	echo "$names"
	[ -z "$names" ]
}

@test "jemalloc has no function that we do not know" { over libjemalloc.so.2; }
@test "tcmalloc has no function that we do not know" { over libtcmalloc_minimal.so.4; }
@test "mimalloc has no function that we do not know" { over libmimalloc.so.2; }

@test "a function that is neither hooked nor on the list is named" {
	printf '%s\n' 'void *malloc(unsigned long n) { return 0; }' 'void mi_heap_delete(void *h) {}' \
		'void *mi_malloc_at_last(unsigned long n) { return 0; }' >lib.c
	${CC:-cc} -shared -fPIC -fno-builtin -o lib.so lib.c
	[ "$(unknown lib.so)" = mi_malloc_at_last ]
}

@test "the hooks that count are on one page, in front of all others" {
	nm -n "$PROFFS_BUILD/libproffs.so" | awk '$3 ~ /^pf_real_after_/ {print $1, $3}' >hooks
	first=$(awk '$2 == "pf_real_after_malloc" {print $1}' hooks)
	last=$(awk '$2 == "pf_real_after_reallocarray" {print $1}' hooks)
	[ "${first: -3}" = 000 ]
	[ "${last:0:-3}" = "${first:0:-3}" ]
	[ "$(awk -v first="$first" -v last="$last" '$1 >= first && $1 <= last' hooks | wc -l)" -gt 30 ]
}
