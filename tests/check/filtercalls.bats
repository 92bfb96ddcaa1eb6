# Does sampler/filter_call.c know each system call that our threads and hooks make? Asked are the names in
# the sources (SYS_...) and what both libraries take from libc.

setup() { cd "$BATS_TEST_TMPDIR" || exit 1; }

# Of libc's functions, those that are not called as their system call is.
declare -gA CALLED=([clone]=clone [eventfd]=eventfd2 [fdopendir]=fcntl [fopen]=openat [gettid]=gettid
	[initgroups]=setgroups [isatty]=ioctl [mkdtemp]=mkdir [opendir]=openat [pthread_create]=clone3
	[pthread_mutex_lock]=futex [pthread_rwlock_rdlock]=futex [pthread_sigmask]=rt_sigprocmask
	[readdir]=getdents64 [realpath]=readlink [fstat]=newfstatat [stat]=newfstatat [dprintf]=write
	[setrlimit]=prlimit64 [getrlimit]=prlimit64 [sigaction]=rt_sigaction [sigpending]=rt_sigpending
	[sigprocmask]=rt_sigprocmask [sigtimedwait]=rt_sigtimedwait [waitpid]=wait4 [_exit]=exit_group
	[faccessat]=faccessat2 [swapcontext]=rt_sigprocmask [open]=openat [sysconf]=sched_getaffinity)

# Made by the program: what a hook of ours passes on; and what is asked of a filter, not made.
is_the_programs() {
	case $1 in
	set*uid | set*gid | setgroups | setns | capset | signalfd | seccomp) return 0 ;;
	*) return 1 ;;
	esac
}

known() {
	sed -nE 's/^ *(CALL|WITH)\(([a-z0-9_]+),.*/\2/p; s/^ *FUTEX\(.*/futex/p' \
		"$PROFFS_SOURCE/sampler/filter_call.c" | sort -u
}

system_calls() {
	echo '#include <sys/syscall.h>' | ${CC:-cc} -E -dM - | sed -n 's/^#define SYS_\([a-z0-9_]*\) .*/\1/p'
}

# Own programs (the reaper, proffs-lines) are under no filter of the program's but by exec.
in_sources() {
	grep -rhoE --include='*.c' --include='*.h' --exclude='filter_call.c' --exclude='syscall_name.c' --exclude='bare.c' \
		'\bSYS_[a-z0-9_]+' "$PROFFS_SOURCE"/{agent,base,fs,render,sampler} | sed 's/^SYS_//'
}

in_libraries() {
	nm -D --undefined-only "$PROFFS_BUILD"/libproffs.so "$PROFFS_BUILD"/fs/libproffs-fs.so |
		sed -n 's/^ *[Uw] \([A-Za-z0-9_]*\)@GLIBC.*/\1/p' | sed -E 's/^(.*[a-z])64$/\1/' | sort -u |
		while read -r name; do
			echo "${CALLED[$name]:-$name}"
		done
}

missing() {
	{ in_sources; in_libraries; } | sort -u | comm -12 - <(system_calls | sort -u) | comm -23 - <(known) |
		while read -r name; do
			is_the_programs "$name" || echo "$name"
		done
}

@test "each system call of ours stands in the table that filters are asked with" {
	export LC_ALL=C
	[ "$(system_calls | wc -l)" -gt 200 ]
	[ "$(in_libraries | wc -l)" -gt 100 ]
	missing | tee missing
	[ ! -s missing ]
}

@test "one that the table does not have is found" {
	export LC_ALL=C
	known() { printf '%s\n' futex gettid; }
	missing >missing
	grep -qx openat missing
	grep -qx pidfd_open missing
	! grep -qx gettid missing
}
