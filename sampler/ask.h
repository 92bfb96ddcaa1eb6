/* Ask: the stack of a thread that runs, by its own hand.
 *
 * A signal sent from outside may arrive when the thread has just gone to sleep, and break that
 * sleep (EINTR). A timer on its CPU clock cannot: it goes off only while the thread runs, and the
 * kernel delivers it on the way back to the program's code. So that is how we ask, and where timers are
 * refused we do not; only where /proc does not say who sleeps is a signal sent.
 */
#pragma once
#include "sampler/thread.h"

#include <ucontext.h>

struct pf_ask {
	struct pf_thread *thread;
	int timer;      /* -1: none */
	bool counted;   /* in the thread's `asks` */
	uint32_t after; /* answers given before this are old */
};

/* 0 or -errno: -EPERM it blocks the signal, -EBUSY no signal is free, -EAGAIN no room for another one,
 * -EOPNOTSUPP not permitted, -EINVAL or -ESRCH it has ended. In any case the ask may be looked at and
 * ended; where it has begun it must be. Our own threads. */
int pf_ask_begin(struct pf_ask *ask, struct pf_thread *thread);
/* By a signal sent now, although it may interrupt a sleep. */
int pf_ask_send(struct pf_ask *ask, struct pf_thread *thread);
/* When the thread has answered: its stack's id, 0 if it had none to show, and its labels then. */
bool pf_ask_answered(const struct pf_ask *ask, uint32_t *stack, uint32_t *labels);
/* Sleeps until somebody answers, or the deadline (monotonic). *seen starts at 0. */
void pf_ask_wait(uint32_t *seen, int64_t deadline_ns);
void pf_ask_end(struct pf_ask *ask);

/* Is anybody asking it? Any thread. */
PF_INLINE bool pf_ask_is_asked(const struct pf_thread *thread)
{
	return __atomic_load_n(&thread->asks, __ATOMIC_SEQ_CST) != 0;
}

/* The handler, on the thread asked. PF_SIGSAFE. */
void pf_ask_answer(struct pf_thread *thread, const ucontext_t *context);
/* The question came where it cannot be answered. PF_SIGSAFE. */
void pf_ask_refuse(struct pf_thread *thread);

/* In the child after fork. PF_SIGSAFE. */
void pf_ask_fork_child(void);
