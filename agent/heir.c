#include "agent/heir.h"
#include "agent/library.h"
#include "agent/takeover.h"
#include "base/birth.h"
#include "base/clock.h"
#include "base/feature.h"
#include "base/forbid.h"
#include "base/lock.h"
#include "base/place.h"
#include "sampler/crew.h"
#include "sampler/sampler.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STACK_BYTES = 1024 * 1024, GO_BETWEEN_BYTES = 64 * 1024, WRITE_SECONDS = 10 };

static const int64_t GONE_NS = PF_NS_PER_SECOND;
/* How long a death may take where the kernel cannot tell it from an exec. */
static const int64_t DOUBT_NS = PF_NS_PER_SECOND;

/* Rights as setuid(2) and its like change them, for all threads of a process. */
struct rights {
	uid_t real_uid, uid, saved_uid;
	gid_t real_gid, gid, saved_gid;
};

static struct heir {
	const struct pf_option *option;
	void (*write)(const struct pf_option *);
	pid_t program;
	pid_t tid;          /* atomic, a futex; the kernel makes it 0 when the heir has ended */
	uint32_t released;  /* atomic: it is to end, and write nothing */
	uint32_t leaving;   /* atomic, a futex: so shall its keeper */
	uint32_t ready;     /* atomic, a futex: the first one is there, or cannot be */
	uint32_t kept;      /* atomic, a futex: the keeper lives */
	int alive_fd;       /* the keeper's end of a pipe that ends with our threads */
	int pipe_fd, pidfd; /* what the heir takes along: numbers in its own table */
	char *stack;
} heir;

/* ---- the heir itself: on its keeper's thread-local storage, so it touches nothing while that
 * lives, but for a few system calls ---- */

/* 0 to 2 are /dev/null, by leave_program_descriptors(). */
static void leave_descriptors_behind(int a, int b)
{
	int low = a < b ? a : b, high = a < b ? b : a;

	syscall(SYS_close_range, 3u, (unsigned)low - 1, 0);
	syscall(SYS_close_range, (unsigned)low + 1, (unsigned)high - 1, 0);
	syscall(SYS_close_range, (unsigned)high + 1, ~0u, 0);
}

static void become_nobodys(void)
{
	struct rlimit no_core = {0, 0};

	setrlimit(RLIMIT_CORE, &no_core);
	setsid();
	prctl(PR_SET_NAME, "proffs/heir");
	if (chdir("/") != 0)
		_exit(1);
}

/* Is the program another one by now? Its process lives, with memory that is not ours. */
static bool has_executed(void)
{
	char path[32], text[8] = "";
	int fd;

	if (syscall(SYS_kcmp, getpid(), heir.program, KCMP_VM, 0, 0) <= 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/statm", (int)heir.program);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, text, 2) < 2)
		text[0] = '0';
	close(fd);
	return text[0] != '0'; /* a dying process has none at all */
}

static bool can_tell(void)
{
	return syscall(SYS_kcmp, getpid(), getpid(), KCMP_VM, 0, 0) == 0;
}

/* Our threads are gone: does the process die, or has it become another program? */
static bool is_dead(void)
{
	struct pollfd death = {.fd = heir.pidfd, .events = POLLIN};
	int64_t doubt_ns = can_tell() ? INT64_MAX : pf_clock_now_ns() + DOUBT_NS;

	while (poll(&death, 1, 5) <= 0)
		if (has_executed() || pf_clock_now_ns() > doubt_ns)
			return false;
	return true;
}

static int inherit(void *unused)
{
	struct pollfd threads = {.fd = heir.pipe_fd, .events = POLLIN};

	become_nobodys();
	leave_descriptors_behind(heir.pipe_fd, heir.pidfd);
	while (poll(&threads, 1, -1) <= 0)
		;
	if (__atomic_load_n(&heir.released, __ATOMIC_ACQUIRE) || !is_dead())
		_exit(0);
	pf_takeover_begin(WRITE_SECONDS);
	pf_sampler_alone();
	heir.write(heir.option);
	_exit(0);
}

/* ---- its keeper ---- */

/* Not CLONE_VFORK: what it starts does not end. Nobody who traces the program is told. */
static int go_between(void *unused)
{
	clone(inherit, heir.stack + STACK_BYTES,
	    CLONE_VM | CLONE_UNTRACED | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID, NULL, &heir.tid,
	    NULL, &heir.tid);
	_exit(0);
}

static int clone_twice(void)
{
	char *top = heir.stack + STACK_BYTES + GO_BETWEEN_BYTES;
	pid_t pid = -1;
	int rc = -EPERM;

	pf_birth_begin();
	/* A filter that forbids it waits for births under way, and comes before this one or after. */
	if (!pf_is_forbidden(PF_FORBIDDEN_SPAWN)) {
		pid = clone(go_between, top, CLONE_VM | CLONE_VFORK | CLONE_UNTRACED, NULL);
		rc = pid < 0 ? -errno : 0;
	}
	while (pid > 0 && waitpid(pid, NULL, __WCLONE) < 0 && errno == EINTR)
		;
	pf_birth_end();
	if (rc < 0)
		return rc;
	return __atomic_load_n(&heir.tid, __ATOMIC_ACQUIRE) > 0 ? 0 : -EAGAIN;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int start_heir(void)
{
	int ends[2], pidfd;
	int rc = -ENOSYS;

	heir.released = 0;
	heir.tid = 0;
	if (pf_is_forbidden(PF_FORBIDDEN_SPAWN))
		return -EPERM;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	heir.pipe_fd = ends[0];
	heir.alive_fd = ends[1];
	heir.pidfd = pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (pidfd >= 0)
		rc = clone_twice();
	close_fd(&ends[0]);
	close_fd(&pidfd);
	if (rc < 0)
		close_fd(&heir.alive_fd);
	return rc;
}

/* The kernel wakes who waits for the word without FUTEX_PRIVATE_FLAG. */
static void end_heir(void)
{
	int64_t deadline = pf_clock_now_ns() + GONE_NS;
	struct timespec at = {deadline / PF_NS_PER_SECOND, deadline % PF_NS_PER_SECOND};
	pid_t tid;

	__atomic_store_n(&heir.released, 1, __ATOMIC_RELEASE);
	close_fd(&heir.alive_fd);
	while ((tid = __atomic_load_n(&heir.tid, __ATOMIC_ACQUIRE)) != 0 &&
	       pf_clock_now_ns() < deadline)
		syscall(SYS_futex, &heir.tid, FUTEX_WAIT_BITSET, tid, &at, NULL,
		    FUTEX_BITSET_MATCH_ANY);
}

static struct rights own_rights(void)
{
	struct rights r = {0};

	getresuid(&r.real_uid, &r.uid, &r.saved_uid);
	getresgid(&r.real_gid, &r.gid, &r.saved_gid);
	return r;
}

static bool same_rights(struct rights a, struct rights b)
{
	return a.real_uid == b.real_uid && a.uid == b.uid && a.saved_uid == b.saved_uid &&
	       a.real_gid == b.real_gid && a.gid == b.gid && a.saved_gid == b.saved_gid;
}

/* Until the heir is not wanted, or has rights that the program has given up: what can be written
 * to by the program must never be able to do more than it. A setuid(2) of the program passes
 * through every thread by a signal, which ends a wait that has a deadline. */
static void watch_rights(struct rights mine)
{
	while (!__atomic_load_n(&heir.leaving, __ATOMIC_ACQUIRE) && same_rights(mine, own_rights()))
		pf_futex_wait(&heir.leaving, 0, pf_clock_now_ns() + 3600ll * PF_NS_PER_SECOND);
}

static void note_ready(void)
{
	__atomic_store_n(&heir.ready, 1, __ATOMIC_RELEASE);
	pf_futex_wake(&heir.ready, INT_MAX);
}

/* It never calls malloc or the loader: what of both belongs to a thread the heir, which has this thread's
 * local storage, finds untouched. So malloc gives it a new arena, or one whose lock it can try; not this thread's,
 * which the program's threads share. One from glibc's list of those left behind may still be held. */
static void *keep(void *unused)
{
	int rc = 0;

	while (rc == 0 && !__atomic_load_n(&heir.leaving, __ATOMIC_ACQUIRE)) {
		struct rights mine = own_rights(); /* before: it has these, or fewer */

		rc = start_heir();
		if (rc < 0)
			break;
		pf_feature_set(PF_FEATURE_HEIR, PF_FEATURE_OK, NULL);
		note_ready();
		watch_rights(mine);
		end_heir();
	}
	if (rc < 0)
		pf_feature_set(PF_FEATURE_HEIR, PF_FEATURE_NONE,
		    "no files if a signal ends the program: no process or no pidfd to be had");
	note_ready();
	__atomic_store_n(&heir.kept, 0, __ATOMIC_RELEASE);
	pf_futex_wake(&heir.kept, INT_MAX);
	return NULL;
}

void pf_heir_appoint(const struct pf_option *option, void (*write)(const struct pf_option *))
{
	const char *why;
	char *stacks;

	if (pf_birth_takes_orphans()) {
		pf_feature_set(PF_FEATURE_HEIR, PF_FEATURE_NONE,
		    "no files if a signal ends the program: it takes in orphans (process 1, a "
		    "subreaper), so who writes them would be its child");
		return;
	}
	if (pf_library_open(option->private_dir, &why) < 0) {
		pf_feature_set(PF_FEATURE_HEIR, PF_FEATURE_NONE, why);
		return;
	}
	stacks =
	    pf_place_map(STACK_BYTES + GO_BETWEEN_BYTES, PROT_READ | PROT_WRITE, MAP_STACK, -1);

	heir = (struct heir){.option = option,
	    .write = write,
	    .program = getpid(),
	    .kept = 1,
	    .alive_fd = -1,
	    .stack = stacks};
	if (stacks != MAP_FAILED && pf_crew_start("keep", keep, NULL) == 0) {
		while (!__atomic_load_n(&heir.ready, __ATOMIC_ACQUIRE))
			pf_futex_wait(&heir.ready, 0, -1);
		return;
	}
	heir.kept = 0;
	if (stacks != MAP_FAILED)
		munmap(stacks, STACK_BYTES + GO_BETWEEN_BYTES);
	pf_feature_set(PF_FEATURE_HEIR, PF_FEATURE_NONE, "no memory or no thread for it");
}

void pf_heir_dismiss(void)
{
	int64_t deadline = pf_clock_now_ns() + 2 * GONE_NS;

	__atomic_store_n(&heir.leaving, 1, __ATOMIC_RELEASE);
	pf_futex_wake(&heir.leaving, INT_MAX);
	while (__atomic_load_n(&heir.kept, __ATOMIC_ACQUIRE) && pf_clock_now_ns() < deadline)
		pf_futex_wait(&heir.kept, 1, deadline);
}

void pf_heir_fork_child(void)
{
	heir.kept = 0;
}
