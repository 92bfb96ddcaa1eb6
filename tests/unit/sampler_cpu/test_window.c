#include "base/profile.h"
#include "sampler/stack.h"
#include "sampler/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PERIOD = 1000, POOL = 0x1000, OTHER_POOL = 0x2000 };

static uint32_t stack_of(uint64_t pc)
{
	return pf_stack_intern(&pc, 1);
}

static struct pf_record sample(pid_t tid, uint64_t start, uint64_t pc, int64_t weight)
{
	return (struct pf_record){
	    .weight_ns = weight,
	    .nominal_ns = PERIOD,
	    .start = start,
	    .stack = stack_of(pc),
	    .tid = tid,
	    .state = PF_STATE_NONE,
	    .kind = PF_RECORD_SAMPLE,
	    .count = 1,
	    .name = "worker",
	};
}

static struct pf_record rest(pid_t tid, uint64_t start, int64_t weight)
{
	struct pf_record r = sample(tid, start, 1, weight);

	r.kind = PF_RECORD_REST;
	r.nominal_ns = 0;
	r.stack = 0;
	r.count = 0;
	return r;
}

static void fill(struct pf_window *w, struct pf_profile *p)
{
	pf_window_finish(w);
	pf_profile_init(p);
	pf_profile_add_type(p, "samples", "count");
	pf_profile_add_type(p, "cpu", "nanoseconds");
	assert_int_equal(pf_window_fill(w, p), 0);
	assert_int_equal(p->error, 0);
}

/* Sum of a column over the samples whose leaf is `pc`. */
static int64_t at_leaf(const struct pf_profile *p, uint64_t pc, int column)
{
	int64_t sum = 0;

	for (size_t i = 0; i < p->sample_count; i++)
		if (p->pcs[p->samples[i].pc_first] == pc)
			sum += p->samples[i].value[column];
	return sum;
}

static void add(struct pf_window *w, struct pf_record r)
{
	pf_window_add(w, &r);
}

static void samples_of_one_thread_and_stack_become_one(void **state)
{
	struct pf_window w;
	struct pf_profile p;

	pf_window_init(&w);
	add(&w, sample(1, POOL, 0x5000, 10));
	add(&w, sample(1, POOL, 0x5000, 20));
	add(&w, sample(2, POOL, 0x5000, 40));
	add(&w, sample(1, POOL, 0x6000, 80));
	fill(&w, &p);
	assert_int_equal(p.sample_count, 3);
	assert_int_equal(p.samples[0].value[0], 2);
	assert_int_equal(p.samples[0].value[1], 30);
	assert_string_equal(p.labels[p.samples[0].label_first].str, "worker");
	assert_int_equal(p.labels[p.samples[0].label_first + 1].num, 1);
	assert_int_equal(at_leaf(&p, 0x5000, 1), 70);
	pf_profile_finish(&p);
	pf_window_clear(&w);
}

static void a_rest_goes_to_its_own_threads_samples_in_proportion(void **state)
{
	struct pf_window w;
	struct pf_profile p;

	pf_window_init(&w);
	add(&w, sample(1, POOL, 0x5000, 750));
	add(&w, sample(1, POOL, 0x6000, 250));
	add(&w, sample(2, POOL, 0x7000, 1000));
	add(&w, rest(1, POOL, 100));
	fill(&w, &p);
	assert_int_equal(at_leaf(&p, 0x5000, 1) + at_leaf(&p, 0x6000, 1), 1100);
	assert_in_range(at_leaf(&p, 0x5000, 1), 824, 826);
	assert_int_equal(at_leaf(&p, 0x7000, 1), 1000);
	assert_int_equal(at_leaf(&p, PF_PC_NOT_SAMPLED, 1), 0);
	assert_int_equal(at_leaf(&p, 0x5000, 0), 1);
	pf_profile_finish(&p);
	pf_window_clear(&w);
}

/* A hundred threads of 100 each, one of ten seen: a sample stands for a whole period. */
static void short_threads_are_shown_where_their_kin_was_seen(void **state)
{
	struct pf_window w;
	struct pf_profile p;

	pf_window_init(&w);
	for (pid_t tid = 1; tid <= 100; tid++) {
		if (tid % 10 == 0)
			add(&w, sample(tid, POOL, tid % 20 ? 0x5000 : 0x6000, 40));
		add(&w, rest(tid, POOL, tid % 10 == 0 ? 60 : 100));
	}
	fill(&w, &p);
	assert_int_equal(at_leaf(&p, 0x5000, 1), 5000);
	assert_int_equal(at_leaf(&p, 0x6000, 1), 5000);
	assert_int_equal(at_leaf(&p, PF_PC_NOT_SAMPLED, 1), 0);
	pf_profile_finish(&p);
	pf_window_clear(&w);
}

static void time_without_kin_is_shown_as_not_sampled(void **state)
{
	struct pf_window w;
	struct pf_profile p;

	pf_window_init(&w);
	add(&w, sample(1, POOL, 0x5000, 400));
	add(&w, rest(2, OTHER_POOL, 5000));
	fill(&w, &p);
	assert_int_equal(at_leaf(&p, 0x5000, 1), 400);
	assert_int_equal(at_leaf(&p, PF_PC_NOT_SAMPLED, 1), 5000);
	assert_int_equal(at_leaf(&p, PF_PC_NOT_SAMPLED, 0), 0);
	/* With the start routine as its caller. */
	for (size_t i = 0; i < p.sample_count; i++)
		if (p.pcs[p.samples[i].pc_first] == PF_PC_NOT_SAMPLED)
			assert_int_equal(p.pcs[p.samples[i].pc_first + 1], OTHER_POOL);
	pf_profile_finish(&p);
	pf_window_clear(&w);
}

/* One that blocks the signal must not be smeared over those that do not. */
static void kin_takes_no_more_than_twice_what_its_samples_stand_for(void **state)
{
	struct pf_window w;
	struct pf_profile p;

	pf_window_init(&w);
	add(&w, sample(1, POOL, 0x5000, 900));
	add(&w, rest(2, POOL, 5000));
	fill(&w, &p);
	assert_int_equal(at_leaf(&p, 0x5000, 1), PERIOD + 100);
	assert_int_equal(at_leaf(&p, PF_PC_NOT_SAMPLED, 1), 4800);
	pf_profile_finish(&p);
	pf_window_clear(&w);
}

static void lost_samples_are_shown_with_count_and_weight(void **state)
{
	struct pf_record lost = {.weight_ns = 777, .count = 3, .kind = PF_RECORD_LOST};
	struct pf_window w;
	struct pf_profile p;

	lost.state = PF_STATE_NONE;
	pf_window_init(&w);
	add(&w, lost);
	fill(&w, &p);
	assert_int_equal(at_leaf(&p, PF_PC_LOST, 0), 3);
	assert_int_equal(at_leaf(&p, PF_PC_LOST, 1), 777);
	assert_int_equal(p.label_count, 0);
	pf_profile_finish(&p);
	pf_window_clear(&w);
}

static void states_are_labels(void **state)
{
	struct pf_record r = sample(1, POOL, 0x5000, 5);
	struct pf_window w;
	struct pf_profile p;

	r.state = 35; /* nanosleep on x86-64 */
	pf_window_init(&w);
	add(&w, r);
	r.state = PF_STATE_RUNNING;
	add(&w, r);
	fill(&w, &p);
	assert_int_equal(p.sample_count, 2);
#if defined(__x86_64__)
	assert_string_equal(p.labels[2].key, "state");
	assert_string_equal(p.labels[2].str, "sleep");
	assert_string_equal(p.labels[3].key, "syscall");
	assert_string_equal(p.labels[3].str, "nanosleep");
#endif
	assert_string_equal(p.labels[6].str, "running");
	assert_int_equal(p.label_count, 7);
	pf_profile_finish(&p);
	pf_window_clear(&w);
}

static void whatever_comes_the_total_is_what_was_put_in(void **state)
{
	srand(1);
	for (int round = 0; round < 50; round++) {
		struct pf_window w;
		struct pf_profile p;
		int64_t put = 0;

		pf_window_init(&w);
		for (int i = 0; i < 2000; i++) {
			pid_t tid = 1 + rand() % 300;
			uint64_t start = tid % 3 ? POOL : OTHER_POOL;
			int64_t weight = rand() % 3000;

			put += weight;
			if (rand() % 3)
				add(&w, rest(tid, start, weight));
			else
				add(&w, sample(tid, start, 0x5000 + 16 * (rand() % 50), weight));
		}
		fill(&w, &p);
		assert_int_equal(pf_profile_total(&p, 1), put);
		pf_profile_finish(&p);
		pf_window_clear(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(samples_of_one_thread_and_stack_become_one),
	    cmocka_unit_test(a_rest_goes_to_its_own_threads_samples_in_proportion),
	    cmocka_unit_test(short_threads_are_shown_where_their_kin_was_seen),
	    cmocka_unit_test(time_without_kin_is_shown_as_not_sampled),
	    cmocka_unit_test(kin_takes_no_more_than_twice_what_its_samples_stand_for),
	    cmocka_unit_test(lost_samples_are_shown_with_count_and_weight),
	    cmocka_unit_test(states_are_labels),
	    cmocka_unit_test(whatever_comes_the_total_is_what_was_put_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
