/* Threads: who is alive in the program, and what we remember of each.
 *
 * One slot per thread in a table that never moves. A slot is taken when its thread is created (the
 * hook) or first seen in /proc/self/task (the scan), and given up when the thread ends. While
 * something samples, the slot of a dead thread is kept until the drainer has read every record that
 * names it; so a record need not carry the thread's name.
 *
 *   FREE -> BIRTH (the creator filled it in) -> LIVE -> ENDING -> DEAD (records left) -> FREE
 *           FREE -> LIVE (seen by the scan)                   `-> FREE (nothing samples)
 */
#pragma once
#include "base/mark.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum pf_thread_state {
	PF_THREAD_FREE,
	PF_THREAD_BIRTH,
	PF_THREAD_LIVE,
	PF_THREAD_ENDING,
	PF_THREAD_DEAD,
};

enum { PF_THREAD_NAME = 16 };

struct pf_thread {
	uint32_t state;      /* enum pf_thread_state, atomic */
	uint32_t generation; /* atomic; one more for every thread that had this slot */
	uint32_t number;     /* of the slot; never changes */
	uint32_t next;       /* in its hash chain, or of the free or the dead (registry lock) */
	pid_t tid;           /* written before LIVE */
	char name[PF_THREAD_NAME]; /* any reader; a torn one only looks odd */

	/* Of the hook; fixed from BIRTH on. */
	uint64_t start;      /* the program's start routine; 0: seen by the scan only */
	void *argument;      /* for the start routine */
	uint32_t created_by; /* stack of the pthread_create; 0: not known */
	pid_t creator;
	int64_t born_ns;    /* monotonic: created, or first seen */
	uint32_t labels;    /* label.c, atomic: the thread itself writes */
	uint32_t forbidden; /* base/forbid.h: what it inherits from its creator */
	bool left_alone;    /* atomic: no signal, no hook (filter_hook.h) */
	uintptr_t stack;    /* an address on its stack, written by itself; 0: not known */

	/* Of heap_name.c on this very thread: the name that it met last, and its number. */
	uint64_t met_name[2];
	uint16_t met_number;

	/* Of timer.c. */
	uint32_t timer_state; /* atomic; whoever moves it to BUSY owns `timer` */
	int timer;
	bool timer_refused; /* timer_create failed, counted once */

	/* Of precise.c; outlives the thread, as syscall_fd. */
	int event_fd; /* +1, atomic; 0: none. In the private descriptor table */
	uint32_t event_generation;
	int64_t shuffled_cpu_ns; /* CPU clock up to which it had the period before */

	/* Of arm.c. */
	bool blocks, blocks_known, blocks_counted; /* our signal */
	uint8_t blocks_met;                        /* looks that found so, up to when it counts */
	int64_t blocks_cpu_ns;                     /* its CPU clock when that was found */
	int64_t blocks_looked_ns;                  /* atomic: when it was; 0: not yet */

	/* Of the handler on this very thread (sample.c). */
	uint32_t in_handler;
	uint64_t alternate;     /* where its alternate stack was when last met (shared_stack.h) */
	uint64_t room_page;     /* the page under the handler last found to be stack */
	int64_t sampled_cpu_ns; /* atomic: CPU clock up to which its time is in records */

	/* Of the scan (its lock). */
	int64_t cpu_ns;         /* atomic: CPU clock when last looked at */
	int64_t still_since_ns; /* atomic: when this value was met first */

	/* Of proc.c: the last stack read while asleep; whoever moves `reading` to 1 owns them. */
	uint32_t reading;
	int syscall_fd; /* +1; 0: none. In the private descriptor table */
	uint32_t fd_generation;
	uint32_t read_generation;
	int64_t read_cpu_ns;
	uint32_t read_stack;
	int32_t read_nr;

	/* Of gather.c: the place of the question of the wall clock that it has not answered yet, +1; 0: none. */
	uint32_t owes;

	/* Of ask.c. */
	uint64_t answer;        /* atomic */
	uint32_t answer_labels; /* atomic: of the last answer, or of one after it */
	uint32_t asks;          /* atomic: how many are under way */

	/* Of wait_hook.c: what its last wait for a condition takes again. In what is left of this line. */
	uint64_t waits_mutex; /* atomic; 0: it has waited for none */

	/* Of waiter.c: what it waits for now. Whoever takes `waits_for` out (to 0) settles it. Written twice
	 * for each wait, so in a cache line that no other slot has a part of. */
	uint64_t waits_for __attribute__((aligned(64))); /* atomic: an address; 0: nothing */
	uint64_t waits_since;                            /* ticks (tick.h) */
	uint32_t waits_generation;                       /* of the slot, then */
	uint16_t waits_kind;
	uint32_t waits_queued; /* epoch of waiter.c; 0: nobody is charged */
	/* Sums of all threads that had this slot; the thread itself adds. */
	uint64_t contentions, short_waits, waited_ticks, unblamed_ticks;
};

/* Slots by number, 0 <= number < pf_thread_limit(): those that have had a thread. Who walks them all touches no
 * other's memory. */
struct pf_thread *pf_thread_at(uint32_t number); /* PF_SIGSAFE */
uint32_t pf_thread_limit(void);
/* The living thread of this number, or NULL. Our own threads. */
struct pf_thread *pf_thread_find(pid_t tid);

PF_INLINE bool pf_thread_is_live(const struct pf_thread *thread)
{
	return __atomic_load_n(&thread->state, __ATOMIC_SEQ_CST) == PF_THREAD_LIVE;
}

PF_INLINE uint32_t pf_thread_generation(const struct pf_thread *thread)
{
	return __atomic_load_n(&thread->generation, __ATOMIC_ACQUIRE);
}

/* The caller's own slot, or NULL: it was not created through the hook and has no label. */
extern PF_TLS struct pf_thread *pf_thread_self;

/* For the hook, in the creator: a slot in BIRTH, or NULL (table full: counted). */
struct pf_thread *pf_thread_conceive(uint64_t start, void *argument, uint32_t created_by);
/* The creation failed. */
void pf_thread_discard(struct pf_thread *thread);
/* In the new thread: the slot is its own now. Returns NULL, or the slot that had its number until
 * now (in ENDING): the caller takes its timer away and releases it. */
struct pf_thread *pf_thread_begin(struct pf_thread *thread);

/* The caller's slot, found or made: for threads the hook did not see. NULL: table full. PF_HOOK. */
struct pf_thread *pf_thread_enrol_self(void);

/* LIVE -> ENDING: true for exactly one caller, who then takes its timer away and releases it. */
bool pf_thread_end(struct pf_thread *thread);
void pf_thread_release(struct pf_thread *thread);
/* As release, by the thread itself, which the kernel has for a while yet. */
void pf_thread_leave(struct pf_thread *thread);

/* One look at /proc/self/task, repeated until it shows nobody new: new threads get slots, `gone`
 * is called for each one that has ended unseen (LIVE -> ENDING done; it must release it), names and
 * clocks are brought up to date. Our own threads. 0 or -errno. */
int pf_thread_scan(void (*gone)(struct pf_thread *thread));
/* The same for who does it every second: the directory is read only when the kernel counts other threads
 * than those that are known. One that came past the hook while another went is met the next time. */
int pf_thread_rescan(void (*gone)(struct pf_thread *thread));

/* Notes a reading of its CPU clock, and when it moved last. */
void pf_thread_note_cpu(struct pf_thread *thread, int64_t cpu_ns, int64_t now_ns);

/* The drainer: from now on dead slots are kept until pf_thread_bury(). */
void pf_thread_keep_dead(bool keep);
/* Before it empties the ring: everyone dead by now; after it: free them. */
uint32_t pf_thread_dead(void);
void pf_thread_bury(uint32_t dead);

/* Bit mask of signals a thread blocks, from its status file: 0 or -errno. */
int pf_thread_blocked(pid_t tid, uint64_t *mask);

/* threadcreate_hook.c: every pthread_create and thrd_create goes through us from here on; what is
 * alive already is scanned. Idempotent. Normal code and our own threads. 0 or -errno (the scan still
 * works). */
int pf_thread_start(void);
void pf_thread_stop(void);

/* On the process's first thread (on others it does nothing): its end is noticed, too (last.h). Normal
 * code, and the child after fork. */
void pf_thread_watch_first(void);

/* The thread (NULL: the caller, who has no slot) is left alone from now on, or no more. Who is met later
 * and has a filter is, too. Normal code. */
void pf_thread_set_alone(struct pf_thread *thread, bool alone);
PF_INLINE bool pf_thread_is_alone(const struct pf_thread *thread)
{
	return __atomic_load_n(&thread->left_alone, __ATOMIC_SEQ_CST);
}

/* What tells the caller's end: that instead, NULL: nothing. Returns what it was. Normal code. */
const void *pf_thread_watch_end(const void *watched);

/* In the child after fork: nobody is known. PF_SIGSAFE. */
void pf_thread_fork_child(void);
