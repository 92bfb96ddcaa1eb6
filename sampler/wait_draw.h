/* Wait draw: which waits are sampled, and how much each stands for.
 *
 * Both draws lay a thread's events in a row, cut the row into cells of equal length and let one drop
 * fall on a random place of each cell. Every place is hit with the same probability, whatever the
 * rhythm of the program, so sums are unbiased; and since each cell is hit exactly once, they are
 * also nearly exact: a thousand waits of a millisecond at a rate of ten make a hundred samples, not
 * a hundred give or take ten.
 */
#pragma once
#include "base/mark.h"

#include <stdbool.h>
#include <stdint.h>

struct pf_wait_draw {
	uint64_t random;
	uint64_t cell;      /* its length: of which rate it is */
	uint64_t cell_left; /* of this cell */
	uint64_t drop_in;   /* until its drop; UINT64_MAX: it has fallen */
};

/* Will a drop fall on the next `length`? False: perhaps, on one of the next cell. */
PF_INLINE bool pf_wait_draw_is_near(const struct pf_wait_draw *draw, uint64_t length, uint64_t cell)
{
	return length >= cell || (draw->cell == cell && draw->drop_in < length);
}

/* How many drops fall on the next `length` of the row; cells of `cell` > 0. PF_HOOK. */
uint32_t pf_wait_draw_take(struct pf_wait_draw *draw, uint64_t length, uint64_t cell);
