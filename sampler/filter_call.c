#include "sampler/filter_call.h"
#include "base/forbid.h"
#include "sampler/filter.h"

#include <linux/futex.h>
#include <linux/prctl.h>
#include <sys/syscall.h>

/* Which of ours need it. */
enum {
	HOST = PF_FORBIDDEN_HOST,
	CREW = PF_FORBIDDEN_CREW,
	BOTH = HOST | CREW,
};

static const struct {
	struct pf_filter_call call;
	uint32_t forbidden;
} rows[] = {
#define CALL(name, who)                                                                            \
	{                                                                                          \
		{SYS_##name, 0, 0}, who                                                            \
	}
#define WITH(name, first, who)                                                                     \
	{                                                                                          \
		{SYS_##name, 1, first}, who                                                        \
	}
#define FUTEX(operation, who)                                                                      \
	{                                                                                          \
		{SYS_futex, 2, operation}, who                                                     \
	}
    FUTEX(FUTEX_WAIT | FUTEX_PRIVATE_FLAG, BOTH | PF_FORBIDDEN_FUTEX),
    FUTEX(FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, BOTH | PF_FORBIDDEN_FUTEX),
    FUTEX(FUTEX_WAKE | FUTEX_PRIVATE_FLAG, BOTH | PF_FORBIDDEN_FUTEX),
    /* A pthread_rwlock's, one that the kernel wakes, and the question of module.c. */
    FUTEX(FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME, CREW),
    FUTEX(FUTEX_WAIT_BITSET, CREW),
    FUTEX(FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, BOTH),
    /* In handlers and hooks. */
    CALL(rt_sigreturn, HOST),
    CALL(rt_sigprocmask, BOTH),
    CALL(gettid, BOTH),
    CALL(getpid, BOTH),
    CALL(clock_gettime, BOTH),
    CALL(mmap, BOTH),
    CALL(munmap, BOTH),
    CALL(sched_yield, BOTH),
    CALL(nanosleep, BOTH),
    CALL(clock_nanosleep, CREW),
    WITH(prctl, PR_GET_SECCOMP, HOST),
    WITH(prctl, PR_GET_NAME, HOST),
    WITH(prctl, PR_SET_NAME, CREW),
    CALL(getrusage, PF_FORBIDDEN_USAGE),
    /* At the end of a thread and of the program. */
    CALL(newfstatat, BOTH),
    CALL(tgkill, BOTH),
#ifdef SYS_poll
    CALL(poll, CREW | PF_FORBIDDEN_WORDS),
#endif
    CALL(ppoll, CREW | PF_FORBIDDEN_WORDS),
    CALL(writev, CREW | PF_FORBIDDEN_WORDS),
    CALL(rt_sigpending, PF_FORBIDDEN_WORDS),
    CALL(rt_sigtimedwait, PF_FORBIDDEN_WORDS),
    CALL(fstat, CREW | PF_FORBIDDEN_WORDS),
    /* On our own threads, libc's calls among them. */
    CALL(read, CREW),
    CALL(readv, CREW),
    CALL(pread64, CREW),
    CALL(preadv, CREW),
    CALL(write, CREW),
    CALL(pwrite64, CREW),
    CALL(openat, CREW),
    CALL(close, CREW),
    CALL(lseek, CREW),
    CALL(statx, CREW),
    CALL(fcntl, CREW),
    CALL(dup, CREW),
    CALL(dup3, CREW),
#ifdef SYS_open
    CALL(open, CREW),
    CALL(stat, CREW),
    CALL(lstat, CREW),
    CALL(access, CREW),
    CALL(readlink, CREW),
    CALL(dup2, CREW),
    CALL(mkdir, CREW),
    CALL(rmdir, CREW),
    CALL(rename, CREW),
#endif
    CALL(faccessat, CREW),
    CALL(faccessat2, CREW),
    CALL(symlinkat, CREW),
    CALL(renameat, CREW),
    CALL(renameat2, CREW),
    CALL(getcwd, CREW),
    CALL(memfd_create, CREW),
    CALL(munlock, CREW),
    CALL(readlinkat, CREW),
    CALL(getdents64, CREW),
    CALL(ftruncate, CREW),
    CALL(mkdirat, CREW),
    CALL(unlinkat, CREW),
    CALL(pipe2, CREW),
    CALL(eventfd2, CREW),
    CALL(getrandom, CREW),
    CALL(brk, CREW),
    CALL(mprotect, CREW),
    CALL(mremap, CREW),
    CALL(madvise, CREW),
    CALL(clone, CREW | PF_FORBIDDEN_SPAWN),
    CALL(clone3, CREW),
    CALL(set_robust_list, CREW),
    CALL(get_robust_list, CREW),
    CALL(rseq, CREW),
    CALL(exit, CREW),
    CALL(rt_sigaction, CREW),
    CALL(sigaltstack, CREW),
    CALL(restart_syscall, CREW),
    CALL(prlimit64, CREW),
    CALL(getuid, CREW),
    CALL(geteuid, CREW),
    CALL(getgid, CREW),
    CALL(getegid, CREW),
    CALL(getresuid, CREW),
    CALL(getresgid, CREW),
    CALL(uname, CREW),
    CALL(sysinfo, CREW),
    CALL(sched_getaffinity, CREW),
    /* What is done without. */
    CALL(timer_create, PF_FORBIDDEN_TIMER),
    CALL(timer_settime, PF_FORBIDDEN_TIMER),
    CALL(timer_delete, PF_FORBIDDEN_TIMER),
    CALL(clock_getres, PF_FORBIDDEN_TIMER),
    CALL(process_vm_readv, PF_FORBIDDEN_READ),
    CALL(perf_event_open, PF_FORBIDDEN_EVENT),
    CALL(ioctl, PF_FORBIDDEN_EVENT | PF_FORBIDDEN_WORDS),
    CALL(capget, PF_FORBIDDEN_RIGHTS),
    CALL(rt_tgsigqueueinfo, PF_FORBIDDEN_QUEUE),
    CALL(execve, PF_FORBIDDEN_SPAWN),
    CALL(wait4, PF_FORBIDDEN_SPAWN),
    CALL(waitid, PF_FORBIDDEN_SPAWN),
    CALL(kill, PF_FORBIDDEN_SPAWN),
    CALL(pidfd_open, PF_FORBIDDEN_SPAWN),
    CALL(kcmp, PF_FORBIDDEN_SPAWN),
    CALL(setsid, PF_FORBIDDEN_SPAWN),
    CALL(chdir, PF_FORBIDDEN_SPAWN),
    CALL(fchdir, PF_FORBIDDEN_SPAWN),
    CALL(exit_group, PF_FORBIDDEN_SPAWN),
#ifdef SYS_alarm
    CALL(alarm, PF_FORBIDDEN_SPAWN),
#endif
    CALL(setitimer, PF_FORBIDDEN_SPAWN),
    CALL(setrlimit, PF_FORBIDDEN_SPAWN),
    CALL(mount, PF_FORBIDDEN_MOUNT),
    CALL(umount2, PF_FORBIDDEN_MOUNT),
    CALL(socketpair, PF_FORBIDDEN_MOUNT),
    CALL(recvmsg, PF_FORBIDDEN_MOUNT),
    CALL(fsopen, PF_FORBIDDEN_MOUNT),
    CALL(fsconfig, PF_FORBIDDEN_MOUNT),
    CALL(fsmount, PF_FORBIDDEN_MOUNT),
    CALL(move_mount, PF_FORBIDDEN_MOUNT),
    CALL(open_tree, PF_FORBIDDEN_MOUNT),
    CALL(unshare, PF_FORBIDDEN_MOUNT),
    CALL(close_range, PF_FORBIDDEN_MOUNT),
#undef CALL
#undef WITH
#undef FUTEX
};

uint32_t pf_filter_forbids(const struct sock_filter *code, size_t count)
{
	uint32_t forbidden = 0;

	if (!pf_filter_is_one(code, count))
		return 0;
	for (size_t i = 0; i < PF_COUNT(rows); i++)
		if ((rows[i].forbidden & ~forbidden) && pf_filter_ends(code, count, &rows[i].call))
			forbidden |= rows[i].forbidden;
	return forbidden;
}
