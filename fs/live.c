#include "fs/live.h"
#include "base/birth.h"
#include "base/clock.h"
#include "base/forbid.h"
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
	pf_birth_adopt(door->births);
	pf_forbidden_adopt(door->forbidden);
	pf_clock_is_replaced = door->clock_is_replaced;
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
	pf_events_init(&live->events);
	live->control = pf_control_create();
	live->tree = pf_tree_create(door);
	live->symbols = pf_symbols_create();
	live->captures = pf_captures_create(live);
	live->history = pf_history_create();
	if (pf_lookup_init(&live->lookup) == 0 && live->tree && live->symbols && live->captures &&
	    live->history && live->control)
		return 0;
	pf_live_finish(live);
	return -ENOMEM;
}

/* ---- what the tree remembers, for dumps ---- */

static struct pf_live *offered; /* atomic; in a forked child the parent's, in whatever state */
static uint32_t borrowers;      /* atomic; first counted, then looked: see pf_live_offer() */

void pf_live_offer(struct pf_live *live)
{
	struct pf_live *before = __atomic_exchange_n(&offered, live, __ATOMIC_SEQ_CST);

	/* Whoever still writes what the one before remembers may go on: that is never freed then. */
	if (before && before->pid == live->pid &&
	    __atomic_load_n(&borrowers, __ATOMIC_SEQ_CST) == 0)
		pf_live_finish(before);
}

bool pf_live_is_offered(const struct pf_live *live)
{
	return __atomic_load_n(&offered, __ATOMIC_SEQ_CST) == live;
}

static void destroy_memory(struct pf_live *live)
{
	pf_captures_destroy(live->captures);
	pf_history_destroy(live->history);
	pf_control_destroy(live->control);
}

static void give_back(void)
{
	__atomic_fetch_sub(&borrowers, 1, __ATOMIC_SEQ_CST);
}

void pf_live_borrow(struct pf_live *live)
{
	const struct pf_live *from;

	__atomic_fetch_add(&borrowers, 1, __ATOMIC_SEQ_CST);
	from = __atomic_load_n(&offered, __ATOMIC_SEQ_CST);
	if (!from || from->pid != live->pid) {
		give_back();
		return;
	}
	destroy_memory(live);
	live->captures = from->captures;
	live->history = from->history;
	live->control = from->control;
	live->borrows = true;
}

void pf_live_finish(struct pf_live *live)
{
	if (live->borrows)
		give_back();
	else
		destroy_memory(live);
	pf_symbols_destroy(live->symbols);
	pf_lookup_finish(&live->lookup);
	pf_tree_destroy((struct pf_tree *)live->tree);
	live->borrows = false;
	live->captures = NULL;
	live->history = NULL;
	live->control = NULL;
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
