#include "sampler/gate.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/mark.h"

#include <limits.h>

/* Who is inside is out again in microseconds once it has a processor, which on a busy machine takes a
 * while. Only where it waits for a lock that the forking thread itself holds (a fork in a constructor
 * that dlopen runs) is this the time lost; that lock is one that glibc mends in the child. */
static const int64_t FORK_PATIENCE_NS = PF_NS_PER_SECOND;

static uint32_t inside;  /* atomic futex word: our threads in the loader */
static uint32_t forking; /* atomic futex word: the program's threads in fork() */

static uint32_t opening; /* atomic; own dlopens on their way */
static bool opened;      /* atomic */

static bool shut; /* written by the last thread there is */

/* Of the fork that this thread is in: how many of its handlers have passed, and how long they wait. */
static PF_TLS uint32_t passed;
static PF_TLS int64_t deadline_ns;

void pf_gate_enter(void)
{
	for (;;) {
		uint32_t forks;

		while ((forks = __atomic_load_n(&forking, __ATOMIC_SEQ_CST)) != 0)
			pf_futex_wait(&forking, forks, -1);
		__atomic_fetch_add(&inside, 1, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&forking, __ATOMIC_SEQ_CST) == 0)
			return;
		pf_gate_leave(); /* a fork came in between: let it pass */
	}
}

void pf_gate_leave(void)
{
	if (__atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST) == 0)
		pf_futex_wake(&inside, INT_MAX);
}

void pf_gate_open_begin(void)
{
	__atomic_fetch_add(&opening, 1, __ATOMIC_SEQ_CST);
}

void pf_gate_open_end(void)
{
	__atomic_store_n(&opened, true, __ATOMIC_SEQ_CST);
	__atomic_fetch_sub(&opening, 1, __ATOMIC_SEQ_CST);
}

bool pf_gate_opens(void)
{
	return __atomic_load_n(&opening, __ATOMIC_SEQ_CST) != 0 ||
	       __atomic_load_n(&opened, __ATOMIC_SEQ_CST);
}

bool pf_gate_forget_opens(void)
{
	bool before = __atomic_exchange_n(&opened, false, __ATOMIC_SEQ_CST);

	return before || __atomic_load_n(&opening, __ATOMIC_SEQ_CST) != 0;
}

bool pf_gate_try(void)
{
	if (shut)
		return false;
	pf_gate_enter();
	return true;
}

void pf_gate_shut(void)
{
	shut = true;
	__atomic_store_n(&inside, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&forking, 0, __ATOMIC_SEQ_CST);
}

bool pf_gate_is_wanted(void)
{
	return __atomic_load_n(&forking, __ATOMIC_SEQ_CST) != 0;
}

void pf_gate_fork_prepare(void)
{
	uint32_t busy;

	if (passed++ == 0)
		deadline_ns = pf_clock_now_ns() + FORK_PATIENCE_NS;

	__atomic_fetch_add(&forking, 1, __ATOMIC_SEQ_CST);
	while ((busy = __atomic_load_n(&inside, __ATOMIC_SEQ_CST)) != 0 &&
	       pf_clock_now_ns() < deadline_ns)
		pf_futex_wait(&inside, busy, deadline_ns);
}

void pf_gate_fork_parent(void)
{
	passed--;
	if (__atomic_sub_fetch(&forking, 1, __ATOMIC_SEQ_CST) == 0)
		pf_futex_wake(&forking, INT_MAX);
}

void pf_gate_fork_child(void)
{
	passed = 0;
	__atomic_store_n(&inside, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&forking, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&opening, 0, __ATOMIC_SEQ_CST); /* by a thread that is not here */
}
