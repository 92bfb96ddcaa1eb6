#include "sampler/sample.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/forbid.h"
#include "sampler/arm.h"
#include "sampler/precise.h"
#include "sampler/ring.h"
#include "sampler/signal.h"
#include "sampler/stack.h"
#include "sampler/timer.h"

static int64_t period_ns;   /* atomic */
static int64_t lost_ns;     /* atomic: weight of samples that found no place */
static uint64_t lost_count; /* atomic: how many */

PF_SIGSAFE int64_t pf_sample_period_ns(void)
{
	return __atomic_load_n(&period_ns, __ATOMIC_SEQ_CST);
}

void pf_sample_set_period_ns(int64_t period)
{
	__atomic_store_n(&period_ns, period, __ATOMIC_SEQ_CST);
}

int64_t pf_sample_nominal_ns(const struct pf_thread *t)
{
	int64_t period = pf_sample_period_ns();
	int64_t tick = pf_timer_tick_ns();

	return period > tick || (t && pf_precise_has(t)) ? period : tick;
}

/* Moves the thread's mark up to `cpu_ns`: what lies between is the caller's to record. Never back:
 * the handler and another thread may do this at the same time. */
static PF_SIGSAFE int64_t account(struct pf_thread *t, int64_t cpu_ns)
{
	int64_t before = __atomic_load_n(&t->sampled_cpu_ns, __ATOMIC_RELAXED);

	do
		if (cpu_ns <= before)
			return 0;
	while (!__atomic_compare_exchange_n(
	    &t->sampled_cpu_ns, &before, cpu_ns, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return cpu_ns - before;
}

static PF_SIGSAFE void lose(int64_t weight_ns)
{
	__atomic_fetch_add(&lost_ns, weight_ns, __ATOMIC_RELAXED);
	__atomic_fetch_add(&lost_count, 1, __ATOMIC_RELAXED);
}

uint32_t pf_sample_lost(int64_t *weight_ns)
{
	*weight_ns = __atomic_exchange_n(&lost_ns, 0, __ATOMIC_RELAXED);
	return (uint32_t)__atomic_exchange_n(&lost_count, 0, __ATOMIC_RELAXED);
}

static PF_SIGSAFE void push(
    struct pf_thread *t, int64_t time_ns, int64_t weight_ns, uint32_t stack, bool rest)
{
	struct pf_ring_record record = {
	    .time_ns = time_ns,
	    .weight_ns = weight_ns,
	    .stack = stack,
	    .thread = t->number,
	    .tid = t->tid,
	    .labels = __atomic_load_n(&t->labels, __ATOMIC_RELAXED),
	    .rest = rest,
	};

	if (pf_ring_push(&record))
		return;
	pf_count(PF_COUNTER_CPU_LOST_RING);
	lose(weight_ns);
}

static PF_SIGSAFE void take(struct pf_thread *t, const ucontext_t *context, int64_t cpu_ns)
{
	int64_t time_ns = pf_clock_now_ns();
	int64_t weight = account(t, cpu_ns);

	if (!pf_signal_has_room(t, context)) {
		pf_count(PF_COUNTER_CPU_LOST_STACK);
		lose(weight);
		return;
	}
	push(t, time_ns, weight, pf_stack_capture_context(context), false);
	pf_count(PF_COUNTER_CPU_SAMPLES);
}

PF_SIGSAFE void pf_sample_take(struct pf_thread *t, const ucontext_t *context)
{
	int64_t began_ns, took_ns;

	if (pf_sample_period_ns() == 0)
		return;
	/* Our mask lets faults through, and the program's fault handler may unblock what it likes. */
	if (t->in_handler) {
		pf_count(PF_COUNTER_CPU_LOST_NESTED);
		return;
	}
	t->in_handler = 1;
	began_ns = pf_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	take(t, context, began_ns);
	t->in_handler = 0;
	/* On the thread's own clock: the kernel may have had others run in between. */
	took_ns = pf_clock_ns(CLOCK_THREAD_CPUTIME_ID) - began_ns;
	pf_count_many(PF_COUNTER_CPU_HANDLER_NS, (uint64_t)took_ns);
}

static PF_HOOK void push_rest(struct pf_thread *t, int64_t cpu_ns)
{
	int64_t rest = account(t, cpu_ns);

	if (rest > 0)
		push(t, pf_clock_now_ns(), rest, 0, true);
}

PF_HOOK void pf_sample_thread_begin(struct pf_thread *t)
{
	int64_t period = pf_sample_period_ns();

	/* LIVE was stored before this load, and who starts sampling stores the period before it
	 * looks for LIVE threads: one of us arms the timer. */
	if (period)
		pf_arm_self(t, period);
}

PF_HOOK void pf_sample_thread_end(struct pf_thread *t)
{
	/* Its timer must go with it: the scan will see to that. */
	if (pf_is_forbidden(PF_FORBIDDEN_TIMER) || !pf_thread_end(t))
		return;
	pf_timer_disarm(t);
	if (pf_sample_period_ns())
		push_rest(t, pf_clock_ns(CLOCK_THREAD_CPUTIME_ID));
	pf_thread_leave(t);
}

/* Its clock is gone with it: what was last read of it must do. */
void pf_sample_thread_gone(struct pf_thread *t)
{
	pf_timer_disarm(t);
	if (pf_sample_period_ns())
		push_rest(t, __atomic_load_n(&t->cpu_ns, __ATOMIC_RELAXED));
	pf_thread_release(t);
}

void pf_sample_forget(void)
{
	for (uint32_t i = 0; i < pf_thread_limit(); i++) {
		struct pf_thread *t = pf_thread_at(i);

		if (t && pf_thread_is_live(t))
			account(t, pf_clock_ns(pf_clock_of_thread(t->tid)));
	}
}

int64_t pf_sample_owed_ns(const struct pf_thread *t)
{
	return __atomic_load_n(&t->cpu_ns, __ATOMIC_RELAXED) -
	       __atomic_load_n(&t->sampled_cpu_ns, __ATOMIC_RELAXED);
}

void pf_sample_rests(int64_t least_ns)
{
	for (uint32_t i = 0; i < pf_thread_limit(); i++) {
		struct pf_thread *t = pf_thread_at(i);
		int64_t cpu;

		if (!t || !pf_thread_is_live(t))
			continue;
		/* Every clock has just been read and noted: the scan comes first. */
		if (least_ns > 0 && pf_sample_owed_ns(t) < least_ns)
			continue;
		cpu = pf_clock_ns(pf_clock_of_thread(t->tid));
		if (cpu - __atomic_load_n(&t->sampled_cpu_ns, __ATOMIC_RELAXED) >= least_ns)
			push_rest(t, cpu);
	}
}

PF_SIGSAFE void pf_sample_fork_child(void)
{
	period_ns = 0;
	lost_ns = 0;
	lost_count = 0;
	pf_ring_fork_child();
}
