#include "sampler/ring.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct pf_ring_record numbered(int64_t n)
{
	return (struct pf_ring_record){.time_ns = n, .weight_ns = 2 * n, .stack = 3, .thread = 4};
}

static void records_come_out_in_order_and_whole(void **state)
{
	struct pf_ring_record out;

	for (int64_t n = 1; n <= 10; n++) {
		struct pf_ring_record in = numbered(n);

		in.tid = 77;
		in.labels = 5;
		in.rest = n == 7;
		assert_true(pf_ring_push(&in));
	}
	for (int64_t n = 1; n <= 10; n++) {
		assert_true(pf_ring_pop(&out));
		assert_int_equal(out.time_ns, n);
		assert_int_equal(out.weight_ns, 2 * n);
		assert_int_equal(out.stack, 3);
		assert_int_equal(out.thread, 4);
		assert_int_equal(out.tid, 77);
		assert_int_equal(out.labels, 5);
		assert_int_equal(out.rest, n == 7);
	}
	assert_false(pf_ring_pop(&out));
}

static void a_full_ring_refuses_and_takes_again_after_a_read(void **state)
{
	struct pf_ring_record in = numbered(1);
	struct pf_ring_record out;
	int64_t kept = 0;

	while (pf_ring_push(&in))
		in = numbered(++kept + 1);
	assert_true(kept >= 16);
	assert_true(pf_ring_pop(&out));
	assert_true(pf_ring_push(&in));
	assert_false(pf_ring_push(&in));
	for (int64_t n = 2; n <= kept + 1; n++) {
		assert_true(pf_ring_pop(&out));
		assert_int_equal(out.time_ns, n);
	}
	assert_false(pf_ring_pop(&out));
}

enum { WRITERS = 4, PER_WRITER = 50000 };
static int64_t refused; /* atomic */

static void *write_many(void *number)
{
	for (int64_t n = 1; n <= PER_WRITER; n++) {
		struct pf_ring_record in = numbered(n);

		in.thread = (uint32_t)(uintptr_t)number;
		while (!pf_ring_push(&in)) {
			__atomic_fetch_add(&refused, 1, __ATOMIC_RELAXED);
			sched_yield();
		}
	}
	return NULL;
}

static void many_writers_lose_nothing(void **state)
{
	pthread_t threads[WRITERS];
	int64_t last[WRITERS] = {0};
	struct pf_ring_record out;

	for (uintptr_t i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_many, (void *)i), 0);
	for (int64_t got = 0; got < (int64_t)WRITERS * PER_WRITER;) {
		if (!pf_ring_pop(&out)) {
			sched_yield();
			continue;
		}
		assert_int_equal(out.time_ns, last[out.thread] + 1);
		assert_int_equal(out.weight_ns, 2 * out.time_ns);
		last[out.thread] = out.time_ns;
		got++;
	}
	for (int i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	assert_false(pf_ring_pop(&out));
}

static void after_fork_the_ring_is_empty_and_works(void **state)
{
	struct pf_ring_record in = numbered(5);
	struct pf_ring_record out;

	assert_true(pf_ring_push(&in));
	pf_ring_fork_child();
	assert_false(pf_ring_pop(&out));
	assert_true(pf_ring_push(&in));
	assert_true(pf_ring_pop(&out));
	assert_int_equal(out.time_ns, 5);
}

static int make_ring(void **state)
{
	struct pf_ring_record in = numbered(1);

	/* Before it exists, everything is refused. */
	return pf_ring_push(&in) ? -1 : pf_ring_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(records_come_out_in_order_and_whole),
	    cmocka_unit_test(a_full_ring_refuses_and_takes_again_after_a_read),
	    cmocka_unit_test(many_writers_lose_nothing),
	    cmocka_unit_test(after_fork_the_ring_is_empty_and_works),
	};

	return cmocka_run_group_tests(tests, make_ring, NULL);
}
