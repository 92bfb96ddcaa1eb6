/* Lull: ticks of the wall clock in which nobody ran, told as one.
 *
 *   a tick at which everybody slept --a record a thread--> lull --a record a thread, all their time--> feed
 *               the quiet ticks after it --time alone--------^
 *
 * So a quiet tick costs the same however many threads there are, and the recorder keeps one record where
 * it would keep twenty. A thread that ends behind a lull was asleep in it: its record is here.
 *
 * The drainer's alone.
 */
#pragma once
#include "sampler/feed.h"

struct pf_lull {
	struct pf_record *records; /* what the last full tick saw, each thread once */
	size_t count, capacity;
	bool incomplete; /* somebody ran, or there was no memory */
	int64_t span_ns; /* of the quiet ticks that nobody has been told of yet */
	int64_t until_ns;
	uint32_t ticks;
};

/* A full tick begins: forgets what the one before saw. */
void pf_lull_begin(struct pf_lull *lull);
/* It met this thread asleep; or running, and then there can be no lull. */
void pf_lull_add(struct pf_lull *lull, const struct pf_record *record);
void pf_lull_spoil(struct pf_lull *lull);
/* Everybody was met asleep. */
bool pf_lull_is_possible(const struct pf_lull *lull);

/* A quiet tick at `now_ns`, `span_ns` behind the last tick. */
void pf_lull_tick(struct pf_lull *lull, int64_t now_ns, int64_t span_ns);
/* Its ticks so far, to the feed. */
void pf_lull_tell(struct pf_lull *lull, struct pf_feed *feed);

void pf_lull_finish(struct pf_lull *lull); /* frees, zeroes */
