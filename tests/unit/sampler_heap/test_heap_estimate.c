/* What the hooks make of blocks whose number is known, by stack and size: allocated, and in use after
 * every second one is freed. With fixed seeds, so the numbers are the same in every run; the bounds are
 * those of theory (variance (1-p)/p a block) for the mean of the runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sampler/heap_draw.h"
#include "tests/unit/sampler_heap/rate_1.h"

#include <math.h>
#include <stdlib.h>

enum { STACKS = 3, SIZES = 4, RUNS = 20, RATE = 2048, FIRST_STACK = 50 };

static const struct {
	size_t size;
	uint32_t blocks; /* of each stack; even */
} mix[SIZES] = {{16, 12000}, {100, 8000}, {1000, 1500}, {20000, 200}};

/* Of one stack and one size. */
struct cell {
	uint32_t stack, class;
	double values[4];
};

static void add_if_of_cell(void *arg, const struct pf_site_view *view)
{
	struct cell *cell = arg;

	if (view->key.stack == cell->stack && view->key.class == cell->class)
		for (int i = 0; i < 4; i++)
			cell->values[i] += (double)view->values[i];
}

static void *blocks[STACKS][SIZES][12000];

/* The stacks and sizes in turn, so that each meets the others' countdown. */
static void allocate_all(void)
{
	for (uint32_t i = 0; i < mix[0].blocks; i++)
		for (uint32_t stack = 0; stack < STACKS; stack++)
			for (int s = 0; s < SIZES; s++) {
				if (i >= mix[s].blocks)
					continue;
				fake_stack(FIRST_STACK + stack);
				blocks[stack][s][i] = malloc(mix[s].size);
			}
	fake_stack(0);
}

static void free_every_second(uint32_t from)
{
	for (uint32_t stack = 0; stack < STACKS; stack++)
		for (int s = 0; s < SIZES; s++)
			for (uint32_t i = from; i < mix[s].blocks; i += 2)
				free(blocks[stack][s][i]);
}

static void run(uint64_t seed, struct cell cells[STACKS][SIZES])
{
	disable(NULL);
	assert_int_equal(pf_heap_enable(true), 0);
	pf_draw_start(seed);
	allocate_all();
	free_every_second(0);
	for (uint32_t stack = 0; stack < STACKS; stack++)
		for (int s = 0; s < SIZES; s++) {
			cells[stack][s].stack = FIRST_STACK + stack;
			cells[stack][s].class = pf_site_class(mix[s].size);
			pf_site_for_each(add_if_of_cell, &cells[stack][s]);
		}
	free_every_second(1);
}

static void check(const struct cell *cell, size_t size, double blocks_each_run)
{
	double p = -expm1(-((double)size + 1) / RATE);

	for (int i = 0; i < 4; i++) {
		double n = i < 2 ? blocks_each_run : blocks_each_run / 2;
		double unit = i % 2 ? (double)size : 1;
		double mean = cell->values[i] / RUNS;
		double error = sqrt(n * (1 - p) / p / RUNS) * unit;

		/* Each run is rounded to a whole unit. */
		if (fabs(mean - n * unit) > 4 * error + 1)
			fail_msg("stack %u size %zu value %d: %.1f for %.1f +- %.1f", cell->stack,
			    size, i, mean, n * unit, error);
	}
}

static void every_stack_and_size_is_estimated_without_bias(void **state)
{
	static struct cell cells[STACKS][SIZES];

	pf_knob_put(PF_KNOB_HEAP_SAMPLE_BYTES, RATE);
	for (uint64_t seed = 1; seed <= RUNS; seed++)
		run(seed, cells);
	for (int stack = 0; stack < STACKS; stack++)
		for (int s = 0; s < SIZES; s++)
			check(&cells[stack][s], mix[s].size, mix[s].blocks);
	/* All are freed by now. */
	for (uint32_t stack = 0; stack < STACKS; stack++) {
		assert_int_equal(sums_of(FIRST_STACK + stack).live_objects, 0);
		assert_int_equal(sums_of(FIRST_STACK + stack).live_bytes, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    AT_RATE_1(every_stack_and_size_is_estimated_without_bias),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
