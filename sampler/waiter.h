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

/* A wait under way, on the waiter's stack. */
struct pf_wait_turn {
	int64_t start_ns; /* 0: not watched */
	struct pf_thread *thread;
	uint64_t lock;
	enum pf_wait_kind kind;
	uint32_t queued; /* its epoch; 0: it is not */
};

/* Around the real call, in which the guard is not held. With `lock_like` whoever releases `lock` is
 * charged. errno is kept. PF_HOOK. */
void pf_waiter_begin(
    struct pf_wait_turn *turn, const void *lock, enum pf_wait_kind kind, bool lock_like);
/* got: the lock is the caller's now; else it waits no longer for another reason. */
void pf_waiter_end(struct pf_wait_turn *turn, bool got);

/* A wait that is over and was for nobody's lock: `sleep` and `io`. errno is kept. PF_HOOK. */
void pf_waiter_note(int64_t waited_ns, enum pf_wait_kind kind);

/* Right before the real release, by the holder. PF_HOOK. */
void pf_waiter_charge(const void *lock, enum pf_wait_kind kind);

/* May somebody wait for this lock? For locks whose own word does not say. PF_HOOK. */
bool pf_waiter_maybe(const void *lock);

/* Settles what the thread says it waits for: its frame has gone, or it has ended. PF_HOOK. */
void pf_waiter_settle(struct pf_thread *thread);

/* What is recorded: of the mutex profile, and of the block profile by config/block_kinds. */
enum { PF_WATCH_SYNC = 1, PF_WATCH_SLEEP = 2, PF_WATCH_IO = 4, PF_WATCH_MUTEX = 8 };
void pf_waiter_watch(uint32_t what);

/* Brings the counters up to date. */
void pf_waiter_flush(void);

/* In the child after fork: nobody waits. PF_SIGSAFE. */
void pf_waiter_fork_child(void);

/* The personality of hooks in which a thread may be cancelled: when they are unwound, their wait is
 * over. Put PF_WAITER_UNWOUND at the head of the function that holds a struct pf_wait_turn. */
#define PF_WAITER_UNWOUND __asm__ volatile(".cfi_personality 0x1b, pf_waiter_unwound")
