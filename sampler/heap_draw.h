/* Heap draw: which allocation is sampled, and how much a sample stands for.
 *
 * Imagine every allocated byte of a thread in a row and raindrops falling on it, one in `rate`
 * bytes on average, each place as likely as any other. An allocation that is hit is sampled. With
 * n bytes (and one more, so that malloc(0) can be hit too) that happens with the probability
 * p = 1 - exp(-(n + 1) / rate), so each sample stands for 1/p allocations (Horvitz, Thompson):
 * unbiased for every size, whatever the rate was when the sample was taken.
 *
 * The hooks only count bytes down to the next drop: one subtraction in thread-local memory.
 */
#pragma once
#include "base/mark.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pf_draw {
	uint64_t left; /* bytes until the next look here */
	uint64_t rate; /* of the drop that falls then; 0: none was drawn, look only */
	uint64_t random;
	uint32_t generation; /* of the seed */
};

/* Zero to begin with: a thread's first allocation looks, and is given a seed. */
extern PF_TLS struct pf_draw pf_draw_here;

enum { PF_DRAW_WEIGHT_BITS = 20, PF_DRAW_LOOK_BYTES = 1 << 19 };

/* Counts an allocation. True: pf_draw_sampled() must be asked about it. */
PF_INLINE bool pf_draw_spend(size_t size)
{
	return __builtin_sub_overflow(pf_draw_here.left, size + 1, &pf_draw_here.left);
}

/* Right after pf_draw_spend(size) said true: 0, or the rate at which this allocation is sampled. A
 * change of the knob is noticed within PF_DRAW_LOOK_BYTES a thread. PF_HOOK. */
uint64_t pf_draw_sampled(size_t size);

/* The same without counting first, for the hooks of rate 1: whatever is left here of a larger rate
 * plays no part. PF_HOOK. */
uint64_t pf_draw_every(size_t size);

/* How many allocations of this size one sample stands for, in units of 2^-PF_DRAW_WEIGHT_BITS;
 * relative error below 5e-7. PF_HOOK. */
uint64_t pf_draw_weight(size_t size, uint64_t rate);

/* Draw at all? With a new seed for every thread (0: a different one each time). Normal code. */
void pf_draw_start(uint64_t seed);
void pf_draw_stop(void);

/* For the tests: -ln(u) for 0 < u < 1 and 1 - exp(-x) for x > 0, without libm. PF_HOOK. */
double pf_draw_minus_ln(double u);
double pf_draw_one_minus_exp(double x);
