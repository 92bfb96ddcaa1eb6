#include "sampler/wait_hook.h"
#include "base/mark.h"
#include "sampler/filter_hook.h"
#include "sampler/lock_word.h"
#include "sampler/patch.h"
#include "sampler/thread.h"
#include "sampler/tick.h"
#include "sampler/unwind_memory.h"
#include "sampler/wait_call.h"
#include "sampler/waiter.h"

#include <errno.h>
#include <linux/futex.h>
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

PF_INLINE int own_tid(void)
{
	return pf_thread_self ? pf_thread_self->tid : 0;
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
 * come in between unseen: the lock is taken by the very look that finds it free. */
enum { SOON_NS = 250, LOOKS_MAX = 100 /* should the clock stand still */ };

static PF_HOOK bool is_mine_soon(const pthread_mutex_t *m)
{
	uint64_t began;

	/* A clock that is a system call takes longer than this, and may be forbidden. */
	if (!pf_wait_call_may_try || !pf_tick_raw || !pf_mutex_is_plain(m) ||
	    pf_is_forbidden(PF_FORBIDDEN_HOST | PF_FORBIDDEN_CLOCK))
		return false;
	began = pf_tick();
	for (int looks = 0; looks < LOOKS_MAX && pf_tick_ns(pf_tick() - began) < SOON_NS; looks++) {
		pf_waiter_relax();
		if (!pf_mutex_is_held(m) &&
		    (int)pf_real_pthread_mutex_trylock((long)m, 0, 0, 0, 0, 0) == 0) {
			pf_waiter_note_short();
			return true;
		}
	}
	return false;
}

#define LOCKING_MUTEX(name, is_got, is_valid)                                                      \
	WATCHED(name, a, PF_WAIT_MUTEX, true, is_got)                                              \
	static PF_HOOK long pf_real_beside_##name(PF_CALL_PARAMS)                                  \
	{                                                                                          \
		if (!pf_mutex_is_contended((const pthread_mutex_t *)a, own_tid()))                 \
			return PF_WAIT_CALL(name);                                                 \
		if ((is_valid) && is_mine_soon((const pthread_mutex_t *)a))                        \
			return 0; /* thrd_success, too */                                          \
		return wait_in_##name(PF_CALL_ARGS);                                               \
	}                                                                                          \
	static PF_HOOK HOT long pf_real_after_##name(PF_CALL_PARAMS)                               \
	{                                                                                          \
		if (PF_UNLIKELY(pf_mutex_is_held((const pthread_mutex_t *)a)))                     \
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

#define LOCKING(name, type, may_wait, kind)                                                        \
	WATCHED(name, a, kind, true, (int)rc == 0)                                                 \
	static PF_HOOK HOT long pf_real_after_##name(PF_CALL_PARAMS)                               \
	{                                                                                          \
		if (PF_UNLIKELY(may_wait((type *)a)))                                              \
			return wait_in_##name(PF_CALL_ARGS);                                       \
		return PF_WAIT_CALL(name);                                                         \
	}

#define READING(name)                                                                              \
	LOCKING(name, const pthread_rwlock_t, pf_rwlock_may_stop_reader, PF_WAIT_RWLOCK)
#define WRITING(name) LOCKING(name, const pthread_rwlock_t, pf_rwlock_stops_writer, PF_WAIT_RWLOCK)

READING(pthread_rwlock_rdlock)
READING(pthread_rwlock_timedrdlock)
READING(pthread_rwlock_clockrdlock)
WRITING(pthread_rwlock_wrlock)
WRITING(pthread_rwlock_timedwrlock)
WRITING(pthread_rwlock_clockwrlock)
LOCKING(pthread_spin_lock, const volatile int, pf_spin_is_held, PF_WAIT_SPIN)

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

/* A condition's wait releases the mutex, inside the C library. */
#define CONDITION(name)                                                                            \
	WATCHED(name, a, PF_WAIT_COND, false, true)                                                \
	static PF_HOOK long pf_real_after_##name(PF_CALL_PARAMS)                                   \
	{                                                                                          \
		if (pf_waiter_maybe((const void *)b))                                              \
			release_own_mutex((const pthread_mutex_t *)b);                             \
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

/* ---- syscall(SYS_futex, ...): Rust's locks, C++20's waits ---- */

/* Three-state locks (free, held, held and waited for: Drepper; Rust's Mutex) wait for a 2 to go. Rust's
 * RwLock is two words:
 *
 *   state   bit 31 writers wait, bit 30 readers wait, below them how often it is held, all ones by a writer
 *   wakes   how often a writer was woken
 *
 * Readers wait for the first to change, writers for the second. Whoever wakes any of these has released a
 * lock. All others wait for something to happen, and whoever wakes them has done no harm: a std::future
 * waits for a word that is its top bit and nothing else, a condition for a number that follows no state.
 *
 * A 2 is not always a lock: a latch of two waits for it, too. But a lock of that kind wakes one, and
 * who lets all go at once has opened a gate. So each kind has numbers of its own. And a state that both
 * wait for is -1, which many a number begins as, and which stands for a parked thread; and one that is free
 * until a writer wakes up, a future's: they are taken for states only where a clearer one was seen before. */
enum { WRITERS_WAIT = 1u << 31, HELD = (1u << 30) - 1, READERS_MAX = 1 << 16 };
enum { WORD = sizeof(uint32_t), STATES = 256, PAGE_BYTES = 4096 /* or more */ };

static uint64_t states[STATES]; /* atomic: the last one seen, by address */

static PF_HOOK uint64_t *place_of(long state)
{
	return &states[((uint64_t)state >> 2) * 0x9e3779b97f4a7c15ull >> 56];
}

/* Known as one, or known from now on? */
static PF_HOOK bool is_state(long at, uint32_t value)
{
	uint32_t held = value & HELD;

	if (value >> 30 == 0)
		return false;
	if (value == UINT32_MAX || held == 0 || (held != HELD && held > READERS_MAX))
		return __atomic_load_n(place_of(at), __ATOMIC_RELAXED) == (uint64_t)at;
	__atomic_store_n(place_of(at), (uint64_t)at, __ATOMIC_RELAXED);
	return true;
}

/* Is there a word before it, in the same page, which can be read: 90 ns. */
static PF_HOOK bool has_before(long futex)
{
	return (futex & (PAGE_BYTES - 1)) >= WORD && pf_unwind_memory_probe((uint64_t)futex - WORD);
}

PF_INLINE const void *lock_of(long futex, int kind)
{
	return (const void *)(futex | kind);
}

/* Who waits borrows the lock: it stays. */
static PF_HOOK bool waits_to_write(long futex)
{
	uint32_t state;

	if (!has_before(futex))
		return false;
	state = __atomic_load_n((const uint32_t *)futex - 1, __ATOMIC_RELAXED);
	return (state & WRITERS_WAIT) && is_state(futex - WORD, state);
}

/* Whoever wakes a writer has said in the state that none waits any more. Who wakes has let the lock go,
 * and its memory may be gone, but for a writer that waits. */
static PF_HOOK bool wakes_writer(long futex)
{
	uint32_t state;

	return has_before(futex) &&
	       pf_waiter_look(
		   lock_of(futex, PF_WAITER_WRITER), (const uint32_t *)futex - 1, &state) &&
	       !(state & WRITERS_WAIT);
}

/* Named in the assembler text below: syscall(number, six arguments), which lie in `args`. */
PF_HIDDEN long pf_wait_futex(const long args[7]);

static PF_HOOK long wait_in_futex(const long args[7], int kind, bool lock_like)
{
	struct pf_wait_turn turn;
	long rc;

	pf_waiter_begin(&turn, lock_of(args[1], kind), PF_WAIT_FUTEX, lock_like);
	rc = pf_real_syscall_of(args);
	pf_waiter_end(&turn, rc == 0);
	return rc;
}

static PF_HOOK long wait_for_word(const long args[7], uint32_t value)
{
	if (value == 2)
		return wait_in_futex(args, 0, true);
	if (is_state(args[1], value))
		return wait_in_futex(args, PF_WAITER_GATE, true);
	if (waits_to_write(args[1]))
		return wait_in_futex(args, PF_WAITER_WRITER, true);
	return wait_in_futex(args, 0, false);
}

static PF_HOOK void wake(long futex, uint32_t count)
{
	if (!pf_waiter_maybe(lock_of(futex, 0)))
		return;
	if (count == 1) {
		pf_waiter_charge(lock_of(futex, 0), PF_WAIT_FUTEX);
		if (wakes_writer(futex))
			pf_waiter_charge(lock_of(futex, PF_WAITER_WRITER), PF_WAIT_FUTEX);
	}
	pf_waiter_charge(lock_of(futex, PF_WAITER_GATE), PF_WAIT_FUTEX);
}

__attribute__((used)) PF_HOOK long pf_wait_futex(const long args[7])
{
	uint32_t value = (uint32_t)args[3];

	switch (args[2] & FUTEX_CMD_MASK) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
		return wait_for_word(args, value);
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2:
	case FUTEX_WAIT_REQUEUE_PI:
		return wait_in_futex(args, 0, true);
	case FUTEX_WAKE:
	case FUTEX_WAKE_BITSET:
		wake(args[1], value);
		break;
	case FUTEX_UNLOCK_PI:
		if (pf_waiter_maybe(lock_of(args[1], 0)))
			pf_waiter_charge(lock_of(args[1], 0), PF_WAIT_FUTEX);
		break;
	default:
		break;
	}
	return pf_real_syscall_of(args);
}

/* A function of C may not be variadic and pass on what it does not know; and what looks like the
 * seventh argument may be the caller's own variable, which is read here, as libc does, and never
 * written. Any other system call goes on as it came. */
PF_HIDDEN void *pf_wait_real_syscall;

#if defined(__x86_64__)
__asm__(".pushsection pf_hook, \"ax\", @progbits\n"
	".p2align 6\n"
	".globl pf_real_after_syscall\n"
	".hidden pf_real_after_syscall\n"
	".type pf_real_after_syscall, @function\n"
	"pf_real_after_syscall:\n"
	".cfi_startproc\n"
	"cmpq $202, %rdi\n" /* SYS_futex */
	"je 1f\n"
	"jmp *pf_wait_real_syscall(%rip)\n"
	"1:\n"
	"pushq 8(%rsp)\n.cfi_adjust_cfa_offset 8\n"
	"pushq %r9\n.cfi_adjust_cfa_offset 8\n"
	"pushq %r8\n.cfi_adjust_cfa_offset 8\n"
	"pushq %rcx\n.cfi_adjust_cfa_offset 8\n"
	"pushq %rdx\n.cfi_adjust_cfa_offset 8\n"
	"pushq %rsi\n.cfi_adjust_cfa_offset 8\n"
	"pushq %rdi\n.cfi_adjust_cfa_offset 8\n"
	"movq %rsp, %rdi\n"
	"call pf_wait_futex\n"
	"addq $56, %rsp\n.cfi_adjust_cfa_offset -56\n"
	"ret\n"
	".cfi_endproc\n"
	".size pf_real_after_syscall, .-pf_real_after_syscall\n"
	".popsection\n");
_Static_assert(SYS_futex == 202, "the number above");
#elif defined(__aarch64__)
__asm__(".pushsection pf_hook, \"ax\", @progbits\n"
	".p2align 6\n"
	".globl pf_real_after_syscall\n"
	".hidden pf_real_after_syscall\n"
	".type pf_real_after_syscall, @function\n"
	"pf_real_after_syscall:\n"
	".cfi_startproc\n"
	"cmp x0, #98\n" /* SYS_futex */
	"b.eq 1f\n"
	"adrp x16, pf_wait_real_syscall\n"
	"ldr x16, [x16, #:lo12:pf_wait_real_syscall]\n"
	"br x16\n"
	"1:\n"
	"stp x29, x30, [sp, #-80]!\n.cfi_adjust_cfa_offset 80\n"
	".cfi_rel_offset x29, 0\n.cfi_rel_offset x30, 8\n"
	"stp x0, x1, [sp, #16]\n"
	"stp x2, x3, [sp, #32]\n"
	"stp x4, x5, [sp, #48]\n"
	"str x6, [sp, #64]\n"
	"add x0, sp, #16\n"
	"bl pf_wait_futex\n"
	"ldp x29, x30, [sp], #80\n.cfi_adjust_cfa_offset -80\n"
	".cfi_restore x29\n.cfi_restore x30\n"
	"ret\n"
	".cfi_endproc\n"
	".size pf_real_after_syscall, .-pf_real_after_syscall\n"
	".popsection\n");
_Static_assert(SYS_futex == 98, "the number above");
#endif

void *pf_wait_real_syscall;

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
