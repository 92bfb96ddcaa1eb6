#include "sampler/crew.h"
#include "base/clock.h"
#include "base/forbid.h"
#include "base/lock.h"
#include "base/place.h"
#include "sampler/guard.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Enough for libfuse and libdw; what is not touched costs address space only. */
enum { STACK_BYTES = 1024 * 1024, GUARD_BYTES = 64 * 1024, NAME_SIZE = 16, BEING_STARTED = -1 };

PF_TLS uint32_t pf_guard_depth;

/* By place, atomic: 0 free, BEING_STARTED, the tid of a living member, or -tid of one that is done
 * but may still be seen in /proc for a moment. */
static pid_t members[PF_CREW_MAX];
static uintptr_t stacks[PF_CREW_MAX]; /* atomic: an address on each member's; 0: nobody's */
static uint32_t alive;                /* atomic; a futex word for pf_crew_wait_gone() */
static int64_t gone_cpu_ns;           /* atomic; CPU time of members that ended */
/* By place, and for the next at that place: libc would map them where the program maps its own (place.h). */
static void *rooms[PF_CREW_MAX];
static bool buried; /* written by the last thread there is */

struct start {
	void *(*run)(void *);
	void *arg;
	pid_t *member;
	bool clock_is_trapped;
	char name[NAME_SIZE];
};
/* By place; the member's from its creation until its tid is known. Not from malloc: to free it would be
 * the thread's first call there, and make it an arena that many never need. */
static struct start starts[PF_CREW_MAX];

static bool is_done(pid_t member)
{
	return member < BEING_STARTED;
}

static bool is_gone(pid_t tid)
{
	return syscall(SYS_tgkill, getpid(), tid, 0) != 0 && errno == ESRCH;
}

static pid_t *claim_place(void)
{
	for (size_t i = 0; i < PF_CREW_MAX; i++) {
		pid_t now = __atomic_load_n(&members[i], __ATOMIC_ACQUIRE);

		if (now != 0 && !(is_done(now) && is_gone(-now)))
			continue;
		if (__atomic_compare_exchange_n(&members[i], &now, BEING_STARTED, false,
			__ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return &members[i];
	}
	return NULL;
}

static void set_place(pid_t *member, pid_t tid)
{
	__atomic_store_n(member, tid, __ATOMIC_RELEASE);
	pf_futex_wake((uint32_t *)member, INT_MAX);
}

static void one_less(void)
{
	__atomic_fetch_sub(&alive, 1, __ATOMIC_ACQ_REL);
	pf_futex_wake(&alive, INT_MAX);
}

/* What was touched below here: as libc does with stacks of its own. */
static void give_back(char *room)
{
	size_t page = (size_t)getpagesize(), kept = 2 * page;
	size_t below = (size_t)((char *)__builtin_frame_address(0) - room);

	if (below > kept && below < STACK_BYTES)
		madvise(room, (below - kept) & -page, MADV_DONTNEED);
}

static void *member_main(void *arg)
{
	struct start start = *(struct start *)arg;

	pf_guard_enter();           /* for life */
	if (start.clock_is_trapped) /* inherited from a thread of the program */
		prctl(PR_SET_TSC, PR_TSC_ENABLE);
	prctl(PR_SET_NAME, start.name);
	__atomic_store_n(&stacks[start.member - members], (uintptr_t)&start, __ATOMIC_RELAXED);
	set_place(start.member, (pid_t)syscall(SYS_gettid));
	start.run(start.arg);
	__atomic_store_n(&stacks[start.member - members], 0, __ATOMIC_RELAXED);
	__atomic_fetch_add(&gone_cpu_ns, pf_clock_ns(CLOCK_THREAD_CPUTIME_ID), __ATOMIC_RELAXED);
	set_place(start.member, -(pid_t)syscall(SYS_gettid));
	one_less();
	give_back((char *)rooms[start.member - members] + GUARD_BYTES);
	return NULL;
}

/* Whoever was here before is gone from the kernel, and has given back what it touched. */
static void *room_of(size_t place)
{
	char *room = rooms[place];

	if (room)
		return room + GUARD_BYTES;
	room = pf_place_map(GUARD_BYTES + STACK_BYTES, PROT_NONE, MAP_NORESERVE | MAP_STACK, -1);
	if (room == MAP_FAILED)
		return NULL;
	if (mprotect(room + GUARD_BYTES, STACK_BYTES, PROT_READ | PROT_WRITE) != 0) {
		munmap(room, GUARD_BYTES + STACK_BYTES);
		return NULL;
	}
	rooms[place] = room;
	return room + GUARD_BYTES;
}

/* pthread_create with every signal blocked from the thread's first instruction on. */
static int create_blocked(struct start *start)
{
	pthread_attr_t attr;
	sigset_t all, before;
	pthread_t thread;
	int rc;
	void *room = room_of((size_t)(start->member - members));

	if (!room)
		return -ENOMEM;
	rc = pthread_attr_init(&attr);
	if (rc != 0)
		return -rc;
	pthread_attr_setstack(&attr, room, STACK_BYTES);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&thread, &attr, member_main, start);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return -rc;
}

size_t pf_crew_stacks(uintptr_t *out, size_t max)
{
	size_t count = 0;

	for (size_t i = 0; i < PF_CREW_MAX && count < max; i++) {
		out[count] = __atomic_load_n(&stacks[i], __ATOMIC_RELAXED);
		count += out[count] != 0;
	}
	return count;
}

int pf_crew_start(const char *name, void *(*run)(void *), void *arg)
{
	bool entered = pf_guard_enter(); /* what is allocated here is not the program's */
	struct start *start;
	uint32_t clock;
	pid_t *member;
	int rc = -EAGAIN;

	/* It would have the caller's filter. */
	if (pf_is_forbidden(PF_FORBIDDEN_CREW | PF_FORBIDDEN_HOST)) {
		rc = -EPERM;
		goto out;
	}
	if (buried) {
		rc = -ESRCH;
		goto out;
	}
	clock = pf_forbidden_here & PF_FORBIDDEN_CLOCK;
	__atomic_fetch_or(pf_forbidden_to_all, pf_forbidden_here & ~clock, __ATOMIC_SEQ_CST);
	member = claim_place();
	if (!member)
		goto out;
	__atomic_fetch_add(&alive, 1, __ATOMIC_ACQ_REL);
	start = &starts[member - members];
	*start =
	    (struct start){.run = run, .arg = arg, .member = member, .clock_is_trapped = clock};
	snprintf(start->name, sizeof(start->name), "proffs/%s", name);
	rc = create_blocked(start);
	if (rc == 0)
		goto out;
	set_place(member, 0);
	one_less();
out:
	if (entered)
		pf_guard_leave();
	return rc;
}

PF_SIGSAFE bool pf_crew_has(pid_t tid)
{
	for (size_t i = 0; i < PF_CREW_MAX; i++) {
		pid_t member = __atomic_load_n(&members[i], __ATOMIC_ACQUIRE);

		if (member == tid || member == -tid)
			return true;
	}
	return false;
}

/* Its place is known a moment after its creation. */
static pid_t place_known(pid_t *place)
{
	pid_t member;

	while ((member = __atomic_load_n(place, __ATOMIC_ACQUIRE)) == BEING_STARTED)
		pf_futex_wait((uint32_t *)place, (uint32_t)BEING_STARTED, -1);
	return member;
}

pid_t pf_crew_any(void)
{
	for (size_t i = 0; i < PF_CREW_MAX; i++) {
		pid_t member = place_known(&members[i]);

		if (member > 0)
			return member;
	}
	return 0;
}

uint32_t pf_crew_count(void)
{
	return __atomic_load_n(&alive, __ATOMIC_ACQUIRE);
}

void pf_crew_settle(void)
{
	for (size_t i = 0; i < PF_CREW_MAX; i++) {
		pid_t member = place_known(&members[i]);

		/* The kernel may give its number to a thread of the program. */
		if (is_done(member) && is_gone(-member))
			__atomic_compare_exchange_n(
			    &members[i], &member, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
	}
}

PF_HOOK void pf_crew_pass_on(pid_t tid)
{
	for (size_t i = 0; i < PF_CREW_MAX; i++) {
		pid_t done = -tid;

		if (__atomic_load_n(&members[i], __ATOMIC_RELAXED) == done)
			__atomic_compare_exchange_n(
			    &members[i], &done, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
	}
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

/* Members that are done but on their way out: their last steps are libc's and the kernel's. */
static bool all_are_gone(void)
{
	for (size_t i = 0; i < PF_CREW_MAX; i++) {
		pid_t member = __atomic_load_n(&members[i], __ATOMIC_ACQUIRE);

		if (is_done(member) && !is_gone(-member))
			return false;
	}
	return true;
}

int pf_crew_wait_gone(int64_t deadline_ns)
{
	const int64_t look_ns = PF_NS_PER_MS;

	for (;;) {
		uint32_t left = __atomic_load_n(&alive, __ATOMIC_ACQUIRE);
		int64_t now_ns = pf_clock_now_ns();

		if (left == 0 && all_are_gone())
			return 0;
		if (now_ns >= deadline_ns)
			return -ETIMEDOUT;
		pf_futex_wait(&alive, left, left ? deadline_ns : now_ns + look_ns);
	}
}

static void forget_members(void)
{
	for (size_t i = 0; i < PF_CREW_MAX; i++)
		members[i] = 0;
	alive = 0;
}

void pf_crew_bury(void)
{
	buried = true;
	forget_members();
}

void pf_crew_forget(void)
{
	forget_members();
	gone_cpu_ns = 0;
	pf_guard_depth = pf_is_forbidden(PF_FORBIDDEN_HOST); /* for life */
}
