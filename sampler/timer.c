#include "sampler/timer.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/forbid.h"
#include "base/lock.h"
#include "sampler/signal.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum { NONE, BUSY, ARMED };

/* CPU time that no process uses up: 127 years of a processor. */
static const int64_t NEVER_NS = 4000000000ll * PF_NS_PER_SECOND;

PF_HOOK int pf_timer_create(pid_t tid, union sigval value)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID};
	int timer;

	event.sigev_signo = pf_signal_number();
	event.sigev_value = value;
	event.sigev_notify_thread_id = tid;
	if (pf_is_forbidden(PF_FORBIDDEN_TIMER))
		return -EPERM;
	if (syscall(SYS_timer_create, pf_clock_of_thread(tid), &event, &timer) < 0)
		return -errno;
	return timer;
}

PF_HOOK int pf_timer_set(int timer, int64_t first_ns, int64_t period_ns)
{
	struct itimerspec when = {
	    .it_value = {first_ns / PF_NS_PER_SECOND, first_ns % PF_NS_PER_SECOND},
	    .it_interval = {period_ns / PF_NS_PER_SECOND, period_ns % PF_NS_PER_SECOND},
	};

	if (pf_is_forbidden(PF_FORBIDDEN_TIMER))
		return -EPERM;
	return syscall(SYS_timer_settime, timer, 0, &when, NULL) < 0 ? -errno : 0;
}

int pf_timer_create_idle(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGURG};
	int timer;
	int rc;

	if (pf_is_forbidden(PF_FORBIDDEN_TIMER))
		return -EPERM;
	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid); /* ours: all signals blocked */
	if (syscall(SYS_timer_create, CLOCK_PROCESS_CPUTIME_ID, &event, &timer) < 0)
		return -errno;
	rc = pf_timer_set(timer, NEVER_NS, 0);
	if (rc == 0)
		return timer;
	pf_timer_delete(timer);
	return rc;
}

PF_HOOK void pf_timer_delete(int timer)
{
	if (!pf_is_forbidden(PF_FORBIDDEN_TIMER))
		syscall(SYS_timer_delete, timer);
}

PF_HOOK int64_t pf_timer_tick_ns(void)
{
	static int64_t tick_ns; /* atomic */
	int64_t known = __atomic_load_n(&tick_ns, __ATOMIC_RELAXED);
	struct timespec resolution;

	if (known)
		return known;
	/* The coarse clock moves with the tick, and says so. */
	if (pf_is_forbidden(PF_FORBIDDEN_TIMER) ||
	    syscall(SYS_clock_getres, CLOCK_MONOTONIC_COARSE, &resolution) < 0)
		return PF_NS_PER_MS;
	known = (int64_t)resolution.tv_sec * PF_NS_PER_SECOND + resolution.tv_nsec;
	__atomic_store_n(&tick_ns, known, __ATOMIC_RELAXED);
	return known;
}

/* Splitmix64 (Steele, Lea, Flood 2014), its state shared by all threads. */
PF_HOOK uint64_t pf_timer_draw(void)
{
	static uint64_t state; /* atomic */
	uint64_t z = __atomic_add_fetch(&state, 0x9e3779b97f4a7c15ull, __ATOMIC_RELAXED);

	z += (uint64_t)pf_clock_now_ns();
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* Uniform in (0, period]: else threads shorter than a period would never be seen. What falls before
 * the first tick is due at once: the tick comes at random itself, and were it to wait for the draw
 * too, short threads would be seen too rarely. */
static PF_HOOK int64_t first_expiry(int64_t period_ns)
{
	int64_t first = 1 + (int64_t)(pf_timer_draw() % (uint64_t)period_ns);

	return first <= pf_timer_tick_ns() ? 1 : first;
}

static PF_HOOK bool seize(struct pf_thread *t, uint32_t from)
{
	return __atomic_compare_exchange_n(
	    &t->timer_state, &from, BUSY, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static PF_HOOK void leave(struct pf_thread *t, uint32_t to)
{
	__atomic_store_n(&t->timer_state, to, __ATOMIC_SEQ_CST);
}

/* In BUSY. */
static PF_HOOK int create(struct pf_thread *t, int64_t period_ns)
{
	int timer = pf_thread_is_alone(t)
			? -EPERM
			: pf_timer_create(t->tid, pf_signal_value(t, PF_SIGNAL_SAMPLE));

	if (timer < 0 && timer != -EINVAL && !t->timer_refused) {
		t->timer_refused = true;
		pf_count(PF_COUNTER_CPU_LOST_TIMER);
	}
	if (timer < 0)
		return timer;
	t->timer = timer;
	return pf_timer_set(timer, first_expiry(period_ns), period_ns);
}

PF_HOOK int pf_timer_arm(struct pf_thread *t, int64_t period_ns)
{
	int rc;

	if (seize(t, ARMED)) {
		rc = pf_timer_set(t->timer, first_expiry(period_ns), period_ns);
		leave(t, ARMED);
		return rc;
	}
	if (!seize(t, NONE))
		return -EBUSY;
	/* Whoever ends the thread first says so, then waits for BUSY to pass: one of us sees the
	 * other. */
	rc = pf_thread_is_live(t) ? create(t, period_ns) : -EINVAL;
	leave(t, rc == 0 ? ARMED : NONE);
	return rc;
}

PF_HOOK void pf_timer_disarm(struct pf_thread *t)
{
	while (!seize(t, ARMED)) {
		if (pf_lock_are_all_free()) /* it died at it */
			return;
		if (seize(t, NONE)) {
			leave(t, NONE);
			return;
		}
		syscall(SYS_sched_yield); /* BUSY lasts two system calls */
	}
	pf_timer_delete(t->timer);
	leave(t, NONE);
}
