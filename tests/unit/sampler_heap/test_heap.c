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
#include "sampler/thread.h"
#include "tests/unit/sampler_heap/fake.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* A label of a sample; one with key NULL where it has none. */
static struct pf_label label_of(
    const struct pf_profile *p, const struct pf_sample *s, const char *key)
{
	for (uint32_t i = 0; i < s->label_count; i++)
		if (strcmp(p->labels[s->label_first + i].key, key) == 0)
			return p->labels[s->label_first + i];
	return (struct pf_label){.key = NULL};
}

/* The sample of a fake stack with this size class, or NULL. */
static const struct pf_sample *find(const struct pf_profile *p, uint32_t stack, int64_t bytes)
{
	for (size_t i = 0; i < p->sample_count; i++) {
		const struct pf_sample *s = &p->samples[i];

		if (p->pcs[s->pc_first] == 0x10000 + stack && label_of(p, s, "bytes").num == bytes)
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
	assert_null(label_of(&p, s, "bytes").str);
	assert_null(label_of(&p, s, "bytes").unit);
	assert_string_equal(label_of(&p, s, "kind").str, "malloc");
	assert_null(label_of(&p, s, "thread").key);
	assert_int_equal(s->value[0], 2);
	assert_int_equal(s->value[1], 2024);
	assert_int_equal(s->value[2], 1);
	assert_int_equal(s->value[3], 1024);
	s = find(&p, 1, 3072);
	assert_non_null(s);
	assert_int_equal(s->value[3], 3000);
	s = find(&p, 1, 0);
	assert_non_null(s);
	assert_null(label_of(&p, s, "bytes").key);
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

/* As a program and its v0 mangling have them, compared as render/drop.c does. */
static void what_makes_rusts_vectors_larger_is_not_shown_as_who_allocates(void **state)
{
	static const char *const goes[] = {"malloc", "alloc::raw_vec::finish_grow",
	    "alloc::raw_vec::finish_grow::<alloc::alloc::Global>",
	    "alloc::raw_vec::RawVec<T,A>::grow_amortized",
	    "alloc::raw_vec::RawVec<T,A>::reserve::do_reserve_and_handle",
	    "alloc::raw_vec::RawVecInner<A>::try_allocate_in",
	    "<alloc::raw_vec::RawVec<u8>>::grow_one",
	    "<alloc::raw_vec::RawVecInner>::reserve::do_reserve_and_handle::<alloc::alloc::Global>",
	    "alloc::alloc::exchange_malloc", "alloc::alloc::Global::alloc_impl",
	    "<alloc::alloc::Global>::alloc_impl",
	    "<alloc::alloc::Global as core::alloc::Allocator>::allocate"};
	static const char *const stays[] = {"alloc::vec::Vec<T,A>::push",
	    "mine::raw_vec::finish_grow", "<alloc::vec::Vec<u8>>::push", "finish_grow"};
	struct pf_profile p;
	char whole[2048];
	regex_t regex;

	pf_profile_init(&p);
	assert_int_equal(pf_heap_collect(&p, &(struct pf_query){0}, NULL), 0);
	snprintf(whole, sizeof(whole), "^(%s)$", p.drop_frames);
	assert_int_equal(regcomp(&regex, whole, REG_EXTENDED | REG_NOSUB), 0);
	for (size_t i = 0; i < PF_COUNT(goes); i++)
		assert_int_equal(regexec(&regex, goes[i], 0, NULL, 0), 0);
	for (size_t i = 0; i < PF_COUNT(stays); i++)
		assert_int_not_equal(regexec(&regex, stays[i], 0, NULL, 0), 0);
	regfree(&regex);
	pf_profile_finish(&p);
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

/* ---- threads ---- */

static void *allocate_as(void *name)
{
	struct pf_thread self = {.state = PF_THREAD_LIVE};

	strcpy(self.name, name);
	pf_thread_self = &self;
	fake_stack(9);
	free(malloc(100));
	fake_stack(0);
	pf_thread_self = NULL;
	return NULL;
}

/* The name that it had then: threads are gone when somebody reads. */
static void a_sample_has_its_threads_name(void **state)
{
	static const char *const names[] = {"worker", "fifteen letters", "worker", ""};
	static const int64_t counts[] = {2, 1, 2, 1};
	struct pf_profile p;

	for (int i = 0; i < 4; i++) {
		pthread_t thread;

		pthread_create(&thread, NULL, allocate_as, (void *)names[i]);
		pthread_join(thread, NULL);
	}
	pf_profile_init(&p);
	assert_int_equal(pf_heap_collect(&p, &plain, NULL), 0);
	for (int i = 0; i < 4; i++) {
		int64_t count = 0;

		for (size_t k = 0; k < p.sample_count; k++) {
			const struct pf_sample *s = &p.samples[k];
			const char *thread = label_of(&p, s, "thread").str;

			if (p.pcs[s->pc_first] == 0x10000 + 9 &&
			    strcmp(thread ? thread : "", names[i]) == 0)
				count += s->value[0];
		}
		assert_int_equal(count, counts[i]);
	}
	pf_profile_finish(&p);
}

/* ---- lives ---- */

/* Objects of one stack whose life is labelled so; 0: those in use. */
static int64_t objects_with_life(const struct pf_profile *p, uint32_t stack, int64_t life_us)
{
	int64_t objects = 0;

	for (size_t i = 0; i < p->sample_count; i++) {
		const struct pf_sample *s = &p->samples[i];

		if (p->pcs[s->pc_first] == 0x10000 + stack &&
		    label_of(p, s, "life").num == life_us * PF_NS_PER_US)
			objects += s->value[0];
	}
	return objects;
}

static int64_t objects_within(
    const struct pf_profile *p, uint32_t stack, int64_t from_us, int64_t to_us)
{
	int64_t objects = 0;

	for (int64_t us = from_us; us <= to_us; us *= 2)
		objects += objects_with_life(p, stack, us);
	return objects;
}

/* 200 blocks that are freed at once, 100 that live for 20 ms, 50 for good. */
static void lives_are_told_apart(void **state)
{
	static char *brief, *slow[100], *kept[50];
	struct pf_profile p;

	fake_stack(10);
	for (int i = 0; i < 200; i++) {
		brief = malloc(10);
		*(volatile char *)brief = 1;
		free(brief);
	}
	for (int i = 0; i < 100; i++)
		slow[i] = malloc(20000);
	for (int i = 0; i < 50; i++)
		kept[i] = malloc(30);
	usleep(20000);
	for (int i = 0; i < 100; i++)
		free(slow[i]);
	fake_stack(0);
	pf_profile_init(&p);
	assert_int_equal(pf_heap_lifetime_collect(&p, &plain, NULL), 0);
	assert_string_equal(p.types[0].type, "alloc_objects");
	assert_string_equal(p.types[1].type, "alloc_space");
	assert_int_equal(pf_profile_default_type(&p), 0);
	assert_true(p.duration_ns >= 20 * PF_NS_PER_MS);
	assert_int_equal(objects_with_life(&p, 10, 0), 50);
	assert_true(objects_within(&p, 10, 32768, 1ll << 31) >= 100); /* 16.4 ms and more */
	assert_int_equal(objects_within(&p, 10, 1, 1ll << 31), 300);
	assert_int_equal(pf_profile_total(&p, 0) >= 350, 1);
	pf_profile_finish(&p);
	for (int i = 0; i < 50; i++)
		free(kept[i]);
}

static void two_stretches_of_lives_can_be_subtracted(void **state)
{
	struct pf_profile before, after;

	fake_stack(11);
	for (int i = 0; i < 30; i++)
		free(malloc(10));
	fake_stack(0);
	pf_profile_init(&before);
	pf_profile_init(&after);
	assert_int_equal(pf_heap_lifetime_collect(&before, &plain, NULL), 0);
	fake_stack(11);
	for (int i = 0; i < 40; i++)
		free(malloc(10));
	fake_stack(0);
	usleep(1000);
	assert_int_equal(pf_heap_lifetime_collect(&after, &plain, NULL), 0);
	pf_profile_subtract(&after, &before);
	assert_int_equal(objects_within(&after, 11, 1, 1ll << 31), 40);
	assert_true(
	    after.duration_ns >= PF_NS_PER_MS && after.duration_ns < 60ll * PF_NS_PER_SECOND);
	assert_true(after.time_ns >= before.time_ns + before.duration_ns);
	pf_profile_finish(&before);
	pf_profile_finish(&after);
}

/* ---- leaks that have outlived readings ---- */

static void a_block_outlives_readings(void **state)
{
	struct pf_query two = {.captures = 2}, too_many = {.captures = 1000};
	struct pf_profile p;
	void *old, *young;

	fake_stack(12);
	old = malloc(100);
	fake_stack(0);
	pf_profile_init(&p);
	assert_int_equal(pf_heap_leaks_collect(&p, &two, NULL), -ENODATA); /* none yet */
	pf_profile_finish(&p);
	pf_profile_init(&p);
	assert_int_equal(pf_heap_leaks_collect(&p, &too_many, NULL), -EINVAL);
	pf_profile_finish(&p);
	assert_int_equal(in_use(pf_heap_collect, 12), 100); /* within a second: the same reading */
	pf_profile_init(&p);
	assert_int_equal(pf_heap_leaks_collect(&p, &two, NULL), -ENODATA);
	pf_profile_finish(&p);
	usleep(1100000);
	fake_stack(13);
	young = malloc(200);
	fake_stack(0);
	assert_int_equal(in_use(pf_heap_collect, 13), 200); /* the second reading */
	pf_profile_init(&p);
	assert_int_equal(pf_heap_leaks_collect(&p, &two, NULL), 0);
	assert_int_equal(p.pcs[p.samples[0].pc_first], 0x10000 + 12);
	assert_int_equal(p.samples[0].value[1], 100);
	for (size_t i = 0; i < p.sample_count; i++)
		assert_true(p.pcs[p.samples[i].pc_first] != 0x10000 + 13);
	pf_profile_finish(&p);
	free(old);
	free(young);
}

/* ---- the balance ---- */

/* The numbers of the lines add up to the last one; returns that. */
static int64_t sum_of_notes(const struct pf_profile *p, int64_t numbers[16], int *count)
{
	int64_t sum = 0, last = 0;

	*count = 0;
	for (size_t i = 1; i < p->note_count; i++) {
		char *end;
		int64_t number = strtoll(p->notes[i], &end, 10);

		if (end == p->notes[i])
			continue;
		sum += last;
		last = number;
		numbers[(*count)++] = number;
	}
	assert_int_equal(sum, last);
	return last;
}

static void the_heaps_text_ends_with_a_sum(void **state)
{
	static const struct pf_query query = {.balance = true};
	int64_t numbers[16];
	struct pf_profile p;
	void *at;
	int count;

	fake_allocator = (struct pf_allocator){.name = "fake",
	    .in_use_bytes = 70000,
	    .system_bytes = 75000,
	    .time_ns = pf_clock_now_ns()};
	fake_residence = (struct pf_residence){
	    .bytes = {100000, 2000, 300000, 4000, 10}, .total = 406789, .threads = 3};
	fake_stack(14);
	at = malloc(60000);
	fake_stack(0);
	pf_profile_init(&p);
	assert_int_equal(pf_heap_collect(&p, &query, NULL), 0);
	assert_int_equal(sum_of_notes(&p, numbers, &count), 406789);
	assert_int_equal(count, 9);
	assert_int_equal(numbers[0], pf_profile_total(&p, 3));
	assert_int_equal(numbers[0] + numbers[1], 70000);
	assert_int_equal(numbers[2], 5000);
	assert_int_equal(numbers[3], 25000);
	assert_int_equal(numbers[4], 2000);
	assert_int_equal(numbers[5], 300000);
	assert_int_equal(numbers[6], 4000);
	pf_profile_finish(&p);
	/* Of one that cannot be asked, or keeps no such count, it adds up too. */
	fake_allocator_rc = -ETIMEDOUT;
	pf_profile_init(&p);
	assert_int_equal(pf_heap_collect(&p, &query, NULL), 0);
	assert_int_equal(sum_of_notes(&p, numbers, &count), 406789);
	pf_profile_finish(&p);
	fake_allocator_rc = 0;
	fake_allocator.in_use_bytes = -1;
	pf_profile_init(&p);
	assert_int_equal(pf_heap_collect(&p, &query, NULL), 0);
	assert_int_equal(sum_of_notes(&p, numbers, &count), 406789);
	pf_profile_finish(&p);
	pf_profile_init(&p);
	assert_int_equal(pf_heap_collect(&p, &plain, NULL), 0);
	assert_int_equal(p.note_count, 0); /* nobody asked */
	pf_profile_finish(&p);
	free(at);
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
	assert_int_equal(pf_release_memory(true, &said, NULL), 0);
	assert_int_equal(
	    sscanf(pf_buf_text(&said),
		"asked glibc; resident memory %lld KiB before, %lld KiB after", &before, &after),
	    2);
	assert_true(before - after > 50000);
	assert_int_equal(pf_release_memory(false, NULL, NULL), 0);
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
	    cmocka_unit_test_setup_teardown(
		a_sample_has_its_threads_name, enable_at_rate_1, disable),
	    cmocka_unit_test_setup_teardown(lives_are_told_apart, enable_at_rate_1, disable),
	    cmocka_unit_test_setup_teardown(
		two_stretches_of_lives_can_be_subtracted, enable_at_rate_1, disable),
	    cmocka_unit_test_setup_teardown(a_block_outlives_readings, enable_at_rate_1, disable),
	    cmocka_unit_test_setup_teardown(
		the_heaps_text_ends_with_a_sum, enable_at_rate_1, disable),
	    cmocka_unit_test_setup_teardown(
		what_makes_rusts_vectors_larger_is_not_shown_as_who_allocates, enable_at_rate_1,
		disable),
	    cmocka_unit_test(off_there_is_nothing_to_read),
	    cmocka_unit_test(enabling_twice_changes_nothing),
	    cmocka_unit_test(free_memory_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
