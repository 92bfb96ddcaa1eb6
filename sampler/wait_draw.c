#include "sampler/wait_draw.h"
#include "base/clock.h"

/* xorshift64* (Vigna, 2016); a thread's first number comes from its address and the clock. */
static PF_HOOK uint64_t next_random(struct pf_wait_draw *d)
{
	if (d->random == 0)
		d->random =
		    ((uint64_t)pf_clock_now_ns() ^ (uintptr_t)d << 20) * 0xbf58476d1ce4e5b9ull | 1;
	d->random ^= d->random >> 12;
	d->random ^= d->random << 25;
	d->random ^= d->random >> 27;
	return d->random * 0x2545f4914f6cdd1dull;
}

static PF_HOOK void new_cell(struct pf_wait_draw *d, uint64_t cell)
{
	d->cell = d->cell_left = cell;
	d->drop_in = (uint64_t)((unsigned __int128)next_random(d) * cell >> 64);
}

PF_HOOK uint32_t pf_wait_draw_take(struct pf_wait_draw *d, uint64_t length, uint64_t cell)
{
	uint32_t hits = 0;

	if (d->cell != cell)
		new_cell(d, cell);
	while (length > 0) {
		uint64_t step = length < d->cell_left ? length : d->cell_left;

		if (d->drop_in < step) {
			hits++;
			d->drop_in = UINT64_MAX;
		} else if (d->drop_in != UINT64_MAX) {
			d->drop_in -= step;
		}
		length -= step;
		d->cell_left -= step;
		if (d->cell_left == 0)
			new_cell(d, cell);
	}
	return hits;
}
