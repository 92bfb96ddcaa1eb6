/* The sampler's life in a test, without an agent: a drainer, and collecting on a thread of the crew
 * as in the real thing. */
#pragma once
#include "base/profile.h"

#include <stdbool.h>
#include <sys/types.h>

/* Once, before the tests. */
void life_start(void);

/* A collection that runs until life_end(), which returns what the collector did. */
struct life {
	struct pf_profile profile; /* the caller finishes it */
	struct pf_query query;
	struct pf_wait wait;
	pf_collect_fn *collect;
	uint32_t over; /* atomic, a futex */
	int rc;
	pid_t tid; /* atomic: of the collector */
};
/* Its window is open when this returns. */
void life_begin(struct life *life, pf_collect_fn *collect, int64_t hz);
int life_end(struct life *life);
/* The same for a moment's collection, begun without waiting for anything. */
void life_go(struct life *life, pf_collect_fn *collect);

/* One that ends by itself: seconds 0 for a moment or the recorder. */
int life_collect(struct life *life, pf_collect_fn *collect, int64_t seconds_ns);

/* ---- looking at what came out ---- */

/* A label's number, or -1; a label's text, or NULL. */
int64_t life_number(const struct pf_profile *p, const struct pf_sample *s, const char *key);
const char *life_text(const struct pf_profile *p, const struct pf_sample *s, const char *key);
/* The sample of this thread, or NULL. */
const struct pf_sample *life_of_thread(const struct pf_profile *p, pid_t tid);
/* Sum of a column over the samples of this thread (0: all threads). */
int64_t life_sum(const struct pf_profile *p, pid_t tid, int column);
/* Does the stack contain an address of [function, function + size)? */
bool life_contains(
    const struct pf_profile *p, const struct pf_sample *s, const void *function, size_t size);
bool life_has_pc(const struct pf_profile *p, const struct pf_sample *s, uint64_t pc);
/* Sum of a column over samples with this marker or address as their leaf. */
int64_t life_at_leaf(const struct pf_profile *p, uint64_t pc, int column);

int64_t life_own_cpu_ns(void);
/* Uses this much CPU time. */
void life_burn(int64_t ns);

/* ---- what comes soon, but not at once ---- */

/* Looks at it again and again, for a minute at the most: has it come true? */
bool life_until(bool (*is_so)(void));
/* The same, and uses CPU time meanwhile. */
bool life_burn_until(bool (*is_so)(void));
/* Does this thread of ours sleep? */
bool life_sleeps(pid_t tid);
/* Waits until it does. *tid is what it has stored (atomic) right before its last step. */
void life_wait_asleep(const pid_t *tid);

/* ---- in a process of its own ---- */

/* What `in_child` returns; -1 when it died. */
int life_apart(int (*in_child)(void));
/* From now on the system call of this number fails with EPERM, as behind a seccomp filter, on this thread
 * and those it creates. */
void life_forbid(int number);
/* The same for every thread there is, ours too. */
void life_forbid_everybody(int number);
