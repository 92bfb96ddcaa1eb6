#include "agent/agent.h"
#include "agent/dump.h"
#include "agent/identity_hook.h"
#include "agent/inherited.h"
#include "agent/library.h"
#include "agent/stderr.h"
#include "base/birth.h"
#include "base/clock.h"
#include "base/forbid.h"
#include "base/glibc.h"
#include "base/lock.h"
#include "sampler/crew.h"
#include "sampler/exec_hook.h"
#include "sampler/filter_hook.h"
#include "sampler/gate.h"
#include "sampler/guard.h"
#include "sampler/hold.h"
#include "sampler/thread.h"
#include "sampler/wait_poll.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum state { STOPPED, STARTING, RUNNING, FAILED, STOPPING };

static const int64_t SHORT_LIFE_NS = 100 * (int64_t)PF_NS_PER_MS;
static const int64_t STOP_NS = PF_NS_PER_SECOND;
/* Whom a filter of system calls finds alive it ends, and the program with it. */
static const int64_t ASIDE_NS = 10 * (int64_t)PF_NS_PER_SECOND;
static const int64_t DUMP_NS =
    10 * (int64_t)PF_NS_PER_SECOND; /* at exit, for whom asks for files */

static struct pf_lock agent_lock = PF_LOCK_INIT(PF_LOCK_AGENT); /* over starts and stops */
static uint32_t state;       /* enum state, atomic, a futex word */
static pid_t agent_pid;      /* the process the thread lives in: a raw clone's child has none */
static uid_t start_uid;      /* whose the process was */
static int failure;          /* -errno, set before FAILED */
static struct pf_option now; /* of the running start; written while stopped */
static struct pf_fs *tree;   /* atomic */
static uint32_t has_set_out; /* our first thread has, or has failed; atomic, a futex word */
static bool tree_lost;       /* unmounted from outside; a child gets one of its own all the same */

static void set_state(enum state next)
{
	__atomic_store_n(&state, next, __ATOMIC_RELEASE);
	pf_futex_wake(&state, INT_MAX);
}

static enum state get_state(void)
{
	return (enum state)__atomic_load_n(&state, __ATOMIC_ACQUIRE);
}

/* ---- our first thread ---- */

/* Kernels before 5.11 know no CLOSE_RANGE_UNSHARE: the same in two steps. */
static int unshare_descriptors(void)
{
	if (syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_UNSHARE) == 0)
		return 0;
	if (unshare(CLONE_FILES) != 0)
		return -errno;
	for (int fd = 3, most = (int)sysconf(_SC_OPEN_MAX); fd < most; fd++)
		close(fd);
	return 0;
}

/* The program's pipes must see their end when the program closes them, not when we do. */
static void let_go_of(int first, int last)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = first; fd <= last; fd++)
		if (null < 0 || dup2(null, fd) < 0)
			close(fd);
	if (null > 2)
		close(null);
}

enum { LOW_NUMBERS = 32 }; /* see fill_low_numbers() */

/* The program's stderr, for our one line: a copy, or where none is to be had itself; -1: closed. */
static int keep_notice(void)
{
	int copy = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, LOW_NUMBERS);

	if (copy < 0)
		copy = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	return copy < 0 && fcntl(STDERR_FILENO, F_GETFD) >= 0 ? STDERR_FILENO : copy;
}

/* Without a table of our own the program's stderr stays what it is. */
static void close_notice(int notice)
{
	bool own = pf_features[PF_FEATURE_PRIVATE_FDS].state != PF_FEATURE_NONE;

	if (notice == STDERR_FILENO && own)
		let_go_of(STDERR_FILENO, STDERR_FILENO);
	else if (notice > STDERR_FILENO)
		close(notice);
}

/* A table that grows while several threads share it waits for an RCU grace period, 5 to 10 ms each
 * time; the first dump of 1,000 threads, which keeps a descriptor for each (sampler/proc.c), waited
 * 30 ms. While the table is ours alone it grows at once: 16 KiB of the kernel's. */
static void make_room_for_descriptors(void)
{
	enum { ROOM = 2048 };
	int last = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, ROOM - 1);

	if (last >= 0)
		close(last);
}

/* A library that the program's malloc calls may keep numbers of descriptors for the whole process, and make
 * new ones where it finds them closed: libunwind has a pipe, and tcmalloc walks a stack by it when its heap
 * grows. On a thread of ours it would close two of our files, and from then on read the program's that have
 * the numbers it got here. So nothing of ours has a low number, and each of those is taken by what nobody can
 * read or write by the byte: what it closes is what it gets again. */
static void fill_low_numbers(void)
{
	enum { SHARE = 4 };
	long limit = sysconf(_SC_OPEN_MAX);
	int filler = limit >= LOW_NUMBERS * SHARE ? eventfd(0, EFD_CLOEXEC) : -1;

	/* The next is the lowest that is free. */
	while (filler >= 0 && filler < LOW_NUMBERS)
		filler = fcntl(filler, F_DUPFD_CLOEXEC, 3);
	if (filler >= 0)
		close(filler);
}

/* A descriptor table and a working directory of our own, before any descriptor is opened: with a
 * shared table a program that exits or is killed while it holds a file of its own tree becomes
 * unkillable (doc/decisions/0001). *notice: see keep_notice(). */
static int leave_program_descriptors(int *notice)
{
	int rc = unshare_descriptors();

	*notice = rc < 0 ? STDERR_FILENO : keep_notice();
	if (rc < 0) {
		pf_feature_set(PF_FEATURE_PRIVATE_FDS, PF_FEATURE_NONE,
		    "this thread may not have a descriptor table of its own");
		return rc;
	}
	let_go_of(STDIN_FILENO, *notice == STDERR_FILENO ? STDOUT_FILENO : STDERR_FILENO);
	make_room_for_descriptors();
	if (unshare(CLONE_FS) == 0)
		pf_feature_set(PF_FEATURE_PRIVATE_FDS, PF_FEATURE_OK, NULL);
	else
		pf_feature_set(PF_FEATURE_PRIVATE_FDS, PF_FEATURE_DEGRADED,
		    "unshare(CLONE_FS) is refused: a chroot of the program moves us too");
	return 0;
}

static int open_tree(const char **why)
{
	static char mount[PATH_MAX];
	char reaper[PATH_MAX], lines[PATH_MAX];
	struct pf_fs_options options = {
	    .mount = pf_option_mount(&now, mount),
	    .allow_other = now.allow_other,
	    .dumps = pf_option_wants_files(&now),
	    .reaper = pf_library_file(now.private_dir, "proffs-reaper", reaper),
	    .lines = pf_library_file(now.private_dir, "proffs-lines", lines),
	};
	struct pf_fs *opened;
	int rc = pf_library_open(now.private_dir, why);

	if (rc == 0)
		rc = pf_library.start(&opened, pf_sampler_door(), &options, why);
	if (rc == 0)
		__atomic_store_n(&tree, opened, __ATOMIC_RELEASE);
	return rc;
}

/* A refusal stands in `status`: in the collector's words, or in these. */
static void note_refusal(enum pf_collector collector, int rc)
{
	static const enum pf_feature features[PF_COLLECTOR_COUNT] = {
#define X(id, name) [PF_COLLECTOR_##id] = PF_FEATURE_##id,
	    PF_COLLECTORS(X)
#undef X
	};
	enum pf_feature feature = features[collector];

	if (__atomic_load_n(&pf_features[feature].state, __ATOMIC_ACQUIRE) <= PF_FEATURE_OK)
		pf_feature_set(feature, PF_FEATURE_NONE,
		    rc == -ENOMEM ? "there was no memory for it at the start (write +NAME to "
				    "enable to try again)"
				  : "it could not be switched on at the start (write +NAME to "
				    "enable to try again)");
}

static void enable_collectors(void)
{
	const struct pf_sampler *door = pf_sampler_door();

	for (int i = 0; i < PF_COLLECTOR_COUNT; i++) {
		int rc = 0;

		if (now.collectors[i] && door->collectors[i].enable)
			rc = door->collectors[i].enable(true);
		if (rc < 0)
			note_refusal((enum pf_collector)i, rc);
	}
}

/* Short-lived commands get no tree: nobody could read it in time. False: stop was asked for. */
static bool outlive_short_life(void)
{
	int64_t deadline = pf_clock_now_ns() + SHORT_LIFE_NS;

	while (now.patient && get_state() == STARTING && pf_clock_now_ns() < deadline)
		pf_futex_wait(&state, STARTING, deadline);
	return get_state() == STARTING;
}

/* One line on the program's stderr: its user asked for a tree and gets none. Not for a child that
 * merely inherited PROFFS_MOUNT and finds its parent's tree there. */
static void complain(int notice, int rc, const char *why)
{
	char mount[PATH_MAX];
	const char *at = pf_option_mount(&now, mount);

	if (notice < 0 || (rc == -EBUSY && !now.chosen))
		return;
	dprintf(notice, "proffs: no tree%s%s: %s; %s\n", at ? " at " : "", at ? at : "", why,
	    pf_option_wants_files(&now) ? "only files are written" : "the program runs unwatched");
}

/* True when the program wants no more of us. */
static bool become_running(void)
{
	uint32_t starting = STARTING;

	if (!__atomic_compare_exchange_n(
		&state, &starting, RUNNING, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return false;
	pf_futex_wake(&state, INT_MAX);
	return true;
}

/* Files are wanted, and there is no tree, or none any more. */
static void wait_for_stop(void)
{
	while (get_state() == RUNNING)
		pf_futex_wait(&state, RUNNING, -1);
}

static void serve_tree(void)
{
	if (!become_running())
		pf_library.stop(tree);
	pf_library.serve(tree);
	tree_lost = get_state() == RUNNING;
	__atomic_store_n(&tree, NULL, __ATOMIC_RELEASE);
}

/* Who gives up root at once, as daemons do, must own the place where the tree is to be. */
static const char *as_whom(const char *why)
{
	static char longer[256];

	if (geteuid() == start_uid)
		return why;
	snprintf(longer, sizeof(longer),
	    "%s (the program has become user %u before its tree was made)", why,
	    (unsigned)geteuid());
	return longer;
}

static void fail(int notice, int rc, const char *why)
{
	why = as_whom(why ? why : strerror(-rc));
	pf_feature_set(PF_FEATURE_TREE, PF_FEATURE_NONE, why);
	if (now.patient)
		complain(notice, rc, why);
	__atomic_store_n(&failure, rc, __ATOMIC_RELEASE);
}

static int set_out(int *notice, const char **why)
{
	int rc = leave_program_descriptors(notice);

	if (rc < 0)
		*why = pf_features[PF_FEATURE_PRIVATE_FDS].reason;
	return rc;
}

static int start_sampler(void)
{
	int rc;

	if (pf_features[PF_FEATURE_PRIVATE_FDS].state != PF_FEATURE_NONE)
		fill_low_numbers();
	rc = pf_sampler_start();

	if (rc == 0 && now.chosen)
		enable_collectors();
	return rc;
}

/* In the middle of the program's work: what we load and allocate first lies among what it maps. */
static int start_sampler_late(void)
{
	const char *later; /* who fails tries again, and says so */
	bool hold = !pf_library.start;
	int rc;

	if (hold)
		pf_hold_begin();
	rc = start_sampler();
	if (rc == 0 && hold && !now.treeless)
		pf_library_open(now.private_dir, &later);
	if (hold)
		pf_hold_end();
	return rc;
}

/* It is here to stay. */
static int settle(const char **why)
{
	pf_inherited_reap();
	pf_exec_hook_start();
	return now.treeless ? 0 : open_tree(why);
}

static void *agent_main(void *unused)
{
	bool files = pf_option_wants_files(&now);
	bool at_once =
	    now.chosen || files; /* others pay for it when they have outlived a short life */
	const char *why = NULL;
	int notice;
	int rc = set_out(&notice, &why);

	if (rc == 0 && at_once)
		rc = start_sampler();
	if (files)
		pf_exec_hook_start();
	files = files && rc == 0 && pf_dump_start(&now) == 0;
	__atomic_store_n(&has_set_out, 1, __ATOMIC_RELEASE);
	pf_futex_wake(&has_set_out, INT_MAX);
	if (rc == 0 && outlive_short_life())
		rc = at_once ? 0 : start_sampler_late();
	if (rc == 0 && get_state() == STARTING)
		rc = settle(&why);
	if (rc < 0)
		fail(notice, rc, why);
	close_notice(notice);
	if (!now.chosen && (tree || files))
		enable_collectors();
	if (tree)
		serve_tree();
	if (files) {
		become_running();
		wait_for_stop();
		pf_dump_finish(&now);
	}
	pf_sampler_stop();
	set_state(rc < 0 && !files ? FAILED : STOPPED);
	return NULL;
}

/* ---- the program's threads ---- */

/* In the child: our threads are not here, so nothing samples and nothing serves. With %p in the
 * mount the child gets a tree of its own. */
static void child_of_fork(void)
{
	bool again = now.follow && !pf_is_forbidden(PF_FORBIDDEN_HOST | PF_FORBIDDEN_CREW) &&
		     (state == STARTING || state == RUNNING || tree_lost);

	pf_gate_fork_child();
	pf_birth_fork_child();
	pf_sampler_fork_child(again && now.collectors[PF_COLLECTOR_HEAP]);
	pf_crew_forget();
	pf_lock_reset(&agent_lock);
	pf_library_fork_child();
	pf_dump_fork_child(&now);
	state = STOPPED;
	tree = NULL;
	tree_lost = false;
	if (again) {
		pf_thread_watch_first();
		now.patient = true;
		now.chosen = false;
		has_set_out = 0;
		state = STARTING;
		agent_pid = getpid();
		start_uid = geteuid();
		pf_sampler_init();
		pf_dump_catch_signals(&now);
		if (pf_crew_start("fs", agent_main, NULL) < 0) {
			state = STOPPED;
			pf_sampler_fork_child(false); /* nobody will read what goes on */
		}
	}
}

/* The agent's lock is held, and it is stopped. */
static int begin(void)
{
	int rc;

	failure = 0;
	tree_lost = false;
	agent_pid = getpid();
	start_uid = geteuid();
	has_set_out = 0;
	__atomic_store_n(&state, STARTING, __ATOMIC_RELEASE);
	rc = pf_crew_start("fs", agent_main, NULL);
	if (rc < 0)
		set_state(STOPPED);
	return rc;
}

bool pf_agent_step_aside(bool *gone)
{
	int rc = pf_agent_stop();

	*gone = rc == 0 || pf_crew_wait_gone(pf_clock_now_ns() + ASIDE_NS) == 0;
	return rc != -EALREADY; /* else somebody else ends them, or they have no more to do */
}

/* The program forbids to all of its threads what ours cannot do without. Its user asked for a tree. */
static bool step_aside(void)
{
	bool had_tree = pf_agent_path(), gone;
	bool ours = pf_agent_step_aside(&gone);

	if (!gone && now.patient)
		pf_stderr_say("proffs: the program installs a seccomp filter for all threads that "
			      "forbids what ours do, and they do not end",
		    "", "\n");
	if (now.patient && had_tree && ours)
		pf_stderr_say("proffs: the tree ends: the program installs a seccomp filter for "
			      "all threads that forbids what ours do",
		    "", "\n");
	return ours;
}

static const struct pf_filter_owner filter_owner = {
    .step_aside = step_aside,
    .step_back = pf_agent_again,
};

int pf_agent_start(const struct pf_option *option)
{
	static bool fork_known;
	int rc = -EALREADY;

	if (pf_is_forbidden(PF_FORBIDDEN_HOST | PF_FORBIDDEN_CREW))
		return -EPERM;
	pf_lock_take(&agent_lock);
	if (get_state() != STOPPED && get_state() != FAILED)
		goto out;
	now = *option;
	pf_option_apply(&now);
	pf_dump_catch_signals(&now);
	if (!fork_known)
		fork_known =
		    pf_glibc_atfork(pf_gate_fork_prepare, pf_gate_fork_parent, child_of_fork) == 0;
	pf_thread_watch_first();
	pf_identity_start();
	pf_filter_hook_start(&filter_owner);
	rc = begin();
out:
	pf_lock_give(&agent_lock);
	return rc;
}

void pf_agent_wait_set_out(int64_t patience_ns)
{
	int64_t deadline = pf_clock_now_ns() + patience_ns;

	while (get_state() == STARTING && !__atomic_load_n(&has_set_out, __ATOMIC_ACQUIRE) &&
	       pf_clock_now_ns() < deadline)
		pf_futex_wait(&has_set_out, 0, deadline);
}

void pf_agent_move_in(const struct pf_option *option)
{
	enum { PATIENCE_MS = 100 };
	bool entered = pf_guard_enter(); /* what is allocated here is not the program's */

	if (!option->treeless || pf_option_wants_files(option))
		pf_library_open_early(option->private_dir);
	pf_agent_wait_set_out(PATIENCE_MS * (int64_t)PF_NS_PER_MS);
	if (entered)
		pf_guard_leave();
}

int pf_agent_wait_ready(void)
{
	while (get_state() == STARTING)
		pf_futex_wait(&state, STARTING, -1);
	return get_state() == RUNNING ? 0 : failure ? failure : -ECANCELED;
}

bool pf_agent_is_here(void)
{
	return agent_pid == getpid();
}

static int stop_running(struct pf_fs *running)
{
	bool trapped = pf_is_forbidden(PF_FORBIDDEN_CLOCK);
	int rc;

	/* The tree's object reads the clock as everybody does. */
	if (trapped)
		prctl(PR_SET_TSC, PR_TSC_ENABLE);
	if (running)
		pf_library.stop(running);
	rc = pf_crew_wait_gone(
	    pf_clock_now_ns() + STOP_NS + (pf_option_wants_files(&now) ? DUMP_NS : 0));
	if (trapped)
		prctl(PR_SET_TSC, PR_TSC_SIGSEGV);
	return rc;
}

int pf_agent_stop(void)
{
	uint32_t was;

	/* A filter of system calls that has the thread left alone: the process ends without us. */
	if (pf_is_forbidden(PF_FORBIDDEN_HOST) || !pf_agent_is_here())
		return -EALREADY;
	was = __atomic_load_n(&state, __ATOMIC_ACQUIRE);
	do {
		if (was != STARTING && was != RUNNING)
			return -EALREADY;
	} while (!__atomic_compare_exchange_n(
	    &state, &was, STOPPING, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	pf_wait_poll_leave_out((pid_t)syscall(SYS_gettid));
	pf_futex_wake(&state, INT_MAX);
	return stop_running(__atomic_load_n(&tree, __ATOMIC_ACQUIRE));
}

void pf_agent_again(void)
{
	pf_lock_take(&agent_lock);
	if (get_state() == STOPPED) {
		pf_wait_poll_leave_out(0);
		begin();
	}
	pf_lock_give(&agent_lock);
}

const char *pf_agent_path(void)
{
	struct pf_fs *running = __atomic_load_n(&tree, __ATOMIC_ACQUIRE);

	return running && get_state() == RUNNING ? pf_library.path(running) : NULL;
}
