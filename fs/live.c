#include "fs/live.h"
#include "fs/capture.h"
#include "fs/history.h"
#include "render/render.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int pf_live_adopt(const struct pf_sampler *door, const char **why)
{
	*why = "libproffs.so and libproffs-fs.so are of different versions";
	if (strcmp(door->version, PF_VERSION) != 0)
		return -EINVAL;
	pf_counter_adopt(door->counters);
	pf_knob_adopt(door->knobs);
	pf_feature_adopt(door->features);
	return 0;
}

int pf_live_init(struct pf_live *live, const struct pf_sampler *door)
{
	*live = (struct pf_live){
	    .door = door,
	    .where = "",
	    .pid = getpid(),
	    .symbol_lock = PF_LOCK_INIT(PF_LOCK_SYMBOL),
	};
	pf_control_init(&live->control);
	pf_events_init(&live->events);
	live->tree = pf_tree_create(door);
	live->symbols = pf_symbols_create();
	live->captures = pf_captures_create(live);
	live->history = pf_history_create();
	if (pf_lookup_init(&live->lookup) == 0 && live->tree && live->symbols && live->captures &&
	    live->history)
		return 0;
	pf_live_finish(live);
	return -ENOMEM;
}

void pf_live_finish(struct pf_live *live)
{
	pf_captures_destroy(live->captures);
	pf_history_destroy(live->history);
	pf_symbols_destroy(live->symbols);
	pf_lookup_finish(&live->lookup);
	pf_tree_destroy((struct pf_tree *)live->tree);
	pf_control_finish(&live->control);
	live->captures = NULL;
	live->history = NULL;
	live->symbols = NULL;
	live->tree = NULL;
}

void pf_live_resolve(struct pf_live *live, struct pf_profile *p)
{
	pf_lock_take(&live->symbol_lock);
	pf_symbols_resolve(live->symbols, p);
	if (p->waiting)
		pf_symbols_resolve(live->symbols, p->waiting);
	pf_lock_give(&live->symbol_lock);
}
