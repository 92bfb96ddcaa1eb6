/* Capture: a profile that takes time, as an object with a name of its own.
 *
 *     cat cpu-5s.pprof ---\
 *     cat cpu-5s.txt   ----> capture {cpu, 5 s} --done--> profile --drawn per view--> snapshots
 *     (gone: Ctrl-C)   ---/        \--kept--> captures/cpu-20261121T024500.pprof
 *
 * Whoever asks for the same thing joins the same capture. It outlives its last reader by a second
 * (a reader that repeats an interrupted open would never finish otherwise) and its result is used
 * again for two (go tool pprof opens every file twice). One thread of ours per running capture,
 * none per waiting reader.
 *
 * Any thread of ours; the lock inside has rank PF_LOCK_WINDOW.
 */
#pragma once
#include "base/query.h"
#include "fs/table.h"

#include <stdbool.h>
#include <stdint.h>

struct pf_capture;
struct pf_captures;
struct pf_live;

struct pf_capture_key {
	enum pf_source source;
	int64_t seconds_ns;
	int64_t hz; /* 0: as the knob says */
	bool gc;    /* give free memory back first */
};

/* A place in the queue; memory is the waiter's. ready() is called once, by the capture's thread,
 * with no lock held: `capture` is held for the callee, or NULL and rc says why. */
struct pf_capture_waiter {
	void (*ready)(struct pf_capture_waiter *waiter, struct pf_capture *capture, int rc);
	struct pf_capture_waiter *next; /* guarded by the captures' lock, as all below */
	struct pf_capture *capture;     /* what is waited for, or NULL */
	uint32_t readers;               /* who wait in this place, for `status` */
};

struct pf_captures *pf_captures_create(struct pf_live *live); /* NULL: no memory */
/* After pf_captures_stop(). NULL is fine. */
void pf_captures_destroy(struct pf_captures *all);
/* Cancels what runs and waits until its threads have ended, or deadline_ns (monotonic): 0 or
 * -ETIMEDOUT, and then nothing may be freed. Nothing starts any more. */
int pf_captures_stop(struct pf_captures *all, int64_t deadline_ns);

/* The capture of this name, started if need be. 0: finished, *out is held. 1: wait for ready().
 * -EBUSY another one of this source runs; -EAGAIN no thread; -ENOMEM. */
int pf_capture_join(struct pf_captures *all, const struct pf_capture_key *key,
    struct pf_capture_waiter *waiter, struct pf_capture **out);
/* Something was switched or set: who asks for a name now wants it as it is from now on, and gets no
 * result of before. What runs is joined all the same. */
void pf_captures_outdate(struct pf_captures *all);
/* What there is of a source: 1 waits for the one that runs, 0 the last finished one (held),
 * -ENODATA there is none. */
int pf_capture_join_any(struct pf_captures *all, enum pf_source source,
    struct pf_capture_waiter *waiter, struct pf_capture **out);
/* The last finished one of a source, held; or NULL. */
struct pf_capture *pf_capture_latest(struct pf_captures *all, enum pf_source source);
/* One reader more or less in this place. */
void pf_capture_count(struct pf_captures *all, struct pf_capture_waiter *waiter, int change);
/* Wait no longer: true, and ready() will not be called; false: it has been, or is being. */
bool pf_capture_leave(struct pf_captures *all, struct pf_capture_waiter *waiter);

/* As `echo N > cpu/seconds`: nobody need wait for it. 0, -EBUSY, -EAGAIN, -ENOMEM. */
int pf_capture_begin(struct pf_captures *all, const struct pf_capture_key *key);
/* End what runs of a source now and keep what it has; false: nothing runs. */
bool pf_capture_end(struct pf_captures *all, enum pf_source source);

void pf_capture_drop(struct pf_captures *all, struct pf_capture *capture);
/* Of a finished one, never changed; valid while held. */
const struct pf_profile *pf_capture_profile(const struct pf_capture *capture);

/* A drawing of it that somebody made already, held; or NULL. `which` tells drawings apart. */
struct pf_snapshot *pf_capture_drawn(
    struct pf_captures *all, struct pf_capture *capture, uint64_t which);
void pf_capture_add_drawn(struct pf_captures *all, struct pf_capture *capture, uint64_t which,
    struct pf_snapshot *snapshot);

/* The keeper's round: ends abandoned captures, forgets old results. When to come again
 * (monotonic), or -1 for never. */
int64_t pf_captures_tick(struct pf_captures *all, int64_t now_ns);
/* Called whenever tick() may have become due earlier; it may only wake somebody. */
void pf_captures_on_change(struct pf_captures *all, void (*changed)(void *to), void *to);

/* For cpu/status and status: rows "cpu running 1.2 of 5.0 s, 2 readers". source -1: all. */
void pf_captures_describe(struct pf_captures *all, struct pf_buf *out, int source);
/* How many were started so far. */
uint64_t pf_captures_started(struct pf_captures *all);

/* Its file is gone: cpu.pprof shows it no longer. */
void pf_capture_forget(struct pf_captures *all, uint64_t number);

struct pf_kept;
struct pf_kept *pf_captures_kept(struct pf_captures *all);
