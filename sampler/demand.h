/* Demand: who wants samples, and how many a second. The most that anybody wants is what is done.
 *
 * Each collector keeps its own list behind its own lock; the entries live with who wants.
 */
#pragma once
#include "base/knob.h"

struct pf_demand {
	int64_t hz; /* 0: as the knob says */
	struct pf_demand *next;
};

/* Samples a second; 0: nobody wants any. */
static inline int64_t pf_demand_hz(const struct pf_demand *list, enum pf_knob_id knob)
{
	int64_t most = 0;

	for (; list; list = list->next) {
		int64_t hz = list->hz ? list->hz : pf_knob_get(knob);

		most = hz > most ? hz : most;
	}
	return most;
}

static inline bool pf_demand_has(const struct pf_demand *list, const struct pf_demand *demand)
{
	while (list && list != demand)
		list = list->next;
	return list;
}

static inline void pf_demand_add(struct pf_demand **list, struct pf_demand *demand)
{
	demand->next = *list;
	*list = demand;
}

static inline void pf_demand_remove(struct pf_demand **list, const struct pf_demand *demand)
{
	for (; *list; list = &(*list)->next)
		if (*list == demand) {
			*list = demand->next;
			return;
		}
}
