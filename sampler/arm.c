#include "sampler/arm.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/forbid.h"
#include "sampler/precise.h"
#include "sampler/proc.h"
#include "sampler/sample.h"
#include "sampler/signal.h"
#include "sampler/timer.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LOOKS = 3, MET_MAX = 5 };
static const int64_t LOOK_SOON_NS = 10ll * PF_NS_PER_MS;

/* How often the blocker met least often since the last look round was met before, plus one; 0: nobody
 * was met. Atomic. */
static uint32_t met_least;

/* The next live thread from *number on, or NULL. */
static struct pf_thread *next_live(uint32_t *number)
{
	while (*number < pf_thread_limit()) {
		struct pf_thread *t = pf_thread_at((*number)++);

		if (t && pf_thread_is_live(t))
			return t;
	}
	return NULL;
}

static bool is_armed(const struct pf_thread *t)
{
	return __atomic_load_n(&t->timer_state, __ATOMIC_RELAXED) != 0;
}

/* Has it a timer, or the event that stands for one? */
static bool is_served(const struct pf_thread *t)
{
	return is_armed(t) || pf_precise_has(t);
}

/* One look. While a thread waits in sigwait(), the kernel shows the signals it waits for as not
 * blocked: then the call says it. */
static bool look(const struct pf_thread *t)
{
	uint64_t mask = 0;

	pf_thread_blocked(t->tid, &mask);
	if (pf_proc_state(t) == SYS_rt_sigtimedwait)
		return true;
	/* One that answers us at this moment is no blocker. */
	return mask >> (pf_signal_number() - 1) & 1 && mask != pf_signal_mask_inside();
}

int64_t pf_arm_look_again_ns(void)
{
	uint32_t met = __atomic_exchange_n(&met_least, 0, __ATOMIC_RELAXED);

	return met ? LOOK_SOON_NS << (met - 1) : -1;
}

/* Who is still met after some looks does not only block it for a moment. */
static void note_blocker(struct pf_thread *t)
{
	uint32_t least = __atomic_load_n(&met_least, __ATOMIC_RELAXED);

	if (!t->blocks || t->blocks_counted)
		return;
	if (t->blocks_met < MET_MAX) {
		t->blocks_met++;
		if (!least || t->blocks_met < least)
			__atomic_store_n(&met_least, t->blocks_met, __ATOMIC_RELAXED);
		return;
	}
	t->blocks_counted = true;
	pf_count(PF_COUNTER_CPU_LOST_BLOCKED);
}

bool pf_arm_is_blocked(struct pf_thread *t)
{
	clockid_t clock = pf_clock_of_thread(t->tid);
	int64_t now = pf_clock_ns(clock), before;

	/* It cannot have changed while the thread slept. */
	if (t->blocks_known && t->blocks_cpu_ns == now) {
		note_blocker(t);
		return t->blocks;
	}
	/* A thread that runs meanwhile may have gone into a wait or come out of one between the two
	 * readings of a look: looked at again. (What is left: a thread that has been woken from its
	 * wait and has not had its turn yet. It is safe all the same unless it waits by a system call
	 * of its own, past sigwait_hook.c.) */
	t->blocks = false;
	for (int i = 0; i < LOOKS && !t->blocks; i++) {
		before = now;
		t->blocks = look(t);
		now = pf_clock_ns(clock);
		if (now == before)
			break;
	}
	t->blocks_known = true;
	t->blocks_cpu_ns = now;
	__atomic_store_n(&t->blocks_looked_ns, pf_clock_now_ns(), __ATOMIC_RELEASE);
	if (!t->blocks)
		t->blocks_met = 0;
	note_blocker(t);
	return t->blocks;
}

bool pf_arm_was_blocked(struct pf_thread *t)
{
	int64_t looked_ns = __atomic_load_n(&t->blocks_looked_ns, __ATOMIC_ACQUIRE);

	if (looked_ns && !t->blocks && pf_clock_now_ns() - looked_ns < PF_NS_PER_SECOND)
		return false;
	return pf_arm_is_blocked(t);
}

int pf_arm_all(int64_t period_ns)
{
	struct pf_thread *t;
	int armed = 0;
	int refused = 0;

	for (uint32_t i = 0; (t = next_live(&i));) {
		int rc;

		if (pf_thread_is_alone(t))
			continue;
		if (pf_precise_has(t)) {
			armed++;
			continue;
		}
		if (!is_armed(t) && pf_arm_is_blocked(t))
			continue;
		rc = pf_timer_arm(t, period_ns);
		if (rc == 0)
			armed++;
		else if (rc != -EINVAL && rc != -EBUSY && rc != -EAGAIN)
			refused = rc;
	}
	return armed ? 0 : refused;
}

int pf_arm_missing(int64_t period_ns)
{
	struct pf_thread *t;
	int refused = 0;

	for (uint32_t i = 0; (t = next_live(&i));) {
		int rc;

		if (pf_thread_is_alone(t) || is_served(t) || pf_arm_is_blocked(t))
			continue;
		rc = pf_timer_arm(t, period_ns);
		if (rc < 0 && rc != -EINVAL && rc != -EBUSY && refused != -EAGAIN)
			refused = rc;
	}
	return refused;
}

void pf_arm_check(int64_t owed_ns)
{
	struct pf_thread *t;

	for (uint32_t i = 0; (t = next_live(&i));)
		if (is_armed(t) && pf_sample_owed_ns(t) >= owed_ns && pf_arm_is_blocked(t))
			pf_timer_disarm(t);
}

void pf_arm_none(void)
{
	struct pf_thread *t;

	for (uint32_t i = 0; (t = next_live(&i));)
		pf_timer_disarm(t);
}

PF_HOOK void pf_arm_self(struct pf_thread *t, int64_t period_ns)
{
	uint64_t mask = 0;

	if (pf_is_forbidden(PF_FORBIDDEN_TIMER))
		return; /* by the next look round, from outside */
	syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, sizeof(mask));
	/* A thread born with the signal blocked is met by the next look round. */
	if (!(mask >> (pf_signal_number() - 1) & 1))
		pf_timer_arm(t, period_ns);
}
