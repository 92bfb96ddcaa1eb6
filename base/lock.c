#include "base/lock.h"
#include "base/clock.h"
#include "base/forbid.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { FREE, HELD, HELD_AND_WAITED_FOR };

#ifndef NDEBUG
/* One bit for each rank this thread holds. */
static PF_TLS uint32_t held_ranks;
#define NOTE_TAKEN(lock)                                                                           \
	do {                                                                                       \
		assert((held_ranks >> (lock)->rank) == 0 && "lock order");                         \
		held_ranks |= 1u << (lock)->rank;                                                  \
	} while (0)
#define NOTE_GIVEN(lock) (held_ranks &= ~(1u << (lock)->rank))
#else
#define NOTE_TAKEN(lock) ((void)0)
#define NOTE_GIVEN(lock) ((void)0)
#endif

PF_HOOK void pf_futex_wait(uint32_t *word, uint32_t value, int64_t deadline_ns)
{
	struct timespec at = {deadline_ns / PF_NS_PER_SECOND, deadline_ns % PF_NS_PER_SECOND};
	int saved = errno;

	if (pf_is_forbidden(PF_FORBIDDEN_FUTEX))
		return; /* its caller looks again */
	syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, value,
	    deadline_ns < 0 ? NULL : &at, NULL, FUTEX_BITSET_MATCH_ANY);
	errno = saved;
}

PF_SIGSAFE void pf_futex_wake(uint32_t *word, int count)
{
	int saved = errno;

	if (pf_is_forbidden(PF_FORBIDDEN_FUTEX))
		return;
	syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL, 0);
	errno = saved;
}

/* Whoever gives it may be forbidden to wake us: so not for ever. The kernel measures, no clock is asked. */
static PF_HOOK void sleep_on(struct pf_lock *lock)
{
	const struct timespec at_most = {0, 20 * PF_NS_PER_MS};
	int saved = errno;

	if (pf_is_forbidden(PF_FORBIDDEN_FUTEX))
		return;
	syscall(SYS_futex, &lock->word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, HELD_AND_WAITED_FOR,
	    &at_most, NULL, 0);
	errno = saved;
}

static bool all_free; /* written by the last thread there is */

PF_HOOK void pf_lock_take(struct pf_lock *lock)
{
	uint32_t was = FREE;

	NOTE_TAKEN(lock);
	if (__atomic_compare_exchange_n(
		&lock->word, &was, HELD, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return;
	if (was != HELD_AND_WAITED_FOR)
		was = __atomic_exchange_n(&lock->word, HELD_AND_WAITED_FOR, __ATOMIC_ACQUIRE);
	while (was != FREE && !all_free) {
		sleep_on(lock);
		was = __atomic_exchange_n(&lock->word, HELD_AND_WAITED_FOR, __ATOMIC_ACQUIRE);
	}
}

PF_HOOK bool pf_lock_try(struct pf_lock *lock)
{
	uint32_t was = FREE;

	if (!__atomic_compare_exchange_n(
		&lock->word, &was, HELD, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return false;
	NOTE_TAKEN(lock);
	return true;
}

PF_HOOK void pf_lock_give(struct pf_lock *lock)
{
	NOTE_GIVEN(lock);
	if (__atomic_exchange_n(&lock->word, FREE, __ATOMIC_RELEASE) == HELD_AND_WAITED_FOR)
		pf_futex_wake(&lock->word, 1);
}

void pf_lock_all_free(void)
{
	all_free = true;
}

PF_HOOK bool pf_lock_are_all_free(void)
{
	return all_free;
}

void pf_lock_reset(struct pf_lock *lock)
{
	__atomic_store_n(&lock->word, FREE, __ATOMIC_RELEASE);
}
