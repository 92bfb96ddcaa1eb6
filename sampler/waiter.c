#include "sampler/waiter.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/fetch.h"
#include "base/knob.h"
#include "sampler/guard.h"
#include "sampler/stack.h"
#include "sampler/thread.h"
#include "sampler/tick.h"
#include "sampler/wait_draw.h"
#include "sampler/wait_site.h"

#include <errno.h>
#include <stddef.h>
#include <unwind.h>

/* How often to look whether a shard is free again, which it is within nanoseconds. */
enum { SPINS = 2000, SPINS_TO_LEAVE = 100000 };

/* Contentions of this length are sampled all: there cannot be many. */
static const uint64_t LONG_NS = PF_NS_PER_MS;

/* Who falls asleep is away for so long at least. */
static const uint64_t SHORT_SLEEP_NS = 30 * PF_NS_PER_US;

/* How many calls of pf_waiter_cool() a wait is remembered for. */
enum { LATELY = 2 };

struct pf_waiter_shard pf_waiter_shards[PF_WAITER_SHARDS];
/* On a line of its own: each lock taken reads it. */
uint32_t pf_waiter_any_lately __attribute__((aligned(64)));
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

static PF_HOOK void empty(struct pf_waiter_shard *s)
{
	for (int e = 0; e < PF_WAITER_ENTRIES; e++)
		s->entries[e].lock = 0;
	__atomic_store_n(&s->waiting, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&s->generation, generation, __ATOMIC_RELAXED);
	s->epoch++;
}

/* Never waits for long: the holder may have been taken out of here by a longjmp, and a lost wait is
 * better than a thread that hangs. What a forked child inherits as held is not. */
static PF_HOOK bool take(struct pf_waiter_shard *s, int spins)
{
	uint32_t held = 2 * generation + 1;

	for (int i = 0; i < spins; i++) {
		/* A look first would fetch the line from the other processor twice: to read, to write. */
		uint32_t was = i == 0 ? 0 : __atomic_load_n(&s->word, __ATOMIC_RELAXED);

		if (was != held && __atomic_compare_exchange_n(&s->word, &was, held, true,
				       __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
			if (PF_UNLIKELY(
				__atomic_load_n(&s->generation, __ATOMIC_RELAXED) != generation))
				empty(s);
			return true;
		}
		pf_waiter_relax();
	}
	pf_count(PF_COUNTER_WAIT_LOST_TABLE);
	return false;
}

PF_INLINE void give(struct pf_waiter_shard *s)
{
	__atomic_store_n(&s->word, 0, __ATOMIC_RELEASE);
}

static PF_HOOK struct pf_waiter_entry *find(struct pf_waiter_shard *s, uint64_t lock)
{
	for (int i = 0; i < PF_WAITER_ENTRIES; i++)
		if (s->entries[i].lock == lock)
			return &s->entries[i];
	return NULL;
}

PF_INLINE void fetch(uint64_t lock)
{
	pf_fetch_to_write(pf_waiter_shard_of(lock));
}

PF_INLINE uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Sums of a thread without a slot. */
static struct pf_thread nobody;

/* Only the thread itself adds to its own: no processor waits for another. */
PF_INLINE void add_to(uint64_t *of_thread, uint64_t *of_nobody, uint64_t ticks)
{
	if (PF_LIKELY(of_thread))
		__atomic_store_n(of_thread, *of_thread + ticks, __ATOMIC_RELAXED);
	else
		__atomic_fetch_add(of_nobody, ticks, __ATOMIC_RELAXED);
}
#define ADD_TO(t, field, ticks) add_to((t) ? &(t)->field : NULL, &nobody.field, ticks)

/* The epoch in which the waiter was entered; 0: it was not. */
static PF_HOOK uint32_t enqueue(uint64_t lock, uint64_t start)
{
	struct pf_waiter_shard *s = pf_waiter_shard_of(lock);
	struct pf_thread *self = pf_thread_self;
	uint64_t missed = 0;
	uint32_t epoch = 0;
	struct pf_waiter_entry *e;

	if (!take(s, SPINS))
		return 0;
	e = find(s, lock);
	if (!e) {
		e = find(s, 0);
		if (e) {
			*e = (struct pf_waiter_entry){.lock = lock};
			__atomic_store_n(&s->waiting, s->waiting + 1, __ATOMIC_RELAXED);
		}
	}
	if (e) {
		e->n++;
		e->sum += later(start, e->last);
		missed = e->last > start ? e->last - start : 0; /* released before that */
		epoch = s->epoch;
	}
	if (s->lately != LATELY)
		__atomic_store_n(&s->lately, LATELY, __ATOMIC_RELAXED);
	give(s);
	if (!pf_waiter_lately())
		__atomic_store_n(&pf_waiter_any_lately, 1, __ATOMIC_RELAXED);
	if (!e)
		pf_count(PF_COUNTER_WAIT_LOST_TABLE);
	if (missed)
		ADD_TO(self, unblamed_ticks, missed);
	return epoch;
}

/* What nobody has been charged with yet goes to who was charged last, or, if the waiter has given
 * up, to whoever releases next. Of a word that has changed, nobody may have said so yet: whoever did is about to
 * charge, if others still wait; if it found nobody waiting, there was nothing to wait for, or no sleep at least. */
static PF_HOOK void dequeue(struct pf_thread *t, uint64_t lock, uint32_t epoch, uint64_t start,
    uint64_t now, enum pf_wait_outcome outcome)
{
	struct pf_waiter_shard *s = pf_waiter_shard_of(lock);
	struct pf_wait_site *site = NULL;
	uint64_t mark, rest, unblamed = 0;
	struct pf_waiter_entry *e;
	bool is_short = false, got;

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
	mark = later(start, e->last);
	rest = now > mark ? now - mark : 0;
	e->sum -= mark;
	e->n--;
	got = outcome == PF_WAIT_GOT || (outcome == PF_WAIT_CHANGED && e->last != 0);
	if (!got && e->n > 0)
		e->debt += rest;
	else if (outcome == PF_WAIT_CHANGED && !got && pf_tick_ns(rest) < SHORT_SLEEP_NS)
		is_short = true;
	else if (!got || e->last == 0)
		unblamed = rest;
	else if (e->scale)
		site = e->site;
	rest *= e->scale;
	if (e->n == 0) {
		unblamed += e->debt;
		e->lock = 0;
		__atomic_store_n(&s->waiting, s->waiting - 1, __ATOMIC_RELAXED);
	}
	give(s);
	if (is_short)
		ADD_TO(t, short_waits, 1);
	else
		ADD_TO(t, waited_ticks, now > start ? now - start : 0);
	if (unblamed)
		ADD_TO(t, unblamed_ticks, unblamed);
	if (site)
		pf_wait_site_add(site, 0, pf_tick_ns(rest));
}

/* ---- the waiter ---- */

/* Who has waited for a lock has it in hand when the wait is sampled, and the next one waits for the stack, too,
 * which takes a microsecond. So where a wait as long as a short sleep would be sampled the stack is taken before
 * the real call, in time in which the lock is another one's. */
static PF_HOOK void take_stack_ahead(struct pf_wait_turn *turn)
{
	uint64_t rate_ns = (uint64_t)pf_knob_get(PF_KNOB_BLOCK_RATE_NS);

	turn->has_stack = turn->queued && is_watched(PF_WATCH_SYNC) &&
			  pf_wait_draw_is_near(&block_draw, SHORT_SLEEP_NS, rate_ns);
	if (turn->has_stack)
		turn->stack = pf_stack_capture_here();
}

/* Long waits are kept as they are, short ones by chance. `stack`: NULL, it is to be taken. */
static PF_HOOK void sample_block(uint64_t waited_ns, enum pf_wait_kind kind, const uint32_t *stack)
{
	uint64_t rate_ns = (uint64_t)pf_knob_get(PF_KNOB_BLOCK_RATE_NS);
	uint64_t count = 1ull << PF_WAIT_COUNT_BITS, delay_ns = waited_ns;
	struct pf_wait_site *site;

	if (waited_ns < rate_ns) {
		uint32_t hits = pf_wait_draw_take(&block_draw, waited_ns, rate_ns);

		if (hits == 0)
			return;
		delay_ns = hits * rate_ns;
		count = (delay_ns << PF_WAIT_COUNT_BITS) / waited_ns;
	}
	site = pf_wait_site_find(PF_WAIT_OF_BLOCK, kind, stack ? *stack : pf_stack_capture_here());
	pf_wait_site_add(site, count, delay_ns);
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
	t->waits_since = turn->start;
	t->waits_generation = pf_thread_generation(t);
	t->waits_kind = (uint16_t)turn->kind;
	t->waits_queued = turn->queued;
	__atomic_store_n(&t->waits_for, turn->lock, __ATOMIC_RELEASE);
}

PF_HOOK void pf_waiter_begin(
    struct pf_wait_turn *turn, const void *lock, enum pf_wait_kind kind, bool lock_like)
{
	int saved = errno;

	turn->start = 0;
	if (!is_watched(PF_WATCH_MUTEX | PF_WATCH_SYNC))
		return;
	if (!pf_guard_enter()) {
		pf_count(PF_COUNTER_WAIT_LOST_NESTED);
		return;
	}
	fetch((uintptr_t)lock);
	turn->start = pf_tick();
	if (PF_UNLIKELY(turn->start == 0)) {
		pf_count(PF_COUNTER_WAIT_LOST_CLOCK);
		pf_guard_leave();
		return;
	}
	turn->lock = (uintptr_t)lock;
	turn->kind = kind;
	turn->queued = 0;
	if (lock_like && is_watched(PF_WATCH_MUTEX))
		turn->queued = enqueue(turn->lock, turn->start);
	say_waiting(turn);
	take_stack_ahead(turn);
	pf_guard_leave();
	errno = saved;
}

PF_HOOK void pf_waiter_end(struct pf_wait_turn *turn, enum pf_wait_outcome outcome)
{
	struct pf_thread *t;
	int saved = errno;
	uint64_t now;

	if (turn->start == 0 || !pf_guard_enter())
		return;
	t = turn->thread;
	if (turn->queued)
		fetch(turn->lock);
	now = pf_tick();
	/* Settled already: a handler that ran meanwhile has waited, too. */
	if (t && __atomic_exchange_n(&t->waits_for, 0, __ATOMIC_ACQ_REL) == 0)
		turn->queued = 0;
	if (turn->queued)
		dequeue(t, turn->lock, turn->queued, turn->start, now, outcome);
	if (is_watched(watch_bit(turn->kind)))
		sample_block(pf_tick_ns(now - turn->start), turn->kind,
		    turn->has_stack ? &turn->stack : NULL);
	pf_guard_leave();
	errno = saved;
}

PF_HOOK bool pf_waiter_is_watching(void)
{
	return is_watched(PF_WATCH_MUTEX | PF_WATCH_SYNC);
}

PF_HOOK void pf_waiter_note_short(void)
{
	ADD_TO(pf_thread_self, short_waits, 1);
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
	sample_block((uint64_t)waited_ns, kind, NULL);
	pf_guard_leave();
	errno = saved;
}

PF_HOOK void pf_waiter_settle(struct pf_thread *t)
{
	uint64_t since = t->waits_since;
	uint32_t queued = t->waits_queued;
	uint64_t lock = __atomic_exchange_n(&t->waits_for, 0, __ATOMIC_ACQ_REL);

	if (PF_LIKELY(lock == 0))
		return;
	if (queued)
		dequeue(NULL, lock, queued, since, pf_tick(), PF_WAIT_GAVE_UP);
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
		sample_block(
		    pf_tick_ns(pf_tick() - t->waits_since), (enum pf_wait_kind)t->waits_kind, NULL);
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
static PF_HOOK uint64_t take_delay(uint64_t lock, uint64_t *now, uint32_t *scale)
{
	struct pf_waiter_shard *s = pf_waiter_shard_of(lock);
	struct pf_thread *self = pf_thread_self;
	int64_t delay = 0;
	struct pf_waiter_entry *e;

	*scale = 0;
	if (pf_forbidden_here & PF_FORBIDDEN_CLOCK) {
		pf_count(PF_COUNTER_WAIT_LOST_CLOCK);
		return 0;
	}
	if (!take(s, SPINS))
		return 0;
	e = find(s, lock);
	if (e) {
		/* Read in here, so that no waiter of this entry began later. */
		*now = pf_tick();
		delay = (int64_t)(e->n * *now - e->sum + e->debt);
		if (delay < 0)
			delay = 0;
		*scale = draw_scale(pf_tick_ns((uint64_t)delay));
		e->sum = e->n * *now;
		e->last = *now;
		e->debt = 0;
		e->scale = 0; /* until its site is known */
	}
	give(s);
	if (e)
		ADD_TO(self, contentions, 1);
	return (uint64_t)delay;
}

static PF_HOOK void remember_site(
    uint64_t lock, uint64_t charged, struct pf_wait_site *site, uint32_t scale)
{
	struct pf_waiter_shard *s = pf_waiter_shard_of(lock);
	struct pf_waiter_entry *e;

	if (!take(s, SPINS))
		return;
	e = find(s, lock);
	if (e && e->last == charged) {
		e->site = site;
		e->scale = scale;
	}
	give(s);
}

PF_HOOK void pf_waiter_charge(const void *lock, enum pf_wait_kind kind)
{
	uint64_t delay, now;
	struct pf_wait_site *site;
	int saved = errno;
	uint32_t scale;

	if (!is_watched(PF_WATCH_MUTEX) || !pf_guard_enter())
		return;
	fetch((uintptr_t)lock);
	delay = take_delay((uintptr_t)lock, &now, &scale);
	if (scale) {
		site = pf_wait_site_find(PF_WAIT_OF_MUTEX, kind, pf_stack_capture_here());
		pf_wait_site_add(
		    site, (uint64_t)scale << PF_WAIT_COUNT_BITS, pf_tick_ns(delay * scale));
		pf_count(PF_COUNTER_MUTEX_SAMPLES);
		remember_site((uintptr_t)lock, now, site, scale);
	}
	pf_guard_leave();
	errno = saved;
}

PF_HOOK bool pf_waiter_look(const void *lock, const uint32_t *at, uint32_t *value)
{
	struct pf_waiter_shard *s = pf_waiter_shard_of((uintptr_t)lock);
	struct pf_waiter_entry *e;

	if (!pf_guard_enter())
		return false;
	if (!take(s, SPINS)) {
		pf_guard_leave();
		return false;
	}
	e = find(s, (uintptr_t)lock);
	if (e)
		*value = __atomic_load_n(at, __ATOMIC_RELAXED);
	give(s);
	pf_guard_leave();
	return e != NULL;
}

/* ---- on, off, fork ---- */

void pf_waiter_watch(uint32_t what)
{
	__atomic_store_n(&watched, what, __ATOMIC_RELEASE);
}

static void sum_up(const struct pf_thread *t, uint64_t sums[4])
{
	sums[0] += __atomic_load_n(&t->contentions, __ATOMIC_RELAXED);
	sums[1] += __atomic_load_n(&t->waited_ticks, __ATOMIC_RELAXED);
	sums[2] += __atomic_load_n(&t->unblamed_ticks, __ATOMIC_RELAXED);
	sums[3] += __atomic_load_n(&t->short_waits, __ATOMIC_RELAXED);
}

void pf_waiter_flush(void)
{
	static bool busy; /* atomic: of two at once the older sum might be put last */
	uint64_t sums[4] = {0};

	if (__atomic_exchange_n(&busy, true, __ATOMIC_ACQUIRE))
		return;
	sum_up(&nobody, sums);
	for (uint32_t i = 0; i < pf_thread_limit(); i++)
		sum_up(pf_thread_at(i), sums);
	pf_counter_set(PF_COUNTER_MUTEX_CONTENTIONS, sums[0]);
	pf_counter_set(PF_COUNTER_MUTEX_WAITED_NS, pf_tick_ns(sums[1]));
	pf_counter_set(PF_COUNTER_MUTEX_UNBLAMED_NS, pf_tick_ns(sums[2]));
	pf_counter_set(PF_COUNTER_WAIT_SHORT, sums[3]);
	__atomic_store_n(&busy, false, __ATOMIC_RELEASE);
}

/* Behind a writer who waits, a rwlock that prefers writers stops readers and does not look so: there it is not long
 * ago while somebody waits. Of other locks the word tells. */
static void hold_rwlocks(void)
{
	for (uint32_t i = 0; i < pf_thread_limit(); i++) {
		const struct pf_thread *t = pf_thread_at(i);
		uint64_t lock = t ? __atomic_load_n(&t->waits_for, __ATOMIC_ACQUIRE) : 0;

		if (lock && t->waits_kind == PF_WAIT_RWLOCK && t->waits_queued &&
		    t->waits_generation == pf_thread_generation(t))
			__atomic_store_n(
			    &pf_waiter_shard_of(lock)->lately, LATELY, __ATOMIC_RELAXED);
	}
}

/* A wait that begins meanwhile may be forgotten a second early: then the next one is remembered. */
void pf_waiter_cool(void)
{
	bool any = false;

	for (int i = 0; i < PF_WAITER_SHARDS; i++) {
		uint32_t left = __atomic_load_n(&pf_waiter_shards[i].lately, __ATOMIC_RELAXED);

		if (left)
			__atomic_store_n(&pf_waiter_shards[i].lately, left - 1, __ATOMIC_RELAXED);
	}
	hold_rwlocks();
	for (int i = 0; i < PF_WAITER_SHARDS && !any; i++)
		any = __atomic_load_n(&pf_waiter_shards[i].lately, __ATOMIC_RELAXED) > 0;
	if (any != pf_waiter_lately())
		__atomic_store_n(&pf_waiter_any_lately, any, __ATOMIC_RELAXED);
}

PF_SIGSAFE void pf_waiter_fork_child(void)
{
	__atomic_store_n(&watched, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&pf_waiter_any_lately, 0, __ATOMIC_RELAXED);
	generation++;
}
