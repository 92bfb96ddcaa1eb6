#include "sampler/wait_poll.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/lock.h"
#include "base/mark.h"
#include "base/memory.h"
#include "sampler/activity.h"
#include "sampler/blocked.h"
#include "sampler/contention.h"
#include "sampler/cpu.h"
#include "sampler/crew.h"
#include "sampler/proc.h"
#include "sampler/stack.h"
#include "sampler/thread.h"
#include "sampler/wait_site.h"
#include "sampler/waiter.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { STOPPED, RUNNING, STOPPING };
enum { PERIOD_NS = PF_NS_PER_SECOND / 19, SCAN_EVERY = 19, STALE_AFTER = 4 };

static uint32_t running; /* atomic, a futex word */
static pid_t left_out;   /* atomic; 0: nobody */

/* What is remembered of a thread from look to look, by its slot's number. */
struct seen {
	uint32_t generation;
	int64_t cpu_ns;
	uint64_t note; /* since when a hook has it waiting */
	uint32_t odd;  /* looks in a row at which it ran on with this note */
	bool in_futex, lock_like;
	uint32_t stack; /* in which it slept there */
};

struct poll {
	struct pf_proc_reader *reader;
	struct pf_proc_stack stack; /* of the thread at hand: large */
	struct seen *seen;
	uint32_t room;
	int64_t last_ns;
	struct pf_activity activity; /* since the last look at every thread */
};

static bool reserve(struct poll *p, uint32_t limit)
{
	struct seen *more;

	if (limit <= p->room)
		return true;
	more = pf_memory_resize(p->seen, p->room * sizeof(*more), limit * sizeof(*more));
	if (!more)
		return false;
	for (uint32_t i = p->room; i < limit; i++)
		more[i] = (struct seen){0};
	p->seen = more;
	p->room = limit;
	return true;
}

static void add(enum pf_wait_profile profile, uint32_t stack, bool fresh, int64_t elapsed_ns)
{
	pf_wait_site_add(pf_wait_site_find(profile, PF_WAIT_FUTEX, stack),
	    fresh ? 1ull << PF_WAIT_COUNT_BITS : 0, (uint64_t)elapsed_ns);
}

static void add_sleeper(const struct seen *s, bool fresh, int64_t elapsed_ns)
{
	if (!s->in_futex)
		return;
	pf_count(PF_COUNTER_BLOCK_POLLED);
	if (pf_block_watches_sync())
		add(PF_WAIT_OF_BLOCK, s->stack, fresh, elapsed_ns);
	if (!s->lock_like || !pf_mutex_enabled())
		return;
	pf_count_many(PF_COUNTER_MUTEX_POLLED_NS, (uint64_t)elapsed_ns);
	add(PF_WAIT_OF_MUTEX, s->stack, fresh, elapsed_ns);
}

/* A note of a thread that has ended, or that was met elsewhere for some looks although a hook has it
 * sleeping, is of a frame that has gone. */
static void check_note(struct pf_thread *t, struct seen *s, bool ran)
{
	uint64_t since = t->waits_since;
	bool runs = ran && t->waits_kind != PF_WAIT_SPIN && pf_proc_state(t) != SYS_futex;

	if (t->waits_generation != pf_thread_generation(t) || !pf_thread_is_live(t)) {
		pf_waiter_settle(t);
		return;
	}
	if (!runs || since != s->note)
		s->odd = 0;
	s->note = since;
	if (runs && ++s->odd >= STALE_AFTER)
		pf_waiter_settle(t);
}

/* Has it run since the last look? */
static bool has_run(struct pf_thread *t, struct seen *s)
{
	uint32_t generation = pf_thread_generation(t);
	int64_t cpu_ns = pf_clock_ns(pf_clock_of_thread(t->tid));
	bool ran = s->generation != generation || s->cpu_ns != cpu_ns;

	s->generation = generation;
	s->cpu_ns = cpu_ns;
	return ran;
}

/* Returns whether it has run since the last look. */
static bool look_at(struct poll *p, struct pf_thread *t, int64_t elapsed_ns)
{
	struct seen *s = &p->seen[t->number];
	bool noted = __atomic_load_n(&t->waits_for, __ATOMIC_ACQUIRE), ran;

	if (!pf_thread_is_live(t)) {
		if (noted)
			check_note(t, s, false);
		s->in_futex = false;
		return false;
	}
	ran = has_run(t, s);
	if (noted) {
		check_note(t, s, ran);
		s->in_futex = false;
		return ran;
	}
	if (t->tid == __atomic_load_n(&left_out, __ATOMIC_ACQUIRE)) {
		s->in_futex = false;
	} else if (ran) {
		s->in_futex = pf_proc_read(p->reader, t, &p->stack) == PF_PROC_ASLEEP &&
			      p->stack.state == SYS_futex;
		s->lock_like = s->in_futex && pf_blocked_is_lock_like(t->tid);
	} else if (s->in_futex) {
		s->in_futex = pf_proc_read(p->reader, t, &p->stack) == PF_PROC_ASLEEP;
	}
	s->stack = p->stack.stack;
	add_sleeper(s, ran, elapsed_ns);
	return ran;
}

/* Nobody has run since every thread was looked at, and all of them were. Whoever has gone, or begun to
 * wait in a hook, has run. */
static bool is_quiet(const struct poll *p, uint32_t limit)
{
	if (!pf_activity_is_none(&p->activity))
		return false;
	for (uint32_t i = 0; i < limit; i++) {
		const struct pf_thread *t = pf_thread_at(i);

		if (t && pf_thread_is_live(t) && p->seen[i].generation != pf_thread_generation(t))
			return false;
	}
	return true;
}

static void repeat(const struct poll *p, uint32_t limit, int64_t elapsed_ns)
{
	for (uint32_t i = 0; i < limit; i++)
		if (p->seen[i].in_futex)
			add_sleeper(&p->seen[i], false, elapsed_ns);
}

static void look_round(struct poll *p)
{
	int64_t now_ns = pf_clock_now_ns(), elapsed_ns = now_ns - p->last_ns;
	uint32_t limit = pf_thread_limit();
	bool some_ran = false;

	p->last_ns = now_ns;
	if (!reserve(p, limit))
		limit = p->room;
	if (is_quiet(p, limit)) {
		repeat(p, limit, elapsed_ns);
		return;
	}
	pf_activity_mark(&p->activity);
	for (uint32_t i = 0; i < limit; i++) {
		struct pf_thread *t = pf_thread_at(i);

		if (t)
			some_ran |= look_at(p, t, elapsed_ns);
	}
	pf_activity_watch(&p->activity, !some_ran);
}

static void *run(void *unused)
{
	struct poll *p = pf_memory_new(1, sizeof(*p));
	unsigned looks = 0;

	if (p)
		p->reader = pf_proc_create();
	if (p)
		p->last_ns = pf_clock_now_ns();
	while (__atomic_load_n(&running, __ATOMIC_ACQUIRE) == RUNNING) {
		pf_futex_wait(&running, RUNNING, pf_clock_now_ns() + PERIOD_NS);
		if (!p || !p->reader)
			continue;
		if (looks++ % SCAN_EVERY == 0) {
			pf_cpu_rescan();
			pf_waiter_flush();
		}
		look_round(p);
	}
	if (p) {
		pf_activity_watch(&p->activity, false);
		pf_proc_destroy(p->reader);
		pf_memory_release(p->seen, p->room * sizeof(*p->seen));
	}
	pf_memory_free(p);
	__atomic_store_n(&running, STOPPED, __ATOMIC_RELEASE);
	pf_futex_wake(&running, INT_MAX);
	return unused;
}

void pf_wait_poll_leave_out(pid_t tid)
{
	__atomic_store_n(&left_out, tid, __ATOMIC_RELEASE);
}

int pf_wait_poll_start(void)
{
	uint32_t stopped = STOPPED;
	int rc;

	if (!__atomic_compare_exchange_n(
		&running, &stopped, RUNNING, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return 0;
	pf_wait_poll_leave_out(0);
	rc = pf_crew_start("locks", run, NULL);
	if (rc < 0)
		__atomic_store_n(&running, STOPPED, __ATOMIC_RELEASE);
	return rc;
}

int pf_wait_poll_stop(void)
{
	int64_t deadline_ns = pf_clock_now_ns() + PF_NS_PER_SECOND;
	uint32_t was = RUNNING;

	if (!__atomic_compare_exchange_n(
		&running, &was, STOPPING, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return 0;
	pf_futex_wake(&running, INT_MAX);
	while (__atomic_load_n(&running, __ATOMIC_ACQUIRE) == STOPPING &&
	       pf_clock_now_ns() < deadline_ns)
		pf_futex_wait(&running, STOPPING, deadline_ns);
	return 0;
}

PF_SIGSAFE void pf_wait_poll_fork_child(void)
{
	running = STOPPED;
	left_out = 0;
}
