#include "sampler/lull.h"
#include "base/buf.h"

void pf_lull_begin(struct pf_lull *lull)
{
	lull->count = 0;
	lull->incomplete = false;
	lull->span_ns = 0;
	lull->ticks = 0;
}

void pf_lull_spoil(struct pf_lull *lull)
{
	lull->incomplete = true;
	lull->count = 0;
}

void pf_lull_add(struct pf_lull *lull, const struct pf_record *record)
{
	if (lull->incomplete)
		return;
	if (pf_vec_reserve((void **)&lull->records, &lull->capacity, sizeof(*lull->records),
		lull->count + 1) < 0) {
		pf_lull_spoil(lull);
		return;
	}
	lull->records[lull->count++] = *record;
}

bool pf_lull_is_possible(const struct pf_lull *lull)
{
	return lull->count > 0 && !lull->incomplete;
}

void pf_lull_tick(struct pf_lull *lull, int64_t now_ns, int64_t span_ns)
{
	lull->until_ns = now_ns;
	lull->span_ns += span_ns;
	lull->ticks++;
}

void pf_lull_tell(struct pf_lull *lull, struct pf_feed *feed)
{
	for (size_t i = 0; lull->ticks && i < lull->count; i++) {
		struct pf_record record = lull->records[i];

		record.time_ns = lull->until_ns;
		record.weight_ns = lull->span_ns;
		record.count = lull->ticks;
		pf_feed_add(feed, &record);
	}
	pf_count_many(PF_COUNTER_WALL_SAMPLES, (uint64_t)lull->ticks * lull->count);
	pf_count_many(PF_COUNTER_WALL_REUSED, (uint64_t)lull->ticks * lull->count);
	lull->span_ns = 0;
	lull->ticks = 0;
}

void pf_lull_finish(struct pf_lull *lull)
{
	pf_vec_free(lull->records, lull->capacity, sizeof(*lull->records));
	*lull = (struct pf_lull){0};
}
