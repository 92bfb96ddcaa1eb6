#include "fake_door.h"
#include "base/birth.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/forbid.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

struct fake_door fake;

static uint64_t counters[PF_COUNTER_COUNT];
static struct pf_feature_entry features[PF_FEATURE_COUNT];
static uint32_t stopped_early;

static uint32_t get(uint32_t *value)
{
	return __atomic_load_n(value, __ATOMIC_ACQUIRE);
}

static void add(uint32_t *value)
{
	__atomic_fetch_add(value, 1, __ATOMIC_ACQ_REL);
}

static void fill_cpu(struct pf_profile *out, const struct pf_query *query, const char *how)
{
	uint64_t pc = 0x1000;
	int64_t value = query->seconds_ns / (PF_NS_PER_SECOND / 100);

	pf_profile_add_type(out, "samples", "count");
	out->time_ns = pf_clock_real_ns();
	out->duration_ns = query->seconds_ns;
	pf_profile_add_sample(out, &pc, 1, &value);
	pf_profile_comment(out, "%s hz=%lld", how, (long long)query->hz);
}

static int collect_window(
    struct pf_profile *out, const struct pf_query *query, struct pf_wait *wait)
{
	int rc = 0;

	if (get(&fake.fail_cpu))
		return -(int)get(&fake.fail_cpu);
	if (query->seconds_ns == 0) {
		if (!fake.recorder_has)
			return -ENODATA;
		fill_cpu(out, query, "recorder");
		return 0;
	}
	add(&fake.cpu_windows);
	rc = pf_wait_until(wait, pf_clock_now_ns() + query->seconds_ns);
	if (rc < 0)
		return rc;
	if (rc == 1)
		add(&stopped_early);
	fill_cpu(out, query, rc == 1 ? "early" : "whole");
	return out->error;
}

static int collect_heap(struct pf_profile *out, const struct pf_query *query, struct pf_wait *wait)
{
	static const char *const columns[][2] = {{"alloc_objects", "count"},
	    {"alloc_space", "bytes"}, {"inuse_objects", "count"}, {"inuse_space", "bytes"}};
	int64_t n = __atomic_add_fetch(&fake.heap_reads, 1, __ATOMIC_ACQ_REL);
	int64_t values[] = {n, 1000 * n, 2, 2000 * n};
	uint64_t pc = 0x2000;

	for (size_t i = 0; i < PF_COUNT(columns); i++)
		pf_profile_add_type(out, columns[i][0], columns[i][1]);
	out->time_ns = pf_clock_real_ns();
	pf_profile_add_sample(out, &pc, 1, values);
	return out->error;
}

/* heap_peak and heap_leaks: always the same. */
static int collect_in_use(
    struct pf_profile *out, const struct pf_query *query, struct pf_wait *wait)
{
	const int64_t values[] = {2, 2000};
	uint64_t pc = 0x2000;

	pf_profile_add_type(out, "inuse_objects", "count");
	pf_profile_add_type(out, "inuse_space", "bytes");
	out->time_ns = pf_clock_real_ns();
	pf_profile_add_sample(out, &pc, 1, values);
	return out->error;
}

static int collect_threads(
    struct pf_profile *out, const struct pf_query *query, struct pf_wait *wait)
{
	uint64_t pc = 0x3000;
	int64_t one = 1;

	pf_profile_add_type(out, "threads", "count");
	out->time_ns = pf_clock_real_ns();
	pf_profile_add_sample(out, &pc, 1, &one);
	pf_profile_label_num(out, "tid", getpid(), NULL);
	return out->error;
}

static size_t list_threads(struct pf_thread_view *out, size_t max)
{
	if (max > 0) {
		out[0] = (struct pf_thread_view){
		    .tid = getpid(), .state = "running", .cpu_ns = 12345, .age_ns = 67890};
		strcpy(out[0].name, "ma\x1bin");
	}
	return 1;
}

static bool one_thread(pid_t tid, struct pf_thread_view *out)
{
	list_threads(out, 1);
	return tid == getpid();
}

static int64_t heap_records(void)
{
	return 7;
}

static int64_t thread_records(void)
{
	return 1;
}

static void heap_totals(int64_t *in_use, int64_t *allocated)
{
	*in_use = 2049;
	*allocated = 1024 * 1024;
}

static const char *custom_name(uint32_t number)
{
	static const char *const names[] = {"own0", "own1"};

	return number < fake.custom ? names[number] : NULL;
}

static int custom_collect(uint32_t number, struct pf_profile *out)
{
	uint64_t pc = 0x4000 + number;
	int64_t value = 10 + number;

	out->name = pf_profile_string(out, custom_name(number));
	pf_profile_add_type(out, out->name, "count");
	out->time_ns = pf_clock_real_ns();
	pf_profile_add_sample(out, &pc, 1, &value);
	return out->error;
}

static int release_memory(bool collect, struct pf_buf *said, struct pf_wait *wait)
{
	add(&fake.released);
	pf_buf_str(said, collect ? "released 4096 bytes" : "released 1024 bytes");
	return 0;
}

static int64_t cpu_ns(void)
{
	return 1500 * PF_NS_PER_US;
}

static int64_t memory_bytes(void)
{
	return 4096;
}

static void stack_usage(size_t *bytes, size_t *count)
{
	*bytes = 8192;
	*count = 3;
}

static int start_thread(const char *name, void *(*run)(void *), void *arg)
{
	sigset_t all, old;
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	if (get(&fake.fail_thread))
		return -(int)get(&fake.fail_thread);
	add(&fake.threads_made);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&thread, &attr, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -rc;
}

#define SWITCH(id, lower)                                                                          \
	static bool lower##_enabled(void)                                                          \
	{                                                                                          \
		return fake.on[PF_COLLECTOR_##id];                                                 \
	}                                                                                          \
	static int lower##_enable(bool on)                                                         \
	{                                                                                          \
		if (PF_COLLECTOR_##id == PF_COLLECTOR_HEAP && get(&fake.fail_enable))              \
			return -(int)get(&fake.fail_enable);                                       \
		fake.on[PF_COLLECTOR_##id] = on;                                                   \
		return 0;                                                                          \
	}

SWITCH(CPU, cpu)
SWITCH(WALL, wall)
SWITCH(HEAP, heap)

void fake_door_reset(bool wall)
{
	memset(counters, 0, sizeof(counters));
	memset(features, 0, sizeof(features));
	for (int i = 0; i < PF_KNOB_COUNT; i++)
		pf_knobs[i].value = pf_knobs[i].default_value;
	stopped_early = 0;
	fake = (struct fake_door){
	    .door =
		{
		    .version = PF_VERSION,
		    .counters = counters,
		    .knobs = pf_knobs,
		    .features = features,
		    .births = pf_birth_shared(),
		    .forbidden = pf_forbidden_to_all,
		    .collectors =
			{
			    [PF_COLLECTOR_CPU] = {"cpu", cpu_enabled, cpu_enable},
			    [PF_COLLECTOR_WALL] = {"wall", wall_enabled, wall_enable},
			    [PF_COLLECTOR_HEAP] = {"heap", heap_enabled, heap_enable},
			},
		    .collect =
			{
			    [PF_SOURCE_CPU] = collect_window,
			    [PF_SOURCE_WALL] = wall ? collect_window : NULL,
			    [PF_SOURCE_HEAP] = collect_heap,
			    [PF_SOURCE_HEAP_PEAK] = collect_in_use,
			    [PF_SOURCE_HEAP_LEAKS] = collect_in_use,
			    [PF_SOURCE_THREADS] = collect_threads,
			},
		    .records =
			{[PF_SOURCE_HEAP] = heap_records, [PF_SOURCE_THREADS] = thread_records},
		    .heap_totals = heap_totals,
		    .threads = list_threads,
		    .thread = one_thread,
		    .release_memory = release_memory,
		    .custom_name = custom_name,
		    .custom_collect = custom_collect,
		    .cpu_ns = cpu_ns,
		    .memory_bytes = memory_bytes,
		    .stack_usage = stack_usage,
		    .start_thread = start_thread,
		    .started_ns = pf_clock_real_ns(),
		},
	};
	if (!wall)
		fake.door.collectors[PF_COLLECTOR_WALL] = (struct pf_collector_ops){NULL};
}
