/* Window: what a capture has summed so far, one entry per (thread, stack, state, labels).
 *
 * A thread's time is exact: its samples carry the CPU time since the one before, and what came
 * behind the last one arrives as a rest. Finishing shares the rests out:
 *   - to the thread's own samples, if it has any;
 *   - else to samples of threads with the same start routine, as far as these stand for more time
 *     than their own threads used (a sample stands for a whole period; thousands of short threads
 *     are seen by a few samples), and as much again;
 *   - else it is shown as `[not sampled]`.
 * So totals are true however short the threads are.
 */
#pragma once
#include "sampler/feed.h"

struct pf_profile;

struct pf_window_entry {
	struct pf_record record; /* weight, nominal and count summed */
	int64_t shared_ns;       /* given by pf_window_finish() */
	uint32_t next;           /* in its hash chain, plus one */
};

struct pf_window {
	struct pf_window *next; /* of the feed */
	struct pf_window_entry *entries;
	size_t count, capacity;
	uint32_t *buckets; /* a power of two of them */
	size_t bucket_count;
	int64_t since_ns, until_ns; /* of records that span time; 0: always, for ever */
	int error;                  /* 0 or the first -errno */
};

void pf_window_init(struct pf_window *window);
void pf_window_clear(struct pf_window *window); /* frees */

void pf_window_add(struct pf_window *window, const struct pf_record *record);

/* Shares out the rests. Once, when nothing more comes. */
void pf_window_finish(struct pf_window *window);

/* Adds the samples with values {count, ns} and labels thread, tid, state, syscall and the
 * program's own. Returns 0 or the window's -errno. */
int pf_window_fill(const struct pf_window *window, struct pf_profile *profile);
