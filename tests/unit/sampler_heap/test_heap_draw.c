/* Sampling, with a fixed seed: the numbers are the same in every run, and the bounds are those of
 * theory (reference: Horvitz-Thompson; variance (1-p)/p a block). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/knob.h"
#include "base/mark.h"
#include "sampler/heap_draw.h"

#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static void start(uint64_t seed, int64_t rate)
{
	pf_knob_put(PF_KNOB_HEAP_SAMPLE_BYTES, rate);
	pf_draw_start(seed);
}

/* What the hooks do for an allocation: 0, or its weight. */
static uint64_t allocate(size_t size)
{
	uint64_t rate = pf_draw_spend(size) ? pf_draw_sampled(size) : 0;

	return rate ? pf_draw_weight(size, rate) : 0;
}

static void the_logarithm_is_right(void **state)
{
	for (double u = 0x1p-54; u < 1; u *= 1.0007)
		assert_true(fabs(pf_draw_minus_ln(u) + log(u)) < 1e-12);
	for (double u = 0.5; u < 1; u += 0.0001)
		assert_true(fabs(pf_draw_minus_ln(u) + log(u)) < 1e-12);
}

static void the_exponential_is_right(void **state)
{
	for (double x = 1e-13; x < 100; x *= 1.0003) {
		double right = -expm1(-x);

		assert_true(fabs(pf_draw_one_minus_exp(x) - right) < 1e-14 * right);
	}
}

static void weights_are_right_to_half_a_millionth(void **state)
{
	for (uint64_t rate = 2; rate <= 1ull << 40; rate = rate * 3 + 1)
		for (uint64_t size = 0; size < 1ull << 44; size = size * 2 + 1) {
			double right = 1 / -expm1(-((double)size + 1) / (double)rate);
			double is = ldexp((double)pf_draw_weight(size, rate), -PF_DRAW_WEIGHT_BITS);

			assert_true(fabs(is - right) < 5e-7 * right);
		}
}

static void at_rate_1_every_block_stands_for_itself(void **state)
{
	start(1, 1);
	for (size_t size = 0; size < 100000; size += 7)
		assert_true(allocate(size) == 1ull << PF_DRAW_WEIGHT_BITS);
}

static void at_rate_0_none_does(void **state)
{
	start(1, 0);
	for (size_t size = 0; size < 1 << 24; size = size * 2 + 1)
		assert_true(allocate(size) == 0);
}

static void a_hopeless_size_gives_nobody_credit(void **state)
{
	start(5, 4096);
	allocate(1);
	for (int i = 0; i < 1000; i++) {
		uint64_t before = pf_draw_here.left;

		if (!pf_draw_spend(SIZE_MAX - 1000))
			assert_true(pf_draw_here.left <= before);
		pf_draw_sampled(SIZE_MAX - 1000);
		assert_true(pf_draw_here.left <= PF_DRAW_LOOK_BYTES);
	}
	pf_draw_spend(SIZE_MAX);
	assert_true(pf_draw_here.left <= PF_DRAW_LOOK_BYTES);
}

/* ---- estimates against exact counts ---- */

enum { RUNS = 50, SIZES_MAX = 20 };

struct mix {
	size_t sizes[SIZES_MAX]; /* each as often as any other, in turn; 0 ends them */
	size_t rounds;           /* at a rate of 512 KiB */
	size_t fine_rounds;      /* at a rate of 4 KiB */
};

static const struct mix mixes[] = {
    {{16, 24, 32, 48}, 100000, 150000},
    {{64, 100, 256, 500}, 100000, 50000},
    {{1024}, 50000, 30000},
    {{4096, 8192, 12288}, 8000, 8000},
    {{262144, 524288, 1048576}, 1000, 1000},
    {{1 << 20, 2 << 20, 4 << 20}, 1000, 1000},
    {{16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144,
	 524288, 1 << 20, 2 << 20, 4 << 20},
	20000, 8000},
    {{16, 4 << 20}, 100000, 400000},
};

struct estimate {
	double bytes, objects;
};

static struct estimate run(const struct mix *mix, size_t rounds)
{
	struct estimate sum = {0, 0};

	for (size_t round = 0; round < rounds; round++)
		for (int i = 0; i < SIZES_MAX && mix->sizes[i]; i++) {
			double w = ldexp((double)allocate(mix->sizes[i]), -PF_DRAW_WEIGHT_BITS);

			sum.objects += w;
			sum.bytes += w * (double)mix->sizes[i];
		}
	return sum;
}

/* Truth, and the standard error of its estimate. */
static void theory(const struct mix *mix, double rounds, double rate, struct estimate *truth,
    struct estimate *error)
{
	*truth = *error = (struct estimate){0, 0};
	for (int i = 0; i < SIZES_MAX && mix->sizes[i]; i++) {
		double size = (double)mix->sizes[i];
		double p = -expm1(-(size + 1) / rate);

		truth->objects += rounds;
		truth->bytes += rounds * size;
		error->objects += rounds * (1 - p) / p;
		error->bytes += rounds * (1 - p) / p * size * size;
	}
	error->objects = sqrt(error->objects);
	error->bytes = sqrt(error->bytes);
}

/* The mean of 50 runs; how many of their 100 numbers were off by more than 3 standard errors. */
static int run_50_times(const struct mix *mix, size_t rounds, int64_t rate,
    const struct estimate *truth, const struct estimate *error, struct estimate *mean)
{
	int beyond = 0;

	*mean = (struct estimate){0, 0};
	for (uint64_t seed = 1; seed <= RUNS; seed++) {
		struct estimate is;

		start(seed, rate);
		is = run(mix, rounds);
		mean->bytes += is.bytes / RUNS;
		mean->objects += is.objects / RUNS;
		beyond += fabs(is.bytes - truth->bytes) > 3 * error->bytes;
		beyond += fabs(is.objects - truth->objects) > 3 * error->objects;
	}
	return beyond;
}

/* By chance alone 2 of the 800 would be further off. */
static void estimates_are_as_exact_as_theory_says(void **state)
{
	int beyond = 0;

	for (size_t m = 0; m < PF_COUNT(mixes); m++) {
		struct estimate truth, error, mean;

		theory(&mixes[m], (double)mixes[m].rounds, 524288, &truth, &error);
		beyond += run_50_times(&mixes[m], mixes[m].rounds, 524288, &truth, &error, &mean);
		assert_true(fabs(mean.bytes - truth.bytes) < 3 * error.bytes / sqrt(RUNS));
		assert_true(fabs(mean.objects - truth.objects) < 3 * error.objects / sqrt(RUNS));
	}
	assert_true(beyond <= 4);
}

/* With so many samples that half a per cent means something. */
static void the_mean_error_is_within_half_a_per_cent(void **state)
{
	for (size_t m = 0; m < PF_COUNT(mixes); m++) {
		struct estimate truth, error, mean;

		theory(&mixes[m], (double)mixes[m].fine_rounds, 4096, &truth, &error);
		run_50_times(&mixes[m], mixes[m].fine_rounds, 4096, &truth, &error, &mean);
		assert_true(fabs(mean.bytes - truth.bytes) < 0.005 * truth.bytes);
		assert_true(fabs(mean.objects - truth.objects) < 0.005 * truth.objects);
	}
}

/* A change of the rate is noticed soon, and each sample carries its own weight; also when sampling
 * stops and starts anew in between, which lets a thread keep what it has counted down to. */
static void the_rate_may_change_at_any_time(void **state)
{
	enum { PHASE = 20000 };
	static const int64_t rates[] = {1 << 20, 4096, 65536, 1, 262144, 2};
	double bytes = 0, truth = 0, variance = 0;

	start(4242, rates[0]);
	for (int i = 0; i < 100 * PHASE; i++) {
		int64_t now = rates[i / PHASE % 6];
		double rate = (double)now;
		double p = -expm1(-(300.0 + 1) / rate);

		if (i % (2 * PHASE) == 0) {
			pf_draw_stop();
			start((uint64_t)i + 1, now);
		} else if (i % PHASE == 0) {
			pf_knob_put(PF_KNOB_HEAP_SAMPLE_BYTES, now);
		}
		bytes += 300 * ldexp((double)allocate(300), -PF_DRAW_WEIGHT_BITS);
		truth += 300;
		variance += 300.0 * 300.0 * (1 - p) / p;
	}
	assert_true(fabs(bytes - truth) < 3 * sqrt(variance));
}

/* ---- threads, and the floating point unit ---- */

static void *draw_in_thread(void *arg)
{
	allocate(100);
	*(uint64_t *)arg = pf_draw_here.random;
	return NULL;
}

static void every_thread_draws_its_own_numbers(void **state)
{
	uint64_t random[8];

	start(0, 524288);
	for (int i = 0; i < 8; i++) {
		pthread_t thread;

		pthread_create(&thread, NULL, draw_in_thread, &random[i]);
		pthread_join(thread, NULL);
		for (int k = 0; k < i; k++)
			assert_true(random[i] != random[k]);
	}
}

static void the_programs_floating_point_state_is_kept(void **state)
{
	fesetround(FE_UPWARD);
	feclearexcept(FE_ALL_EXCEPT);
	feenableexcept(FE_INEXACT | FE_DIVBYZERO | FE_INVALID); /* would end us */
	start(3, 1000);
	for (int i = 0; i < 1000; i++)
		allocate((size_t)i);
	assert_int_equal(fetestexcept(FE_ALL_EXCEPT), 0);
	assert_int_equal(fegetround(), FE_UPWARD);
	assert_int_equal(fedisableexcept(FE_ALL_EXCEPT), FE_INEXACT | FE_DIVBYZERO | FE_INVALID);
	fesetround(FE_TONEAREST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_logarithm_is_right),
	    cmocka_unit_test(the_exponential_is_right),
	    cmocka_unit_test(weights_are_right_to_half_a_millionth),
	    cmocka_unit_test(at_rate_1_every_block_stands_for_itself),
	    cmocka_unit_test(at_rate_0_none_does),
	    cmocka_unit_test(a_hopeless_size_gives_nobody_credit),
	    cmocka_unit_test(estimates_are_as_exact_as_theory_says),
	    cmocka_unit_test(the_mean_error_is_within_half_a_per_cent),
	    cmocka_unit_test(the_rate_may_change_at_any_time),
	    cmocka_unit_test(every_thread_draws_its_own_numbers),
	    cmocka_unit_test(the_programs_floating_point_state_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
