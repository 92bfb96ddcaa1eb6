/* Waiters: who waits for which lock, and how long they have waited since somebody was last blamed.
 *
 * For every lock that threads wait for there is one entry with a number n of waiters and a sum S of
 * the moments from which each of them is still to be charged. A release at t is charged n * t - S,
 * the waiting of all of them, and sets S to n * t, so nothing is counted twice (as Go since 1.22
 * does). What a waiter still has uncharged when it gets the lock goes to the last one charged: that
 * is the time it took to wake up, or the holding of those who took the lock in between.
 *
 * Besides, each thread says in its slot (thread.h) what it waits for, for whoever asks. Frames of
 * ours may vanish (cancellation, longjmp out of a handler), so nothing here points into a stack.
 */
#pragma once
#include "base/mark.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pf_thread;

/* What a thread waits in: the label `kind`. */
#define PF_WAIT_KINDS(X)                                                                           \
	X(MUTEX, "mutex")                                                                          \
	X(RWLOCK, "rwlock")                                                                        \
	X(SPIN, "spin")                                                                            \
	X(FUTEX, "futex")                                                                          \
	X(COND, "cond")                                                                            \
	X(SEM, "sem")                                                                              \
	X(JOIN, "join")                                                                            \
	X(BARRIER, "barrier")                                                                      \
	X(ONCE, "once")                                                                            \
	X(SLEEP, "sleep")                                                                          \
	X(IO, "io")

enum pf_wait_kind {
#define X(id, name) PF_WAIT_##id,
	PF_WAIT_KINDS(X)
#undef X
	    PF_WAIT_KIND_COUNT
};

const char *pf_wait_kind_name(enum pf_wait_kind kind);

/* In the number of a futex, whose address is a multiple of four: how it is let go of (wait_futex_hook.c). */
enum { PF_WAITER_GATE = 1, PF_WAITER_FUTEX = 3 };

/* A wait under way, on the waiter's stack. */
struct pf_wait_turn {
	uint64_t start; /* ticks; 0: not watched */
	struct pf_thread *thread;
	uint64_t lock;
	enum pf_wait_kind kind;
	uint32_t queued; /* its epoch; 0: it is not */
	bool has_stack;  /* taken ahead: */
	uint32_t stack;
};

/* Around the real call, in which the guard is not held. With `lock_like` whoever releases `lock` is
 * charged. errno is kept. PF_HOOK. */
void pf_waiter_begin(
    struct pf_wait_turn *turn, const void *lock, enum pf_wait_kind kind, bool lock_like);
enum pf_wait_outcome {
	PF_WAIT_GAVE_UP, /* it waits no longer, for another reason than that: */
	PF_WAIT_GOT,     /* the lock is the caller's now */
	PF_WAIT_CHANGED, /* the lock's word was another one already: perhaps there was nothing to wait for */
};
void pf_waiter_end(struct pf_wait_turn *turn, enum pf_wait_outcome outcome);

/* A wait that is over and was for nobody's lock: `sleep` and `io`. errno is kept. PF_HOOK. */
void pf_waiter_note(int64_t waited_ns, enum pf_wait_kind kind);

/* Is a wait for a lock recorded at all? Not in a child of fork. PF_HOOK. */
bool pf_waiter_is_watching(void);

/* A lock that came free before the caller was entered as one that waits for it. PF_HOOK. */
void pf_waiter_note_short(void);

/* Right before the real release, by the holder. PF_HOOK. */
void pf_waiter_charge(const void *lock, enum pf_wait_kind kind);

/* What stands at `at`, in memory that whoever waits for `lock` borrows: none of them leaves before it is
 * read. False: nobody waits. PF_HOOK. */
bool pf_waiter_look(const void *lock, const uint32_t *at, uint32_t *value);

/* ---- the table, laid open for pf_waiter_maybe() ---- */

#ifdef PF_SMALL
enum { PF_WAITER_SHARD_BITS = 2, PF_WAITER_ENTRIES = 2 };
#else
enum { PF_WAITER_SHARD_BITS = 8, PF_WAITER_ENTRIES = 10 };
#endif
enum { PF_WAITER_SHARDS = 1 << PF_WAITER_SHARD_BITS };

struct pf_wait_site;

/* A lock that is waited for. All times are ticks (tick.h). Guarded by its shard. */
struct pf_waiter_entry {
	uint64_t lock; /* 0: free */
	uint64_t sum;  /* S: of max(start, last) of each waiter; modulo 2^64 */
	uint64_t last; /* when it was charged last; 0: never */
	uint64_t debt; /* of waiters that gave up: the next to release is charged with it */
	struct pf_wait_site *site; /* of the last charge */
	uint32_t scale;            /* what it stands for; 0: it was not sampled */
	uint32_t n;
};

/* The word, and the first entry, which is mostly the only one, share a cache line: in a fight it goes to
 * and fro between the processors three times for each turn. */
struct pf_waiter_shard {
	uint32_t word;       /* atomic: 2 * generation + 1 while held */
	uint32_t generation; /* atomic: not that of the process: to be emptied */
	uint32_t epoch;      /* how often it was emptied */
	uint16_t waiting;    /* atomic: entries in use */
	uint16_t lately; /* atomic: for so many calls of pf_waiter_cool() somebody waits lately */
	struct pf_waiter_entry entries[PF_WAITER_ENTRIES];
} __attribute__((aligned(64)));
_Static_assert(offsetof(struct pf_waiter_shard, entries[1]) == 64,
    "the first entry is on the line of the word");

extern PF_HIDDEN struct pf_waiter_shard pf_waiter_shards[PF_WAITER_SHARDS];

/* By the highest bits of a product with 2^32 divided by the golden ratio (Knuth, 6.4). The kinds of one word
 * (the lowest bits) are in one shard. */
PF_INLINE struct pf_waiter_shard *pf_waiter_shard_of(uint64_t lock)
{
	return &pf_waiter_shards[(uint32_t)(lock >> 3) * 0x9e3779b1u >>
				 (32 - PF_WAITER_SHARD_BITS)];
}

/* May somebody wait for this lock? One load, of memory that nobody writes while nobody waits: the lock's
 * own word has just been written by an atomic operation, and to read it takes until that is done. */
PF_INLINE bool pf_waiter_maybe(const void *lock)
{
	return __atomic_load_n(&pf_waiter_shard_of((uintptr_t)lock)->waiting, __ATOMIC_RELAXED);
}

/* Has anybody waited for any lock lately? For this one? */
extern PF_HIDDEN uint32_t pf_waiter_any_lately; /* atomic */

PF_INLINE uint32_t pf_waiter_lately(void)
{
	return __atomic_load_n(&pf_waiter_any_lately, __ATOMIC_RELAXED);
}

PF_INLINE bool pf_waiter_was_lately(const void *lock)
{
	return __atomic_load_n(&pf_waiter_shard_of((uintptr_t)lock)->lately, __ATOMIC_RELAXED);
}

/* To be called each second: what was lately is long ago. Normal code. */
void pf_waiter_cool(void);

/* Between two looks at what another processor is about to write. */
PF_INLINE void pf_waiter_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#else
	__asm__ volatile("yield");
#endif
}

/* Settles what the thread says it waits for: its frame has gone, or it has ended. PF_HOOK. */
void pf_waiter_settle(struct pf_thread *thread);

/* What is recorded: of the mutex profile, and of the block profile by config/block_kinds. */
enum { PF_WATCH_SYNC = 1, PF_WATCH_SLEEP = 2, PF_WATCH_IO = 4, PF_WATCH_MUTEX = 8 };
void pf_waiter_watch(uint32_t what);

/* Brings the counters up to date. Any thread of ours, several at once. */
void pf_waiter_flush(void);

/* In the child after fork: nobody waits. PF_SIGSAFE. */
void pf_waiter_fork_child(void);

/* The personality of hooks in which a thread may be cancelled: when they are unwound, their wait is
 * over. Put PF_WAITER_UNWOUND at the head of the function that holds a struct pf_wait_turn. */
#define PF_WAITER_UNWOUND __asm__ volatile(".cfi_personality 0x1b, pf_waiter_unwound")
