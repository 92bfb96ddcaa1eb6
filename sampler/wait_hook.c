#include "sampler/wait_hook.h"
#include "base/fetch.h"
#include "base/mark.h"
#include "sampler/filter_hook.h"
#include "sampler/guard.h"
#include "sampler/lock_word.h"
#include "sampler/patch.h"
#include "sampler/thread.h"
#include "sampler/tick.h"
#include "sampler/wait_call.h"
#include "sampler/waiter.h"

#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

/* A hook on its own cache line. */
#define HOT __attribute__((aligned(64)))

/* The slow way of a call: it is watched from here to its end. Whatever the thread holds of ours when
 * it is cancelled in there is settled by the personality. */
#define WATCHED(name, lock, kind, lock_like, got)                                                  \
	static PF_HOOK long wait_in_##name(PF_CALL_PARAMS)                                         \
	{                                                                                          \
		struct pf_wait_turn turn;                                                          \
		long rc;                                                                           \
                                                                                                   \
		PF_WAITER_UNWOUND;                                                                 \
		pf_waiter_begin(&turn, (const void *)(lock), kind, lock_like);                     \
		rc = pf_real_##name(PF_CALL_ARGS);                                                 \
		pf_waiter_end(&turn, got);                                                         \
		return rc;                                                                         \
	}

/* ---- taking a lock ---- */

/* 0: nobody knows it yet. */
PF_INLINE int own_tid(void)
{
	return pf_thread_self ? pf_thread_self->tid : 0;
}

/* A thread that was there before us and has not met us yet: is this wait none of ours, or does it hold the mutex
 * itself? Inside our own code, and in a child of fork, nobody is met. */
static PF_HOOK bool is_passed_on(const pthread_mutex_t *m)
{
	struct pf_thread *self;
	int saved = errno;

	if (!pf_waiter_is_watching() || pf_is_forbidden(PF_FORBIDDEN_HOST) || !pf_guard_enter())
		return true;
	self = pf_thread_enrol_self();
	pf_guard_leave();
	errno = saved;
	return self && !pf_mutex_is_contended(m, self->tid);
}

/* EOWNERDEAD and ENOTRECOVERABLE are ways to come out of the wait, too; the first one with it. */
PF_INLINE bool got_mutex(long rc)
{
	return (int)rc == 0 || (int)rc == EOWNERDEAD;
}

/* A thread that finds a lock held is not asleep before it is deep in the kernel, and whoever lets the lock go
 * until then wakes nobody. To enter it as one that waits takes part of that time, and to take it out again
 * is done with the lock in hand, where the next one waits for it: so fights that were over in time became
 * sleeps of 30 us. Hence a thread looks on first for about as long, and is entered only then. Nobody can
 * come in between unseen: the lock is taken by the very look that finds it free. Who waits for a spinlock
 * looks on anyway; there only a holder that was put aside is waited for much longer. */
enum { SOON_NS = 250, SPIN_SOON_NS = 5000 };
/* Should the clock stand still. */
enum { LOOKS_MAX = 100, SPIN_LOOKS_MAX = 2000 };

/* A clock that is a system call takes longer than this, and may be forbidden. */
PF_INLINE bool may_look_on(void)
{
	return pf_tick_raw && !pf_is_forbidden(PF_FORBIDDEN_HOST | PF_FORBIDDEN_CLOCK);
}

PF_INLINE bool try_mutex(const pthread_mutex_t *m)
{
	return (int)pf_real_pthread_mutex_trylock((long)m, 0, 0, 0, 0, 0) == 0;
}

PF_INLINE bool may_try_mutex(const pthread_mutex_t *m)
{
	return pf_wait_call_may_try && pf_mutex_is_plain(m);
}

static PF_HOOK bool is_mine_soon(const pthread_mutex_t *m)
{
	uint64_t began;

	if (!may_try_mutex(m) || !may_look_on())
		return false;
	began = pf_tick();
	for (int looks = 0; looks < LOOKS_MAX && pf_tick_ns(pf_tick() - began) < SOON_NS; looks++) {
		pf_waiter_relax();
		if (!pf_mutex_is_held(m) && try_mutex(m)) {
			pf_waiter_note_short();
			return true;
		}
	}
	return false;
}

/* What a peek says is old by the time the lock is asked for: in a fight another one is often faster, and
 * then the wait would be nobody's. So where somebody has waited lately, a free lock is taken by a try.
 *
 * Three steps, each of which may be the last one: nobody waits for any lock lately, and this one is free; it is
 * free, and others than this one are waited for, or its holder takes it once more; all else. The first two call
 * nothing but the real function, so they need no frame: to save what the program passed and to fetch it back took
 * 4 ns. In a fight the lock is most likely with another processor, and is fetched to be written before the peek:
 * fetched twice, to read and to write, a handover takes 45 ns more. */
#define LOCKING_MUTEX(name, is_got, is_valid)                                                      \
	WATCHED(name, a, PF_WAIT_MUTEX, true, is_got)                                              \
	static PF_HOOK long pf_real_behind_##name(PF_CALL_PARAMS)                                  \
	{                                                                                          \
		const pthread_mutex_t *m = (const pthread_mutex_t *)a;                             \
                                                                                                   \
		if (!pf_mutex_is_held(m)) {                                                        \
			if (!(is_valid) || !may_try_mutex(m))                                      \
				return PF_WAIT_CALL(name);                                         \
			if (try_mutex(m))                                                          \
				return 0; /* thrd_success, too */                                  \
		} else if (own_tid() == 0 && is_passed_on(m)) {                                    \
			return PF_WAIT_CALL(name);                                                 \
		}                                                                                  \
		if ((is_valid) && is_mine_soon(m))                                                 \
			return 0;                                                                  \
		return wait_in_##name(PF_CALL_ARGS);                                               \
	}                                                                                          \
	static PF_HOOK HOT long pf_real_beside_##name(PF_CALL_PARAMS)                              \
	{                                                                                          \
		const pthread_mutex_t *m = (const pthread_mutex_t *)a;                             \
                                                                                                   \
		pf_fetch_to_write(m);                                                              \
		if (pf_mutex_is_held(m) ? pf_mutex_is_contended(m, own_tid())                      \
					: pf_waiter_was_lately(m))                                 \
			return pf_real_behind_##name(PF_CALL_ARGS);                                \
		return PF_WAIT_CALL(name);                                                         \
	}                                                                                          \
	static PF_HOOK HOT long pf_real_after_##name(PF_CALL_PARAMS)                               \
	{                                                                                          \
		if (PF_UNLIKELY(pf_waiter_lately()) ||                                             \
		    PF_UNLIKELY(pf_mutex_is_held((const pthread_mutex_t *)a)))                     \
			return pf_real_beside_##name(PF_CALL_ARGS);                                \
		return PF_WAIT_CALL(name);                                                         \
	}

LOCKING_MUTEX(pthread_mutex_lock, got_mutex(rc), true)
LOCKING_MUTEX(pthread_mutex_timedlock, got_mutex(rc), true)
/* Another clock is refused, however free the lock is. */
LOCKING_MUTEX(
    pthread_mutex_clocklock, got_mutex(rc), (int)b == CLOCK_REALTIME || (int)b == CLOCK_MONOTONIC)
LOCKING_MUTEX(mtx_lock, (int)rc == thrd_success, true)
LOCKING_MUTEX(mtx_timedlock, (int)rc == thrd_success, true)

/* With a time limit: refused if that is none, however free the lock is. */
#define LOCKING_IN_TIME(name, type, may_wait, kind)                                                \
	WATCHED(name, a, kind, true, (int)rc == 0)                                                 \
	static PF_HOOK HOT long pf_real_after_##name(PF_CALL_PARAMS)                               \
	{                                                                                          \
		if (PF_UNLIKELY(may_wait((type *)a)))                                              \
			return wait_in_##name(PF_CALL_ARGS);                                       \
		return PF_WAIT_CALL(name);                                                         \
	}

/* Without: tried where somebody has waited lately, as mutexes are. */
#define LOCKING(name, try, is_mine_soon, type, may_wait, kind)                                     \
	WATCHED(name, a, kind, true, (int)rc == 0)                                                 \
	static PF_HOOK long pf_real_behind_##name(PF_CALL_PARAMS)                                  \
	{                                                                                          \
		if (!may_wait((type *)a)) {                                                        \
			if (!pf_wait_call_may_try)                                                 \
				return PF_WAIT_CALL(name);                                         \
			if ((int)pf_real_##try(PF_CALL_ARGS) == 0)                                 \
				return 0;                                                          \
		}                                                                                  \
		if (is_mine_soon((type *)a))                                                       \
			return 0;                                                                  \
		return wait_in_##name(PF_CALL_ARGS);                                               \
	}                                                                                          \
	static PF_HOOK HOT long pf_real_beside_##name(PF_CALL_PARAMS)                              \
	{                                                                                          \
		pf_fetch_to_write((const void *)a);                                                \
		if (may_wait((type *)a) || pf_waiter_was_lately((const void *)a))                  \
			return pf_real_behind_##name(PF_CALL_ARGS);                                \
		return PF_WAIT_CALL(name);                                                         \
	}                                                                                          \
	static PF_HOOK HOT long pf_real_after_##name(PF_CALL_PARAMS)                               \
	{                                                                                          \
		if (PF_UNLIKELY(pf_waiter_lately()) || PF_UNLIKELY(may_wait((type *)a)))           \
			return pf_real_beside_##name(PF_CALL_ARGS);                                \
		return PF_WAIT_CALL(name);                                                         \
	}

PF_INLINE bool is_never_mine_soon(const void *lock)
{
	return false;
}

static PF_HOOK bool is_spin_mine_soon(const volatile int *lock)
{
	uint64_t began;

	if (!pf_wait_call_may_try || !may_look_on())
		return false;
	began = pf_tick();
	for (int looks = 0; looks < SPIN_LOOKS_MAX && pf_tick_ns(pf_tick() - began) < SPIN_SOON_NS;
	     looks++) {
		pf_waiter_relax();
		if (!pf_spin_is_held(lock) &&
		    (int)pf_real_pthread_spin_trylock((long)lock, 0, 0, 0, 0, 0) == 0) {
			pf_waiter_note_short();
			return true;
		}
	}
	return false;
}

#define READING(name, try)                                                                         \
	LOCKING(name, try, is_never_mine_soon, const pthread_rwlock_t, pf_rwlock_may_stop_reader,  \
	    PF_WAIT_RWLOCK)
#define WRITING(name, try)                                                                         \
	LOCKING(name, try, is_never_mine_soon, const pthread_rwlock_t, pf_rwlock_stops_writer,     \
	    PF_WAIT_RWLOCK)
#define READING_IN_TIME(name)                                                                      \
	LOCKING_IN_TIME(                                                                           \
	    name, const pthread_rwlock_t, pf_rwlock_may_stop_timed_reader, PF_WAIT_RWLOCK)
#define WRITING_IN_TIME(name)                                                                      \
	LOCKING_IN_TIME(name, const pthread_rwlock_t, pf_rwlock_stops_writer, PF_WAIT_RWLOCK)

READING(pthread_rwlock_rdlock, pthread_rwlock_tryrdlock)
READING_IN_TIME(pthread_rwlock_timedrdlock)
READING_IN_TIME(pthread_rwlock_clockrdlock)
WRITING(pthread_rwlock_wrlock, pthread_rwlock_trywrlock)
WRITING_IN_TIME(pthread_rwlock_timedwrlock)
WRITING_IN_TIME(pthread_rwlock_clockwrlock)
LOCKING(pthread_spin_lock, pthread_spin_trylock, is_spin_mine_soon, const volatile int,
    pf_spin_is_held, PF_WAIT_SPIN)

/* ---- releasing it ---- */

static PF_HOOK void release_mutex(const pthread_mutex_t *m)
{
	if (pf_mutex_release_is_awaited(m))
		pf_waiter_charge(m, PF_WAIT_MUTEX);
}

/* Errorcheck and robust mutexes refuse a stranger: then nothing is released. */
static PF_HOOK void release_own_mutex(const pthread_mutex_t *m)
{
	int kind = m->__data.__kind;

	if (((kind & PF_MUTEX_TYPE) == PF_MUTEX_NORMAL_TYPE && !(kind & PF_MUTEX_ROBUST)) ||
	    pf_mutex_is_held_by(m, own_tid()) || own_tid() == 0)
		release_mutex(m);
}

#define UNLOCKING_MUTEX(name)                                                                      \
	static PF_HOOK long pf_real_beside_##name(PF_CALL_PARAMS)                                  \
	{                                                                                          \
		release_own_mutex((const pthread_mutex_t *)a);                                     \
		return PF_WAIT_CALL(name);                                                         \
	}                                                                                          \
	static PF_HOOK HOT long pf_real_after_##name(PF_CALL_PARAMS)                               \
	{                                                                                          \
		if (PF_UNLIKELY(pf_waiter_maybe((const void *)a)))                                 \
			return pf_real_beside_##name(PF_CALL_ARGS);                                \
		return PF_WAIT_CALL(name);                                                         \
	}

UNLOCKING_MUTEX(pthread_mutex_unlock)
UNLOCKING_MUTEX(mtx_unlock)

#define UNLOCKING(name, type, is_awaited, kind)                                                    \
	static PF_HOOK long pf_real_beside_##name(PF_CALL_PARAMS)                                  \
	{                                                                                          \
		if (is_awaited((type *)a))                                                         \
			pf_waiter_charge((const void *)a, kind);                                   \
		return PF_WAIT_CALL(name);                                                         \
	}                                                                                          \
	static PF_HOOK HOT long pf_real_after_##name(PF_CALL_PARAMS)                               \
	{                                                                                          \
		if (PF_UNLIKELY(pf_waiter_maybe((const void *)a)))                                 \
			return pf_real_beside_##name(PF_CALL_ARGS);                                \
		return PF_WAIT_CALL(name);                                                         \
	}

UNLOCKING(pthread_rwlock_unlock, const pthread_rwlock_t, pf_rwlock_is_awaited, PF_WAIT_RWLOCK)
UNLOCKING(pthread_spin_unlock, const void, pf_waiter_maybe, PF_WAIT_SPIN)

/* ---- waiting for something else ---- */

PF_INLINE void note_mutex(const void *m)
{
	if (PF_LIKELY(pf_thread_self))
		__atomic_store_n(&pf_thread_self->waits_mutex, (uintptr_t)m, __ATOMIC_RELAXED);
}

/* A condition's wait releases the mutex and takes it again, inside the C library: that is for the poller to see. */
#define CONDITION(name)                                                                            \
	WATCHED(name, a, PF_WAIT_COND, false, true)                                                \
	static PF_HOOK long pf_real_after_##name(PF_CALL_PARAMS)                                   \
	{                                                                                          \
		if (pf_waiter_maybe((const void *)b))                                              \
			release_own_mutex((const pthread_mutex_t *)b);                             \
		note_mutex((const void *)b);                                                       \
		return wait_in_##name(PF_CALL_ARGS);                                               \
	}

CONDITION(pthread_cond_wait)
CONDITION(pthread_cond_timedwait)
CONDITION(pthread_cond_clockwait)
CONDITION(cnd_wait)
CONDITION(cnd_timedwait)

/* Those of which one look says that they return at once are not watched. */
#define WAITING_IF(name, may_wait, kind)                                                           \
	WATCHED(name, a, kind, false, true)                                                        \
	static PF_HOOK long pf_real_after_##name(PF_CALL_PARAMS)                                   \
	{                                                                                          \
		if (!(may_wait))                                                                   \
			return PF_WAIT_CALL(name);                                                 \
		return wait_in_##name(PF_CALL_ARGS);                                               \
	}

WAITING_IF(sem_wait, !pf_sem_is_free((const void *)a), PF_WAIT_SEM)
WAITING_IF(sem_timedwait, !pf_sem_is_free((const void *)a), PF_WAIT_SEM)
WAITING_IF(sem_clockwait, !pf_sem_is_free((const void *)a), PF_WAIT_SEM)
WAITING_IF(pthread_join, true, PF_WAIT_JOIN)
WAITING_IF(pthread_timedjoin_np, true, PF_WAIT_JOIN)
WAITING_IF(pthread_clockjoin_np, true, PF_WAIT_JOIN)
WAITING_IF(thrd_join, true, PF_WAIT_JOIN)
WAITING_IF(pthread_barrier_wait, true, PF_WAIT_BARRIER)
WAITING_IF(pthread_once, pf_once_is_under_way((const int *)a), PF_WAIT_ONCE)
WAITING_IF(call_once, pf_once_is_under_way((const int *)a), PF_WAIT_ONCE)

/* ---- the tables ---- */

#define ROW(name) {#name, (void *)pf_real_after_##name, &pf_wait_calls[PF_CALL_##name], NULL},

static const struct pf_patch lock_rows[] = {PF_LOCK_CALLS(ROW)};
static const struct pf_patch unlock_rows[] = {PF_UNLOCK_CALLS(ROW)};
static struct pf_patch sync_rows[] = {PF_SYNC_CALLS(ROW)};

static struct pf_patch_set lock_set = {.patches = lock_rows, .count = PF_COUNT(lock_rows)};
static struct pf_patch_set unlock_set = {.patches = unlock_rows, .count = PF_COUNT(unlock_rows)};
static struct pf_patch_set sync_set = {.patches = sync_rows, .count = PF_COUNT(sync_rows)};

static unsigned hooks_on; /* guarded by whoever switches (contention.c) */

static const struct {
	unsigned hooks;
	struct pf_patch_set *set;
} sets[] = {
    /* Who waits is known before anybody is charged. */
    {PF_HOOKS_LOCK, &lock_set},
    {PF_HOOKS_SYNC, &sync_set},
    {PF_HOOKS_UNLOCK, &unlock_set},
    {PF_HOOKS_SLEEP, &pf_wait_sleep_set},
    {PF_HOOKS_IO, &pf_wait_io_set},
};

static void prepare(unsigned hooks)
{
	for (size_t i = 0; i < PF_COUNT(sync_rows); i++)
		if (sync_rows[i].real == &pf_wait_calls[PF_CALL_pthread_cond_wait] ||
		    sync_rows[i].real == &pf_wait_calls[PF_CALL_pthread_cond_timedwait])
			sync_rows[i].version = PF_CONDITION_VERSION;
	pf_wait_call_resolve();
	pf_wait_real_syscall = (void *)pf_filter_after_syscall;
	if (hooks)
		pf_tick_start();
	pf_wait_io_start();
}

static int switch_to(unsigned hooks)
{
	int rc = 0;

	for (size_t i = 0; i < PF_COUNT(sets) && rc == 0; i++) {
		bool now = hooks_on & sets[i].hooks, wanted = hooks & sets[i].hooks;

		if (wanted && !now)
			rc = pf_patch_on(sets[i].set);
		else if (now && !wanted)
			rc = pf_patch_off(sets[i].set);
		if (rc == 0 && sets[i].hooks == PF_HOOKS_SYNC && wanted != now)
			rc = pf_filter_hook_waits(wanted ? (void *)pf_real_after_syscall : NULL);
		if (rc == 0)
			hooks_on = (hooks_on & ~sets[i].hooks) | (hooks & sets[i].hooks);
	}
	return rc;
}

int pf_wait_hook_set(unsigned hooks)
{
	unsigned before = hooks_on;
	int rc;

	prepare(hooks);
	rc = switch_to(hooks);
	if (rc < 0)
		switch_to(before);
	return rc;
}

bool pf_wait_hook_understands_locks(void)
{
	pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	pthread_rwlock_t l = PTHREAD_RWLOCK_INITIALIZER;
	int tid = (int)syscall(SYS_gettid);
	bool right = pf_mutex_word(&m) == 0;

	pthread_mutex_lock(&m);
	right = right && pf_mutex_word(&m) == 1 && pf_mutex_is_held_by(&m, tid);
	pthread_mutex_unlock(&m);
	right = right && pf_mutex_word(&m) == 0 && pf_rwlock_word(&l) == 0;
	pthread_rwlock_rdlock(&l);
	right = right && pf_rwlock_word(&l) == 1u << PF_RWLOCK_READER_SHIFT;
	pthread_rwlock_unlock(&l);
	pthread_rwlock_wrlock(&l);
	right = right && (pf_rwlock_word(&l) & PF_RWLOCK_WRITER);
	pthread_rwlock_unlock(&l);
	return right && !pf_rwlock_stops_writer(&l);
}
