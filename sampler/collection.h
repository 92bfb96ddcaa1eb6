/* Collection: a window of samples, or what the recorder kept, as a profile. The same for CPU time and
 * for wall clock time.
 *
 *   seconds asked for    demand --> window at the feed --> wait --> profile
 *   none                 what the recorder kept ----------------> profile
 */
#pragma once
#include "base/knob.h"
#include "base/loss.h"
#include "base/profile.h"
#include "sampler/demand.h"
#include "sampler/window.h"

struct pf_collection {
	const char *name; /* of the profile and of its second column, in nanoseconds */
	enum pf_knob_id hz;
	struct pf_feed *feed;
	bool (*recorded)(void);                        /* is the recorder on? */
	int (*demand)(struct pf_demand *demand, bool); /* 0 or -errno; off never fails */
	void (*bring_up_to_date)(void);                /* what was up to now is in the feed */
	bool spans;                                    /* its records span time (feed.h) */
	void (*comment)(struct pf_profile *out, int64_t hz);
	const char *nothing; /* what it means when there is no sample at all */
	const enum pf_counter *losses;
	size_t loss_count;
};

/* As a pf_collect_fn. -ENODATA: no seconds asked for and no recorder. */
int pf_collection_run(const struct pf_collection *collection, struct pf_profile *out,
    const struct pf_query *query, struct pf_wait *wait);
