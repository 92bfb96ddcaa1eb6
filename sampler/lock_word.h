/* Lock words: what glibc keeps in its locks, read without touching them. (glibc 2.25 to 2.41: struct
 * __pthread_mutex_s and struct __pthread_rwlock_arch_t are part of its ABI.)
 *
 *   mutex    word 0 free, 1 held, 2 held and waited for. PI and robust ones: the holder's thread id,
 *            and the top bit when waited for. PRIO_PROTECT: the ceiling, shifted, and 0, 1 or 2.
 *   rwlock   readers << 3 | somebody waits to read | a writer | in the writers' turn
 *
 * What they say may have changed a moment later: hooks decide by it only whether to look closer.
 */
#pragma once
#include "base/mark.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	PF_MUTEX_TYPE = 3, /* of __kind: normal, recursive, errorcheck, adaptive */
	PF_MUTEX_NORMAL_TYPE = 0,
	PF_MUTEX_RECURSIVE = 1,
	PF_MUTEX_ERRORCHECK = 2,
	PF_MUTEX_ROBUST = 0x10,
	PF_MUTEX_PI = 0x20,
	PF_MUTEX_PROTECT = 0x40,
	PF_MUTEX_CEILING_SHIFT = 19,
	PF_RWLOCK_WRITE_PHASE = 1,
	PF_RWLOCK_WRITER = 2,
	PF_RWLOCK_READER_WAITS = 4,
	PF_RWLOCK_READER_SHIFT = 3,
	PF_RWLOCK_SLEPT_FOR = 2, /* in the words that are slept by */
};

PF_INLINE uint32_t pf_mutex_word(const pthread_mutex_t *m)
{
	return (uint32_t)__atomic_load_n(&m->__data.__lock, __ATOMIC_RELAXED);
}

/* Is it held? The word would say so, too, but it has mostly just been written by an atomic operation, and
 * a load of it waits until that is done (1.7 ns); the holder is written by a plain store (0.1 ns). */
PF_INLINE bool pf_mutex_is_held(const pthread_mutex_t *m)
{
	return __atomic_load_n(&m->__data.__owner, __ATOMIC_RELAXED) != 0;
}

PF_INLINE bool pf_mutex_is_held_by(const pthread_mutex_t *m, int tid)
{
	return __atomic_load_n(&m->__data.__owner, __ATOMIC_RELAXED) == tid;
}

/* Will unlocking by the holder let go of it, and does somebody wait? Only for words above 1. */
PF_INLINE bool pf_mutex_release_is_awaited(const pthread_mutex_t *m)
{
	uint32_t word = pf_mutex_word(m);
	int kind = m->__data.__kind;

	if ((kind & PF_MUTEX_TYPE) == PF_MUTEX_RECURSIVE && m->__data.__count > 1)
		return false;
	if (kind & (PF_MUTEX_ROBUST | PF_MUTEX_PI))
		return word & FUTEX_WAITERS;
	if (kind & PF_MUTEX_PROTECT)
		return (word & ((1u << PF_MUTEX_CEILING_SHIFT) - 1)) > 1;
	return word > 1;
}

/* Held by somebody else? Only for those that are held. */
PF_INLINE bool pf_mutex_is_contended(const pthread_mutex_t *m, int tid)
{
	int kind = m->__data.__kind;

	if (kind & PF_MUTEX_PROTECT)
		return pf_mutex_word(m) & ((1u << PF_MUTEX_CEILING_SHIFT) - 1);
	if ((kind & PF_MUTEX_TYPE) == PF_MUTEX_RECURSIVE ||
	    (kind & PF_MUTEX_TYPE) == PF_MUTEX_ERRORCHECK)
		return !pf_mutex_is_held_by(m, tid); /* else: once more, or EDEADLK */
	return true;
}

/* Is taking it nothing but taking it: no heir, no priority, no error that a second call would hide? */
PF_INLINE bool pf_mutex_is_plain(const pthread_mutex_t *m)
{
	return !(m->__data.__kind & (PF_MUTEX_ROBUST | PF_MUTEX_PI | PF_MUTEX_PROTECT));
}

PF_INLINE uint32_t pf_rwlock_word(const pthread_rwlock_t *l)
{
	return __atomic_load_n(&l->__data.__readers, __ATOMIC_RELAXED);
}

/* Is there a writer? Then a reader may have to wait. */
PF_INLINE bool pf_rwlock_may_stop_reader(const pthread_rwlock_t *l)
{
	return __atomic_load_n(&l->__data.__cur_writer, __ATOMIC_RELAXED) != 0;
}

/* Of the kind that prefers writers one who waits stops readers, too, where readers have it. */
PF_INLINE bool pf_rwlock_may_stop_timed_reader(const pthread_rwlock_t *l)
{
	uint32_t word = pf_rwlock_word(l);

	return pf_rwlock_may_stop_reader(l) ||
	       (l->__data.__flags == PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP &&
		   (word & (PF_RWLOCK_WRITE_PHASE | PF_RWLOCK_WRITER)) == PF_RWLOCK_WRITER &&
		   word >> PF_RWLOCK_READER_SHIFT);
}

PF_INLINE bool pf_rwlock_stops_writer(const pthread_rwlock_t *l)
{
	return pf_rwlock_word(l) > PF_RWLOCK_WRITE_PHASE;
}

/* Readers that wait for a writer are counted among the readers. Writers that wait are counted where writers are
 * preferred; of the other kinds, the default one among them, only the word that they sleep by tells. (It may tell
 * of those who have left, too.) The first of them is the writer already and waits for the readers to leave. */
PF_INLINE bool pf_rwlock_is_awaited(const pthread_rwlock_t *l)
{
	uint32_t word = pf_rwlock_word(l);

	if (__atomic_load_n(&l->__data.__writers, __ATOMIC_RELAXED) != 0 ||
	    __atomic_load_n(&l->__data.__writers_futex, __ATOMIC_RELAXED) & PF_RWLOCK_SLEPT_FOR)
		return true;
	if (word & PF_RWLOCK_WRITE_PHASE)
		return word >> PF_RWLOCK_READER_SHIFT;
	return word & PF_RWLOCK_WRITER;
}

/* glibc counts down from 1 on x86 and up from 0 elsewhere. */
PF_INLINE bool pf_spin_is_held(const volatile int *lock)
{
#if defined(__x86_64__)
	return *lock <= 0;
#else
	return *lock != 0;
#endif
}

/* A semaphore's value: the low half of its first word. */
PF_INLINE bool pf_sem_is_free(const void *sem)
{
	return (uint32_t)__atomic_load_n((const uint64_t *)sem, __ATOMIC_RELAXED) != 0;
}

/* Somebody is inside: pthread_once waits. In this process, that is: what a fork cut short begins
 * anew, and then it is the caller who is inside. */
PF_INLINE bool pf_once_is_under_way(const int *control)
{
	return (__atomic_load_n(control, __ATOMIC_RELAXED) & 3) == 1;
}
