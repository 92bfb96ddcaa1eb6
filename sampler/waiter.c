#include "sampler/waiter.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/knob.h"
#include "sampler/guard.h"
#include "sampler/stack.h"
#include "sampler/thread.h"
#include "sampler/wait_draw.h"
#include "sampler/wait_site.h"

#include <errno.h>
#include <stddef.h>
#include <unwind.h>

#ifdef PF_SMALL
enum { SHARDS = 4, ENTRIES = 2 };
#else
enum { SHARDS = 256, ENTRIES = 8 };
#endif
/* How often to look whether a shard is free again, which it is within nanoseconds. */
enum { SPINS = 2000, SPINS_TO_LEAVE = 100000 };

/* Contentions of this length are sampled all: there cannot be many. */
static const uint64_t LONG_NS = PF_NS_PER_MS;

/* A lock that is waited for. Guarded by its shard. */
struct entry {
	uint64_t lock;    /* 0: free */
	uint64_t sum;     /* S: of max(start, last_ns) of each waiter; modulo 2^64 */
	uint64_t last_ns; /* of the last charge; 0: there was none */
	uint64_t debt_ns; /* of waiters that gave up: the next to release is charged with it */
	struct pf_wait_site *site; /* of the last charge */
	uint32_t scale;            /* what it stands for; 0: it was not sampled */
	uint32_t n;
};

struct shard {
	uint32_t word;       /* atomic: 2 * generation + 1 while held */
	uint32_t generation; /* atomic: not that of the process: to be emptied */
	uint32_t epoch;      /* how often it was emptied */
	uint32_t waiting;    /* atomic: entries in use */
	uint64_t contentions, waited_ns, unblamed_ns; /* flushed into the counters */
	struct entry entries[ENTRIES];
} __attribute__((aligned(64)));

static struct shard shards[SHARDS];
static uint32_t generation = 1; /* of the process: forked children start anew */
static uint32_t watched;        /* atomic: WATCH_MUTEX, and pf_wait_block bits */

static PF_TLS struct pf_wait_draw mutex_draw, block_draw;

static const char *const kind_names[] = {
#define X(id, name) name,
    PF_WAIT_KINDS(X)
#undef X
};

const char *pf_wait_kind_name(enum pf_wait_kind kind)
{
	return (size_t)kind < PF_COUNT(kind_names) ? kind_names[kind] : "unknown";
}

PF_INLINE bool is_watched(uint32_t what)
{
	return __atomic_load_n(&watched, __ATOMIC_ACQUIRE) & what;
}

/* ---- shards ---- */

PF_INLINE struct shard *shard_of(uint64_t lock)
{
	return &shards[((lock >> 3) * 0x9e3779b97f4a7c15ull >> 32) % SHARDS];
}

PF_INLINE void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#else
	__asm__ volatile("yield");
#endif
}

static PF_HOOK void empty(struct shard *s)
{
	for (int e = 0; e < ENTRIES; e++)
		s->entries[e].lock = 0;
	__atomic_store_n(&s->waiting, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&s->generation, generation, __ATOMIC_RELAXED);
	s->epoch++;
}

/* Never waits for long: the holder may have been taken out of here by a longjmp, and a lost wait is
 * better than a thread that hangs. What a forked child inherits as held is not. */
static PF_HOOK bool take(struct shard *s, int spins)
{
	uint32_t held = 2 * generation + 1;

	for (int i = 0; i < spins; i++) {
		uint32_t was = __atomic_load_n(&s->word, __ATOMIC_RELAXED);

		if (was != held && __atomic_compare_exchange_n(&s->word, &was, held, true,
				       __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
			if (PF_UNLIKELY(
				__atomic_load_n(&s->generation, __ATOMIC_RELAXED) != generation))
				empty(s);
			return true;
		}
		relax();
	}
	pf_count(PF_COUNTER_WAIT_LOST_TABLE);
	return false;
}

PF_INLINE void give(struct shard *s)
{
	__atomic_store_n(&s->word, 0, __ATOMIC_RELEASE);
}

static PF_HOOK struct entry *find(struct shard *s, uint64_t lock)
{
	for (int i = 0; i < ENTRIES; i++)
		if (s->entries[i].lock == lock)
			return &s->entries[i];
	return NULL;
}

PF_INLINE uint64_t later(uint64_t a_ns, uint64_t b_ns)
{
	return a_ns > b_ns ? a_ns : b_ns;
}

/* The epoch in which the waiter was entered; 0: it was not. */
static PF_HOOK uint32_t enqueue(uint64_t lock, uint64_t start_ns)
{
	struct shard *s = shard_of(lock);
	uint32_t epoch = 0;
	struct entry *e;

	if (!take(s, SPINS))
		return 0;
	e = find(s, lock);
	if (!e) {
		e = find(s, 0);
		if (e) {
			*e = (struct entry){.lock = lock};
			__atomic_store_n(&s->waiting, s->waiting + 1, __ATOMIC_RELAXED);
		}
	}
	if (e) {
		e->n++;
		e->sum += later(start_ns, e->last_ns);
		epoch = s->epoch;
	}
	give(s);
	if (!e)
		pf_count(PF_COUNTER_WAIT_LOST_TABLE);
	return epoch;
}

/* What nobody has been charged with yet goes to who was charged last, or, if the waiter has given
 * up, to whoever releases next. */
static PF_HOOK void dequeue(
    uint64_t lock, uint32_t epoch, uint64_t start_ns, uint64_t now_ns, bool got)
{
	struct shard *s = shard_of(lock);
	struct pf_wait_site *site = NULL;
	uint64_t mark_ns, rest_ns;
	struct entry *e;

	if (!take(s, SPINS_TO_LEAVE)) {
		/* Nobody shall be charged for ever for one who has left: start anew. */
		__atomic_store_n(&s->generation, generation - 1, __ATOMIC_RELAXED);
		return;
	}
	e = epoch == s->epoch ? find(s, lock) : NULL;
	if (!e) {
		give(s);
		return;
	}
	mark_ns = later(start_ns, e->last_ns);
	rest_ns = now_ns > mark_ns ? now_ns - mark_ns : 0;
	e->sum -= mark_ns;
	e->n--;
	s->waited_ns += now_ns - start_ns;
	if (!got && e->n > 0)
		e->debt_ns += rest_ns;
	else if (!got || e->last_ns == 0)
		s->unblamed_ns += rest_ns;
	else if (e->scale)
		site = e->site;
	rest_ns *= e->scale;
	if (e->n == 0) {
		s->unblamed_ns += e->debt_ns;
		e->lock = 0;
		__atomic_store_n(&s->waiting, s->waiting - 1, __ATOMIC_RELAXED);
	}
	give(s);
	if (site)
		pf_wait_site_add(site, 0, rest_ns);
}

/* ---- the waiter ---- */

/* Long waits are kept as they are, short ones by chance. */
static PF_HOOK void sample_block(uint64_t waited_ns, enum pf_wait_kind kind)
{
	uint64_t rate_ns = (uint64_t)pf_knob_get(PF_KNOB_BLOCK_RATE_NS);
	uint64_t count = 1ull << PF_WAIT_COUNT_BITS, delay_ns = waited_ns;

	if (waited_ns < rate_ns) {
		uint32_t hits = pf_wait_draw_take(&block_draw, waited_ns, rate_ns);

		if (hits == 0)
			return;
		delay_ns = hits * rate_ns;
		count = (delay_ns << PF_WAIT_COUNT_BITS) / waited_ns;
	}
	pf_wait_site_add(
	    pf_wait_site_find(PF_WAIT_OF_BLOCK, kind, pf_stack_capture_here()), count, delay_ns);
	pf_count(PF_COUNTER_BLOCK_SAMPLES);
}

PF_INLINE uint32_t watch_bit(enum pf_wait_kind kind)
{
	if (kind == PF_WAIT_SLEEP)
		return PF_WATCH_SLEEP;
	return kind == PF_WAIT_IO ? PF_WATCH_IO : PF_WATCH_SYNC;
}

/* The record of who waits for what is in the thread's slot; a forgotten one is settled first. */
static PF_HOOK void say_waiting(struct pf_wait_turn *turn)
{
	struct pf_thread *t = pf_thread_self ? pf_thread_self : pf_thread_enrol_self();

	turn->thread = t;
	if (!t)
		return;
	pf_waiter_settle(t);
	t->waits_since_ns = (uint64_t)turn->start_ns;
	t->waits_generation = pf_thread_generation(t);
	t->waits_kind = (uint16_t)turn->kind;
	t->waits_queued = turn->queued;
	__atomic_store_n(&t->waits_for, turn->lock, __ATOMIC_RELEASE);
}

PF_HOOK void pf_waiter_begin(
    struct pf_wait_turn *turn, const void *lock, enum pf_wait_kind kind, bool lock_like)
{
	int saved = errno;

	turn->start_ns = 0;
	if (!is_watched(PF_WATCH_MUTEX | PF_WATCH_SYNC))
		return;
	if (!pf_guard_enter()) {
		pf_count(PF_COUNTER_WAIT_LOST_NESTED);
		return;
	}
	turn->start_ns = pf_clock_now_ns();
	turn->lock = (uintptr_t)lock;
	turn->kind = kind;
	turn->queued = 0;
	if (lock_like && is_watched(PF_WATCH_MUTEX))
		turn->queued = enqueue(turn->lock, (uint64_t)turn->start_ns);
	say_waiting(turn);
	pf_guard_leave();
	errno = saved;
}

PF_HOOK void pf_waiter_end(struct pf_wait_turn *turn, bool got)
{
	struct pf_thread *t;
	int saved = errno;
	uint64_t now_ns;

	if (turn->start_ns == 0 || !pf_guard_enter())
		return;
	t = turn->thread;
	now_ns = (uint64_t)pf_clock_now_ns();
	/* Settled already: a handler that ran meanwhile has waited, too. */
	if (t && __atomic_exchange_n(&t->waits_for, 0, __ATOMIC_ACQ_REL) == 0)
		turn->queued = 0;
	if (turn->queued)
		dequeue(turn->lock, turn->queued, (uint64_t)turn->start_ns, now_ns, got);
	if (is_watched(watch_bit(turn->kind)))
		sample_block(now_ns - (uint64_t)turn->start_ns, turn->kind);
	pf_guard_leave();
	errno = saved;
}

PF_HOOK void pf_waiter_note(int64_t waited_ns, enum pf_wait_kind kind)
{
	int saved = errno;

	if (waited_ns <= 0 || !is_watched(watch_bit(kind)))
		return;
	if (!pf_guard_enter()) {
		pf_count(PF_COUNTER_WAIT_LOST_NESTED);
		return;
	}
	sample_block((uint64_t)waited_ns, kind);
	pf_guard_leave();
	errno = saved;
}

PF_HOOK void pf_waiter_settle(struct pf_thread *t)
{
	uint64_t since_ns = t->waits_since_ns;
	uint32_t queued = t->waits_queued;
	uint64_t lock = __atomic_exchange_n(&t->waits_for, 0, __ATOMIC_ACQ_REL);

	if (PF_LIKELY(lock == 0))
		return;
	if (queued)
		dequeue(lock, queued, since_ns, (uint64_t)pf_clock_now_ns(), false);
	pf_count(PF_COUNTER_WAIT_SETTLED);
}

/* Called by the unwinder for our frame when the thread is cancelled in the real call below it. No
 * landing: the frame has nothing else to give back. */
_Unwind_Reason_Code pf_waiter_unwound(int version, _Unwind_Action actions,
    _Unwind_Exception_Class class, struct _Unwind_Exception *exception,
    struct _Unwind_Context *context);

PF_HOOK PF_HIDDEN _Unwind_Reason_Code pf_waiter_unwound(int version, _Unwind_Action actions,
    _Unwind_Exception_Class class, struct _Unwind_Exception *exception,
    struct _Unwind_Context *context)
{
	struct pf_thread *t = pf_thread_self;
	int saved = errno;

	if (!(actions & _UA_CLEANUP_PHASE) || !t ||
	    !__atomic_load_n(&t->waits_for, __ATOMIC_ACQUIRE))
		return _URC_CONTINUE_UNWIND;
	if (!pf_guard_enter())
		return _URC_CONTINUE_UNWIND;
	if (is_watched(PF_WATCH_SYNC))
		sample_block((uint64_t)pf_clock_now_ns() - t->waits_since_ns,
		    (enum pf_wait_kind)t->waits_kind);
	pf_waiter_settle(t);
	pf_guard_leave();
	errno = saved;
	return _URC_CONTINUE_UNWIND;
}

/* ---- the one who releases ---- */

/* What a contention stands for: 0, it is not sampled. */
static PF_HOOK uint32_t draw_scale(uint64_t delay_ns)
{
	uint64_t fraction = (uint64_t)pf_knob_get(PF_KNOB_MUTEX_FRACTION);

	if (delay_ns >= LONG_NS || fraction <= 1)
		return 1;
	return pf_wait_draw_take(&mutex_draw, 1, fraction) ? (uint32_t)fraction : 0;
}

/* The waiting up to now, taken out of the entry; 0: nobody waits. */
static PF_HOOK uint64_t take_delay(uint64_t lock, uint64_t *now_ns, uint32_t *scale)
{
	struct shard *s = shard_of(lock);
	int64_t delay_ns = 0;
	struct entry *e;

	*scale = 0;
	if (!take(s, SPINS))
		return 0;
	e = find(s, lock);
	if (e) {
		/* Read in here, so that no waiter of this entry began later. */
		*now_ns = (uint64_t)pf_clock_now_ns();
		delay_ns = (int64_t)(e->n * *now_ns - e->sum + e->debt_ns);
		if (delay_ns < 0)
			delay_ns = 0;
		*scale = draw_scale((uint64_t)delay_ns);
		e->sum = e->n * *now_ns;
		e->last_ns = *now_ns;
		e->debt_ns = 0;
		e->scale = 0; /* until its site is known */
		s->contentions++;
	}
	give(s);
	return (uint64_t)delay_ns;
}

static PF_HOOK void remember_site(
    uint64_t lock, uint64_t charged_ns, struct pf_wait_site *site, uint32_t scale)
{
	struct shard *s = shard_of(lock);
	struct entry *e;

	if (!take(s, SPINS))
		return;
	e = find(s, lock);
	if (e && e->last_ns == charged_ns) {
		e->site = site;
		e->scale = scale;
	}
	give(s);
}

PF_HOOK bool pf_waiter_maybe(const void *lock)
{
	return __atomic_load_n(&shard_of((uintptr_t)lock)->waiting, __ATOMIC_RELAXED);
}

PF_HOOK void pf_waiter_charge(const void *lock, enum pf_wait_kind kind)
{
	uint64_t delay_ns, now_ns;
	struct pf_wait_site *site;
	int saved = errno;
	uint32_t scale;

	if (!pf_waiter_maybe(lock) || !is_watched(PF_WATCH_MUTEX) || !pf_guard_enter())
		return;
	delay_ns = take_delay((uintptr_t)lock, &now_ns, &scale);
	if (scale) {
		site = pf_wait_site_find(PF_WAIT_OF_MUTEX, kind, pf_stack_capture_here());
		pf_wait_site_add(site, (uint64_t)scale << PF_WAIT_COUNT_BITS, delay_ns * scale);
		pf_count(PF_COUNTER_MUTEX_SAMPLES);
		remember_site((uintptr_t)lock, now_ns, site, scale);
	}
	pf_guard_leave();
	errno = saved;
}

/* ---- on, off, fork ---- */

void pf_waiter_watch(uint32_t what)
{
	__atomic_store_n(&watched, what, __ATOMIC_RELEASE);
}

void pf_waiter_flush(void)
{
	uint64_t contentions = 0, waited_ns = 0, unblamed_ns = 0;

	for (int i = 0; i < SHARDS; i++) {
		contentions += __atomic_load_n(&shards[i].contentions, __ATOMIC_RELAXED);
		waited_ns += __atomic_load_n(&shards[i].waited_ns, __ATOMIC_RELAXED);
		unblamed_ns += __atomic_load_n(&shards[i].unblamed_ns, __ATOMIC_RELAXED);
	}
	pf_counter_set(PF_COUNTER_MUTEX_CONTENTIONS, contentions);
	pf_counter_set(PF_COUNTER_MUTEX_WAITED_NS, waited_ns);
	pf_counter_set(PF_COUNTER_MUTEX_UNBLAMED_NS, unblamed_ns);
}

PF_SIGSAFE void pf_waiter_fork_child(void)
{
	__atomic_store_n(&watched, 0, __ATOMIC_RELEASE);
	generation++;
}
