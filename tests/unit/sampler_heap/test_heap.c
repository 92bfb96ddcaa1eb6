/* The profile, as a reader gets it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/knob.h"
#include "sampler/heap.h"
#include "sampler/release.h"
#include "tests/unit/sampler_heap/fake.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static const struct pf_query plain;

static int enable_at_rate_1(void **state)
{
	assert_int_equal(pf_knob_put(PF_KNOB_HEAP_SAMPLE_BYTES, 1), 0);
	return pf_heap_enable(true);
}

static int disable(void **state)
{
	fake_stack(0);
	return pf_heap_enable(false);
}

/* The sample of a fake stack with this label, or NULL. */
static const struct pf_sample *find(const struct pf_profile *p, uint32_t stack, int64_t label)
{
	for (size_t i = 0; i < p->sample_count; i++) {
		const struct pf_sample *s = &p->samples[i];

		if (p->pcs[s->pc_first] == 0x10000 + stack &&
		    (s->label_count ? p->labels[s->label_first].num : 0) == label)
			return s;
	}
	return NULL;
}

static void the_columns_are_gos(void **state)
{
	static const char *const types[] = {
	    "alloc_objects", "alloc_space", "inuse_objects", "inuse_space"};
	static const char *const units[] = {"count", "bytes", "count", "bytes"};
	struct pf_profile p;

	pf_profile_init(&p);
	assert_int_equal(pf_heap_collect(&p, &plain, NULL), 0);
	assert_int_equal(p.type_count, 4);
	for (int i = 0; i < 4; i++) {
		assert_string_equal(p.types[i].type, types[i]);
		assert_string_equal(p.types[i].unit, units[i]);
	}
	assert_int_equal(pf_profile_default_type(&p), 3);
	assert_string_equal(p.period_type.type, "space");
	assert_string_equal(p.period_type.unit, "bytes");
	assert_int_equal(p.period, 1);
	assert_true(p.leaf_is_return);
	assert_true(p.time_ns > 0);
	assert_int_equal(p.duration_ns, 0);
	assert_true(p.mapping_count > 0);
	assert_string_equal(p.comments[0], "heap_sample_bytes 1");
	pf_profile_finish(&p);
}

static void one_sample_for_each_stack_and_size_class(void **state)
{
	struct pf_profile p;
	const struct pf_sample *s;
	void *at[4];

	fake_stack(1);
	at[0] = malloc(1000);
	at[1] = malloc(1024);
	at[2] = malloc(3000);
	at[3] = malloc(0);
	fake_stack(0);
	free(at[0]);
	pf_profile_init(&p);
	assert_int_equal(pf_heap_collect(&p, &plain, NULL), 0);
	s = find(&p, 1, 1024);
	assert_non_null(s);
	assert_string_equal(p.labels[s->label_first].key, "bytes");
	assert_null(p.labels[s->label_first].str);
	assert_null(p.labels[s->label_first].unit);
	assert_int_equal(s->value[0], 2);
	assert_int_equal(s->value[1], 2024);
	assert_int_equal(s->value[2], 1);
	assert_int_equal(s->value[3], 1024);
	s = find(&p, 1, 3072);
	assert_non_null(s);
	assert_int_equal(s->value[3], 3000);
	s = find(&p, 1, 0);
	assert_non_null(s);
	assert_int_equal(s->label_count, 0);
	assert_int_equal(s->value[2], 1);
	pf_profile_finish(&p);
	for (int i = 1; i < 4; i++)
		free(at[i]);
}

/* What Go's allocs?seconds=N shows: a site that was quiet is not there. */
static void two_profiles_can_be_subtracted(void **state)
{
	struct pf_profile before, after;
	const struct pf_sample *s;
	void *quiet, *busy;

	fake_stack(2);
	quiet = malloc(500);
	fake_stack(3);
	busy = malloc(600);
	fake_stack(0);
	pf_profile_init(&before);
	pf_profile_init(&after);
	assert_int_equal(pf_heap_collect(&before, &plain, NULL), 0);
	fake_stack(3);
	busy = realloc(busy, 60000);
	fake_stack(0);
	assert_int_equal(pf_heap_collect(&after, &plain, NULL), 0);
	pf_profile_subtract(&after, &before);
	assert_null(find(&after, 2, 512));
	s = find(&after, 3, 65536);
	assert_non_null(s);
	assert_int_equal(s->value[1], 60000);
	pf_profile_finish(&before);
	pf_profile_finish(&after);
	free(quiet);
	free(busy);
}

static void off_there_is_nothing_to_read(void **state)
{
	struct pf_profile p;

	pf_profile_init(&p);
	assert_false(pf_heap_enabled());
	assert_int_equal(pf_heap_collect(&p, &plain, NULL), -ENODATA);
	pf_profile_finish(&p);
}

static void enabling_twice_changes_nothing(void **state)
{
	uint64_t slots;
	void *at;
	struct pf_profile p;

	assert_int_equal(enable_at_rate_1(NULL), 0);
	fake_stack(4);
	at = malloc(100);
	slots = pf_counter_get(PF_COUNTER_PATCH_SLOTS);
	assert_int_equal(pf_heap_enable(true), 0);
	fake_stack(0);
	assert_int_equal(pf_counter_get(PF_COUNTER_PATCH_SLOTS), slots);
	pf_profile_init(&p);
	assert_int_equal(pf_heap_collect(&p, &plain, NULL), 0);
	assert_non_null(find(&p, 4, 112));
	pf_profile_finish(&p);
	free(at);
	assert_int_equal(pf_heap_enable(false), 0);
	assert_int_equal(pf_heap_enable(false), 0);
	assert_int_equal(pf_counter_get(PF_COUNTER_PATCH_SLOTS), 0);
}

/* ---- the peak, and leaks ---- */

/* In use by a stack in the last column of a profile. */
static int64_t in_use(pf_collect_fn *collect, uint32_t stack)
{
	struct pf_profile p;
	int64_t bytes = 0;

	pf_profile_init(&p);
	assert_int_equal(collect(&p, &plain, NULL), 0);
	for (size_t i = 0; i < p.sample_count; i++)
		if (p.pcs[p.samples[i].pc_first] == 0x10000 + stack)
			bytes += p.samples[i].value[p.type_count - 1];
	pf_profile_finish(&p);
	return bytes;
}

static void the_peak_is_what_was_in_use_then(void **state)
{
	char *large[10], *later;

	fake_stack(5);
	for (int i = 0; i < 10; i++)
		large[i] = malloc(1 << 20);
	for (int i = 0; i < 8; i++)
		free(large[i]);
	fake_stack(6);
	later = malloc(5 << 20);
	fake_stack(0);
	assert_int_equal(in_use(pf_heap_collect, 5), 2 << 20);
	assert_int_equal(in_use(pf_heap_collect, 6), 5 << 20);
	assert_int_equal(in_use(pf_heap_peak_collect, 5), 10 << 20);
	assert_int_equal(in_use(pf_heap_peak_collect, 6), 0);
	/* A little more than ever before, and that is the peak. */
	fake_stack(6);
	later = realloc(later, 9 << 20);
	fake_stack(0);
	assert_int_equal(in_use(pf_heap_peak_collect, 5), 2 << 20);
	assert_int_equal(in_use(pf_heap_peak_collect, 6), 9 << 20);
	free(later);
	assert_int_equal(pf_knob_put(PF_KNOB_HEAP_PEAK_RESET, 1), 0);
	assert_int_equal(pf_knob_get(PF_KNOB_HEAP_PEAK_RESET), 0);
	assert_int_equal(in_use(pf_heap_peak_collect, 5), 2 << 20);
	assert_int_equal(in_use(pf_heap_peak_collect, 6), 0);
	free(large[8]);
	free(large[9]);
	assert_int_equal(in_use(pf_heap_peak_collect, 5), 2 << 20);
}

/* A thousand blocks of 1 KiB that nobody frees, then heavy coming and going of others. */
static void a_leak_comes_first(void **state)
{
	static char *leaked[1000], *churn[100];
	int64_t end_ns;
	struct pf_profile p;
	const struct pf_sample *s;

	fake_stack(7);
	for (int i = 0; i < 1000; i++)
		leaked[i] = malloc(1024);
	fake_stack(8);
	end_ns = pf_clock_now_ns() + 300 * (int64_t)PF_NS_PER_MS;
	for (unsigned i = 0; pf_clock_now_ns() < end_ns; i++) {
		free(churn[i % 100]);
		churn[i % 100] = malloc(i % 5000);
	}
	fake_stack(0);
	pf_profile_init(&p);
	assert_int_equal(pf_heap_leaks_collect(&p, &plain, NULL), 0);
	s = &p.samples[0];
	assert_int_equal(p.pcs[s->pc_first], 0x10000 + 7);
	assert_int_equal(s->value[0], 1000);
	assert_int_equal(s->value[1], 1024000);
	assert_string_equal(p.labels[s->label_first].key, "oldest");
	assert_string_equal(p.labels[s->label_first + 1].key, "youngest");
	pf_profile_finish(&p);
	for (int i = 0; i < 1000; i++)
		free(leaked[i]);
	for (int i = 0; i < 100; i++)
		free(churn[i]);
	assert_int_equal(in_use(pf_heap_leaks_collect, 7), 0);
}

/* Sixty megabytes in small blocks, all freed but the last: glibc keeps them until it is asked. */
static void free_memory_is_given_back(void **state)
{
	enum { BLOCKS = 60000 };
	static char *blocks[BLOCKS];
	struct pf_buf said = PF_BUF_INIT;
	long long before, after;

	for (int i = 0; i < BLOCKS; i++) {
		blocks[i] = malloc(1000);
		memset(blocks[i], 1, 1000);
	}
	for (int i = 0; i < BLOCKS - 1; i++)
		free(blocks[i]);
	assert_int_equal(pf_release_memory(true, &said), 0);
	assert_int_equal(
	    sscanf(pf_buf_text(&said),
		"asked glibc; resident memory %lld KiB before, %lld KiB after", &before, &after),
	    2);
	assert_true(before - after > 50000);
	assert_int_equal(pf_release_memory(false, NULL), 0);
	free(blocks[BLOCKS - 1]);
	pf_buf_finish(&said);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(the_columns_are_gos, enable_at_rate_1, disable),
	    cmocka_unit_test_setup_teardown(
		one_sample_for_each_stack_and_size_class, enable_at_rate_1, disable),
	    cmocka_unit_test_setup_teardown(
		two_profiles_can_be_subtracted, enable_at_rate_1, disable),
	    cmocka_unit_test_setup_teardown(
		the_peak_is_what_was_in_use_then, enable_at_rate_1, disable),
	    cmocka_unit_test_setup_teardown(a_leak_comes_first, enable_at_rate_1, disable),
	    cmocka_unit_test(off_there_is_nothing_to_read),
	    cmocka_unit_test(enabling_twice_changes_nothing),
	    cmocka_unit_test(free_memory_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
