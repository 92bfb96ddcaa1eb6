#include "sampler/crew.h"
#include "base/clock.h"
#include "base/lock.h"
#include "sampler/guard.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Enough for libfuse and libdw; what is not touched costs address space only. */
enum { CREW_STACK_BYTES = 1024 * 1024, NAME_SIZE = 16 };

PF_TLS uint32_t pf_guard_depth;

static pid_t members[PF_CREW_MAX]; /* atomic; 0: free, -1: being started */
static uint32_t alive;             /* atomic; a futex word for pf_crew_wait_gone() */
static int64_t gone_cpu_ns;        /* atomic; CPU time of members that ended */

struct start {
	void *(*run)(void *);
	void *arg;
	pid_t *member;
	char name[NAME_SIZE];
};

static pid_t *claim_place(void)
{
	for (size_t i = 0; i < PF_CREW_MAX; i++) {
		pid_t nobody = 0;

		if (__atomic_compare_exchange_n(
			&members[i], &nobody, -1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return &members[i];
	}
	return NULL;
}

static void leave_place(pid_t *member)
{
	__atomic_store_n(member, 0, __ATOMIC_RELEASE);
	__atomic_fetch_sub(&alive, 1, __ATOMIC_ACQ_REL);
	pf_futex_wake(&alive, INT_MAX);
}

static void *member_main(void *arg)
{
	struct start start = *(struct start *)arg;

	pf_guard_enter(); /* for life */
	free(arg);
	prctl(PR_SET_NAME, start.name);
	__atomic_store_n(start.member, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	start.run(start.arg);
	__atomic_fetch_add(&gone_cpu_ns, pf_clock_ns(CLOCK_THREAD_CPUTIME_ID), __ATOMIC_RELAXED);
	leave_place(start.member);
	return NULL;
}

/* pthread_create with every signal blocked from the thread's first instruction on. */
static int create_blocked(struct start *start)
{
	pthread_attr_t attr;
	sigset_t all, before;
	pthread_t thread;
	int rc;

	rc = pthread_attr_init(&attr);
	if (rc != 0)
		return -rc;
	pthread_attr_setstacksize(&attr, CREW_STACK_BYTES);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&thread, &attr, member_main, start);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return -rc;
}

int pf_crew_start(const char *name, void *(*run)(void *), void *arg)
{
	bool entered = pf_guard_enter(); /* what we allocate here is not the program's */
	struct start *start = NULL;
	pid_t *member = claim_place();
	int rc = -EAGAIN;

	if (!member)
		goto out;
	__atomic_fetch_add(&alive, 1, __ATOMIC_ACQ_REL);
	start = malloc(sizeof(*start));
	if (!start) {
		rc = -ENOMEM;
		goto leave;
	}
	*start = (struct start){.run = run, .arg = arg, .member = member};
	snprintf(start->name, sizeof(start->name), "proffs/%s", name);
	rc = create_blocked(start);
	if (rc == 0)
		goto out;
leave:
	free(start);
	leave_place(member);
out:
	if (entered)
		pf_guard_leave();
	return rc;
}

PF_SIGSAFE bool pf_crew_has(pid_t tid)
{
	for (size_t i = 0; i < PF_CREW_MAX; i++)
		if (__atomic_load_n(&members[i], __ATOMIC_ACQUIRE) == tid)
			return true;
	return false;
}

int64_t pf_crew_cpu_ns(void)
{
	int64_t sum = __atomic_load_n(&gone_cpu_ns, __ATOMIC_RELAXED);

	for (size_t i = 0; i < PF_CREW_MAX; i++) {
		pid_t tid = __atomic_load_n(&members[i], __ATOMIC_ACQUIRE);
		int64_t used = tid > 0 ? pf_clock_ns(pf_clock_of_thread(tid)) : 0;

		sum += used > 0 ? used : 0;
	}
	return sum;
}

int pf_crew_wait_gone(int64_t deadline_ns)
{
	for (;;) {
		uint32_t left = __atomic_load_n(&alive, __ATOMIC_ACQUIRE);

		if (left == 0)
			return 0;
		if (pf_clock_now_ns() >= deadline_ns)
			return -ETIMEDOUT;
		pf_futex_wait(&alive, left, deadline_ns);
	}
}

void pf_crew_forget(void)
{
	for (size_t i = 0; i < PF_CREW_MAX; i++)
		members[i] = 0;
	alive = 0;
	gone_cpu_ns = 0;
	pf_guard_depth = 0;
}
