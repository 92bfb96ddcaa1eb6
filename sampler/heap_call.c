#include "sampler/heap_call.h"
#include "base/counter.h"
#include "base/knob.h"
#include "sampler/guard.h"
#include "sampler/heap_site.h"

PF_HOOK void pf_call_note(const void *at, size_t size, uint64_t rate)
{
	if (!at)
		return;
	if (!pf_guard_enter()) {
		pf_count(PF_COUNTER_HEAP_LOST_NESTED);
		return;
	}
	pf_book_add(at, size, rate);
	pf_guard_leave();
}

PF_HOOK void pf_call_resize_begin(struct pf_call_resize *r, void *at, uint64_t rate, size_t usable)
{
	r->every_block = pf_knob_get(PF_KNOB_HEAP_SAMPLE_BYTES) == 1;
	if (rate)
		pf_book_expect();
	r->rate = rate;
	r->usable_then = usable;
	r->move.generation = 0;
	if (at && pf_live_maybe(at))
		pf_book_move_begin(&r->move, at);
}

/* A block that stays where it is and about as big stays what it was: sampled, at the stack that
 * allocated it, or not. Else it is a new one. (Were every resize a new draw, a block that grows a
 * little all the time would be sampled in the end; were none, a block that grew from a kilobyte to
 * a gigabyte would stand for a terabyte, or for nothing.) At rate 1 staying is enough. */
static PF_HOOK bool is_same_block(
    const struct pf_call_resize *r, const void *at, const void *to, size_t usable)
{
	if (to != at)
		return false;
	return r->every_block ||
	       (r->usable_then && pf_site_class(r->usable_then) == pf_site_class(usable));
}

PF_HOOK void pf_call_resize_end(
    struct pf_call_resize *r, void *at, void *to, size_t size, size_t usable)
{
	if (!to && size != 0) {
		pf_book_move_undo(&r->move, at); /* failed: the old block is as it was */
		return;
	}
	if (to && is_same_block(r, at, to, usable)) {
		if (pf_book_move_stay(&r->move, to, size) || !r->every_block)
			return;
	} else {
		pf_book_move_drop(&r->move);
	}
	if (r->rate)
		pf_call_note(to, size, r->rate);
}
