#include "sampler/wait_poll.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/lock.h"
#include "base/mark.h"
#include "base/memory.h"
#include "sampler/blocked.h"
#include "sampler/contention.h"
#include "sampler/cpu.h"
#include "sampler/drain.h"
#include "sampler/own_memory.h"
#include "sampler/proc.h"
#include "sampler/stack.h"
#include "sampler/thread.h"
#include "sampler/wait_site.h"
#include "sampler/waiter.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { STOPPED, RUNNING, STOPPING };
enum { PERIOD_NS = PF_NS_PER_SECOND / 19, STALE_AFTER = 4 };
/* So much before it is due it is done together with a tick of the wall clock. */
enum { EARLY_NS = PERIOD_NS / 8 };
static const int64_t SCAN_INTERVAL_NS = PF_NS_PER_SECOND;

static uint32_t running; /* atomic, a futex word */
static uint32_t starts;  /* atomic */
static pid_t left_out;   /* atomic; 0: nobody */

/* What is remembered of a thread from look to look, by its slot's number. */
struct seen {
	uint32_t generation;
	int64_t cpu_ns;
	uint64_t note; /* since when a hook has it waiting */
	uint32_t odd;  /* looks in a row at which it ran on with this note */
	bool in_futex, lock_like;
	bool retakes;   /* within a hook: a condition's wait takes its mutex again */
	bool unjudged;  /* whether it does so: mutex was off when it had run */
	uint32_t stack; /* in which it slept there */
};

struct poll {
	struct pf_proc_reader *reader;
	struct pf_proc_stack stack; /* of the thread at hand: large */
	struct seen *seen;
	uint32_t room;
	int64_t last_ns, due_ns, scan_due_ns;
	uint32_t start;
	uint32_t stage; /* at the last look at every thread (activity.h) */
	bool has_looked;
	bool for_mutex; /* then that was on */
	bool with_tick; /* the wall clock's, which reads the stacks of all that have run */
};

static struct poll *poll; /* the drainer's alone; NULL: stopped */

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

static void add(enum pf_wait_profile profile, enum pf_wait_kind kind, uint32_t stack, bool fresh,
    int64_t elapsed_ns)
{
	pf_wait_site_add(pf_wait_site_find(profile, kind, stack),
	    fresh ? 1ull << PF_WAIT_COUNT_BITS : 0, (uint64_t)elapsed_ns);
}

static void add_sleeper(const struct seen *s, bool fresh, int64_t elapsed_ns)
{
	if (!s->in_futex)
		return;
	if (!s->retakes) { /* else the hook has it */
		pf_count(PF_COUNTER_BLOCK_POLLED);
		if (pf_block_watches_sync())
			add(PF_WAIT_OF_BLOCK, PF_WAIT_FUTEX, s->stack, fresh, elapsed_ns);
	}
	if (!s->lock_like || !pf_mutex_enabled())
		return;
	pf_count_many(PF_COUNTER_MUTEX_POLLED_NS, (uint64_t)elapsed_ns);
	add(PF_WAIT_OF_MUTEX, s->retakes ? PF_WAIT_MUTEX : PF_WAIT_FUTEX, s->stack, fresh,
	    elapsed_ns);
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

/* Did no hook have it waiting when it was read, asleep? It may have come to a hook since we first asked, and have
 * left it since it was read: it has run then. */
static bool is_unnoted(const struct pf_thread *t, int64_t cpu_ns)
{
	return !__atomic_load_n(&t->waits_for, __ATOMIC_ACQUIRE) &&
	       pf_clock_ns(pf_clock_of_thread(t->tid)) == cpu_ns;
}

/* Of a thread that has run, and that a hook has in a condition's wait. Most of those wait for the condition still, or
 * again, and nobody for their mutex: its word says so. */
static bool takes_mutex_again(struct poll *p, struct pf_thread *t, const struct seen *s)
{
	uint64_t mutex = __atomic_load_n(&t->waits_mutex, __ATOMIC_RELAXED);
	uint32_t word;

	return mutex &&
	       pf_own_memory_read(&word, (const void *)(uintptr_t)mutex, sizeof(word)) ==
		   (ssize_t)sizeof(word) &&
	       word > 1 && pf_blocked_sleeps_by(t->tid, mutex) &&
	       pf_proc_read(p->reader, t, &p->stack) == PF_PROC_ASLEEP &&
	       p->stack.state == SYS_futex && p->stack.cpu_ns == s->cpu_ns;
}

/* Who has not run since the last look for mutex is where it was. */
static void look_at_noted(
    struct poll *p, struct pf_thread *t, struct seen *s, bool ran, int64_t elapsed_ns)
{
	bool judged = ran || s->unjudged;

	s->unjudged = judged && !pf_mutex_enabled();
	if (t->waits_kind != PF_WAIT_COND || s->unjudged)
		s->retakes = false;
	else if (judged)
		s->retakes = takes_mutex_again(p, t, s);
	if (s->retakes && judged)
		s->stack = p->stack.stack;
	s->in_futex = s->lock_like = s->retakes;
	add_sleeper(s, judged, elapsed_ns);
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
		look_at_noted(p, t, s, ran, elapsed_ns);
		return ran;
	}
	s->retakes = false;
	if (t->tid == __atomic_load_n(&left_out, __ATOMIC_ACQUIRE)) {
		s->in_futex = false;
	} else if (ran) {
		s->in_futex = (p->with_tick || pf_proc_may_sleep_in(p->reader, t, SYS_futex)) &&
			      pf_proc_read(p->reader, t, &p->stack) == PF_PROC_ASLEEP &&
			      p->stack.state == SYS_futex && is_unnoted(t, p->stack.cpu_ns);
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
static bool is_quiet(const struct poll *p, uint32_t limit, uint32_t stage)
{
	if (!p->has_looked || stage != p->stage || p->for_mutex != pf_mutex_enabled())
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

static void look_round(struct poll *p, int64_t now_ns, struct pf_activity *activity)
{
	int64_t elapsed_ns = now_ns - p->last_ns;
	uint32_t stage = pf_activity_step(activity, now_ns);
	uint32_t limit = pf_thread_limit();
	bool some_ran = false;

	p->last_ns = now_ns;
	if (!reserve(p, limit))
		limit = p->room;
	if (is_quiet(p, limit, stage)) {
		repeat(p, limit, elapsed_ns);
		return;
	}
	p->stage = stage;
	p->has_looked = true;
	p->for_mutex = pf_mutex_enabled();
	for (uint32_t i = 0; i < limit; i++) {
		struct pf_thread *t = pf_thread_at(i);

		if (t)
			some_ran |= look_at(p, t, elapsed_ns);
	}
	pf_activity_found(activity, some_ran, false);
}

static void scan(struct poll *p, int64_t now_ns)
{
	/* While the CPU is sampled too, the drainer has looked within the same second. */
	if (!pf_cpu_active())
		pf_cpu_rescan();
	pf_waiter_flush();
	pf_waiter_cool();
	p->scan_due_ns = pf_clock_beat_after(now_ns, SCAN_INTERVAL_NS);
}

static struct poll *create(int64_t now_ns)
{
	struct poll *p = pf_memory_new(1, sizeof(*p));

	if (!p)
		return NULL;
	p->reader = pf_proc_create();
	if (!p->reader) {
		pf_memory_free(p);
		return NULL;
	}
	p->start = __atomic_load_n(&starts, __ATOMIC_ACQUIRE);
	p->last_ns = now_ns;
	p->due_ns = pf_clock_beat_after(now_ns, PERIOD_NS);
	return p;
}

static void destroy(struct poll *p)
{
	if (!p)
		return;
	pf_proc_destroy(p->reader);
	pf_memory_release(p->seen, p->room * sizeof(*p->seen));
	pf_memory_free(p);
}

static void rest(void)
{
	uint32_t was = STOPPING;

	destroy(poll);
	poll = NULL;
	if (__atomic_compare_exchange_n(
		&running, &was, STOPPED, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		pf_futex_wake(&running, INT_MAX);
}

int64_t pf_wait_poll_turn(int64_t now_ns, struct pf_activity *activity, int64_t tick_ns)
{
	if (__atomic_load_n(&running, __ATOMIC_ACQUIRE) != RUNNING) {
		rest();
		return -1;
	}
	if (poll && poll->start != __atomic_load_n(&starts, __ATOMIC_ACQUIRE)) {
		destroy(poll);
		poll = NULL;
	}
	if (!poll)
		poll = create(now_ns);
	if (!poll)
		return now_ns + PERIOD_NS;
	if (now_ns < poll->due_ns - (tick_ns >= 0 ? EARLY_NS : 0))
		return poll->due_ns;
	if (now_ns >= poll->scan_due_ns)
		scan(poll, now_ns);
	poll->with_tick = tick_ns >= 0;
	look_round(poll, now_ns, activity);
	poll->due_ns = tick_ns >= 0 ? tick_ns + PERIOD_NS : pf_clock_beat_after(now_ns, PERIOD_NS);
	return poll->due_ns;
}

void pf_wait_poll_leave_out(pid_t tid)
{
	__atomic_store_n(&left_out, tid, __ATOMIC_RELEASE);
}

int pf_wait_poll_start(void)
{
	if (__atomic_load_n(&running, __ATOMIC_ACQUIRE) == RUNNING)
		return 0;
	pf_wait_poll_leave_out(0);
	__atomic_fetch_add(&starts, 1, __ATOMIC_ACQ_REL);
	__atomic_store_n(&running, RUNNING, __ATOMIC_RELEASE);
	pf_drain_wake();
	return 0;
}

int pf_wait_poll_stop(void)
{
	int64_t deadline_ns = pf_clock_now_ns() + PF_NS_PER_SECOND;
	uint32_t was = RUNNING;

	if (!__atomic_compare_exchange_n(
		&running, &was, STOPPING, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return 0;
	pf_drain_wake();
	while (__atomic_load_n(&running, __ATOMIC_ACQUIRE) == STOPPING && pf_drain_is_running() &&
	       pf_clock_now_ns() < deadline_ns)
		pf_futex_wait(&running, STOPPING, deadline_ns);
	return 0;
}

PF_SIGSAFE void pf_wait_poll_fork_child(void)
{
	running = STOPPED;
	poll = NULL;
	left_out = 0;
}
