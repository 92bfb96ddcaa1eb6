/* CPU samples: real timers on real threads, whose answer is their own CPU clock. */
#include "base/clock.h"
#include "base/counter.h"
#include "base/knob.h"
#include "sampler/cpu.h"
#include "sampler/drain.h"
#include "sampler/threadcreate_hook.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

static volatile uint64_t sink;

static int64_t own_cpu_ns(void)
{
	return pf_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static void burn(int64_t ns)
{
	int64_t until = own_cpu_ns() + ns;

	while (own_cpu_ns() < until)
		for (int i = 0; i < 20000; i++)
			sink = sink * 31 + 1;
}

/* Time of all samples that carry this thread's label. */
static int64_t time_of(const struct pf_profile *p, pid_t tid)
{
	int64_t sum = 0;

	for (size_t i = 0; i < p->sample_count; i++)
		for (uint32_t k = 0; k < p->samples[i].label_count; k++) {
			const struct pf_label *l = &p->labels[p->samples[i].label_first + k];

			if (strcmp(l->key, "tid") == 0 && l->num == tid)
				sum += p->samples[i].value[1];
		}
	return sum;
}

static void show(const struct pf_profile *p)
{
	for (size_t i = 0; i < p->sample_count; i++) {
		const struct pf_sample *s = &p->samples[i];

		fprintf(stderr, "%ld %ld pc %lx\n", (long)s->value[0], (long)s->value[1],
		    (long)p->pcs[s->pc_first]);
	}
}

struct capture {
	struct pf_profile profile;
	struct pf_query query;
	struct pf_wait wait;
	pthread_t thread;
	int rc;
};

static void *capture(void *arg)
{
	struct capture *c = arg;

	pf_profile_init(&c->profile);
	c->rc = pf_cpu_collect(&c->profile, &c->query, &c->wait);
	return NULL;
}

static void capture_begin(struct capture *c, int64_t hz)
{
	memset(c, 0, sizeof(*c));
	c->query.seconds_ns = 600ll * PF_NS_PER_SECOND;
	c->query.hz = hz;
	assert_int_equal(pthread_create(&c->thread, NULL, capture, c), 0);
	while (!pf_cpu_active())
		usleep(1000);
	usleep(20000);
}

static void capture_end(struct capture *c)
{
	pf_wait_stop(&c->wait);
	pthread_join(c->thread, NULL);
	assert_int_equal(c->rc, 0);
}

static void time_of_a_thread_is_its_clock(void **state)
{
	struct capture c;
	int64_t before, used, got;

	capture_begin(&c, 1000);
	before = own_cpu_ns();
	burn(2 * PF_NS_PER_SECOND);
	used = own_cpu_ns() - before;
	capture_end(&c);
	got = time_of(&c.profile, getpid());
	show(&c.profile);
	fprintf(stderr, "used %ld got %ld samples %ld\n", (long)used, (long)got, (long)c.profile.sample_count);
	pf_profile_finish(&c.profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(time_of_a_thread_is_its_clock),
	};

	if (pf_drain_start() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
