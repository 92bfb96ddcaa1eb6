#include "sampler/ask.h"
#include "base/clock.h"
#include "base/forbid.h"
#include "base/lock.h"
#include "sampler/arm.h"
#include "sampler/signal.h"
#include "sampler/stack.h"
#include "sampler/timer.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint32_t answers; /* atomic: answers given so far, by anybody */
static uint32_t told;    /* atomic, a futex: of these, those that can be read */
static uint32_t waiting; /* atomic: how many sleep there */

/* An answer is | when: the number of answers then | stack | so that two askers of one thread may
 * both take the same. Stack 0: it was here, and has none to show. */

static PF_SIGSAFE void answer(struct pf_thread *t, uint32_t stack)
{
	uint32_t when = __atomic_add_fetch(&answers, 1, __ATOMIC_ACQ_REL);

	__atomic_store_n(
	    &t->answer_labels, __atomic_load_n(&t->labels, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
	__atomic_store_n(&t->answer, (uint64_t)when << 32 | stack, __ATOMIC_RELEASE);
	/* Who is not seen waiting here will see that the number has moved. */
	__atomic_fetch_add(&told, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&waiting, __ATOMIC_SEQ_CST))
		pf_futex_wake(&told, INT_MAX);
}

PF_SIGSAFE void pf_ask_answer(struct pf_thread *t, const ucontext_t *context)
{
	answer(t, pf_signal_has_room(t, context) ? pf_stack_capture_context(context) : 0);
}

PF_SIGSAFE void pf_ask_refuse(struct pf_thread *t)
{
	answer(t, 0);
}

static int prepare(struct pf_ask *ask, struct pf_thread *t)
{
	int rc;

	ask->thread = t;
	ask->timer = -1;
	ask->counted = true;
	/* Who leaves it alone first says so, then waits for this to be 0: one of us sees the other. */
	__atomic_fetch_add(&t->asks, 1, __ATOMIC_SEQ_CST);
	if (pf_thread_is_alone(t))
		return -EPERM;
	ask->after = __atomic_load_n(&answers, __ATOMIC_ACQUIRE);
	rc = pf_signal_install();
	if (rc < 0)
		return rc;
	return pf_arm_was_blocked(t) ? -EPERM : 0;
}

static void uncount(struct pf_ask *ask)
{
	if (ask->counted)
		__atomic_fetch_sub(&ask->thread->asks, 1, __ATOMIC_SEQ_CST);
	ask->counted = false;
}

static int send(const struct pf_thread *t)
{
	siginfo_t info;

	if (pf_is_forbidden(PF_FORBIDDEN_QUEUE))
		return -EOPNOTSUPP;
	memset(&info, 0, sizeof(info));
	info.si_signo = pf_signal_number();
	info.si_code = SI_QUEUE;
	info.si_pid = getpid();
	info.si_value = pf_signal_value(t, PF_SIGNAL_ASK);
	if (syscall(SYS_rt_tgsigqueueinfo, getpid(), t->tid, info.si_signo, &info) == 0)
		return 0;
	return errno == EAGAIN || errno == ESRCH ? -errno : -EOPNOTSUPP;
}

static int begin(struct pf_ask *ask, const struct pf_thread *t)
{
	int timer = pf_timer_create(t->tid, pf_signal_value(t, PF_SIGNAL_ASK));

	if (timer < 0)
		return timer == -EINVAL || timer == -EAGAIN ? timer : -EOPNOTSUPP;
	ask->timer = timer;
	return pf_timer_set(timer, 1, 0);
}

int pf_ask_begin(struct pf_ask *ask, struct pf_thread *t)
{
	int rc = prepare(ask, t);

	if (rc == 0)
		rc = begin(ask, t);
	if (rc < 0)
		pf_ask_end(ask);
	return rc;
}

int pf_ask_send(struct pf_ask *ask, struct pf_thread *t)
{
	int rc = prepare(ask, t);

	if (rc == 0)
		rc = send(t);
	if (rc < 0)
		pf_ask_end(ask);
	return rc;
}

bool pf_ask_answered(const struct pf_ask *ask, uint32_t *stack, uint32_t *labels)
{
	uint64_t word = __atomic_load_n(&ask->thread->answer, __ATOMIC_ACQUIRE);

	if (word == 0 || (int32_t)((uint32_t)(word >> 32) - ask->after) <= 0)
		return false;
	*stack = (uint32_t)word;
	*labels = __atomic_load_n(&ask->thread->answer_labels, __ATOMIC_RELAXED);
	return true;
}

void pf_ask_wait(uint32_t *seen, int64_t deadline_ns)
{
	uint32_t now;

	__atomic_fetch_add(&waiting, 1, __ATOMIC_SEQ_CST);
	now = __atomic_load_n(&told, __ATOMIC_SEQ_CST);
	if (now == *seen)
		pf_futex_wait(&told, now, deadline_ns);
	__atomic_fetch_sub(&waiting, 1, __ATOMIC_SEQ_CST);
	*seen = __atomic_load_n(&told, __ATOMIC_ACQUIRE);
}

void pf_ask_end(struct pf_ask *ask)
{
	if (ask->timer >= 0)
		pf_timer_delete(ask->timer);
	ask->timer = -1;
	uncount(ask);
}

PF_SIGSAFE void pf_ask_fork_child(void)
{
	waiting = 0;
}
