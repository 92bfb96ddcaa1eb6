/* Lookup, open, interrupt, forget: what the kernel would do, without a kernel. */
#include "base/clock.h"
#include "base/counter.h"
#include "fake_door.h"
#include "fs/capture.h"
#include "fs/file.h"
#include "fs/kept.h"
#include "fs/live.h"
#include "fs/snapshot.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct pf_live live;
static struct pf_workers workers;
static struct pf_files *files;
static uint64_t stored_id;
static int store_fails;
static uint32_t hurries, invalidated; /* atomic */
static char last_invalidated[64];

static int store(void *to, uint64_t id, const struct pf_snapshot *snapshot)
{
	stored_id = id;
	return store_fails;
}

static void invalidate(void *to, uint64_t parent, const char *name)
{
	snprintf(last_invalidated, sizeof(last_invalidated), "%s", name);
	__atomic_fetch_add(&invalidated, 1, __ATOMIC_RELEASE);
}

static void hurry(void *to)
{
	__atomic_fetch_add(&hurries, 1, __ATOMIC_RELAXED);
}

struct opening {
	struct pf_call call;
	int rc;
	uint32_t answered; /* atomic, futex */
};

static void on_answer(struct pf_call *call, int rc)
{
	struct opening *opening = (struct opening *)call;

	opening->rc = rc;
	__atomic_fetch_add(&opening->answered, 1, __ATOMIC_RELEASE);
	pf_futex_wake(&opening->answered, INT_MAX);
}

static void start_open(struct opening *opening, uint64_t id)
{
	*opening = (struct opening){.call.answer = on_answer};
	pf_files_open(files, id, &opening->call);
}

static int wait_open(struct opening *opening)
{
	while (!__atomic_load_n(&opening->answered, __ATOMIC_ACQUIRE))
		pf_futex_wait(&opening->answered, 0, -1);
	return opening->rc;
}

static int open_node(struct opening *opening, uint64_t id)
{
	start_open(opening, id);
	return wait_open(opening);
}

static void close_node(struct opening *opening, uint64_t id)
{
	pf_files_release(files, id, opening->call.snapshot);
}

static uint64_t lookup(uint64_t parent, const char *name)
{
	struct pf_attributes a;

	assert_int_equal(pf_files_lookup(files, parent, name, &a), 0);
	return a.id;
}

static int64_t size_of(uint64_t id)
{
	struct pf_attributes a;

	assert_int_equal(pf_files_attributes(files, id, &a), 0);
	return a.size;
}

static int setup(void **state)
{
	struct pf_kernel kernel = {store, invalidate, hurry, NULL};

	fake_door_reset(true);
	pf_counter_adopt(fake.door.counters);
	hurries = invalidated = 0;
	store_fails = 0;
	if (pf_live_init(&live, &fake.door) < 0)
		return -1;
	pf_workers_init(&workers, fake.door.start_thread);
	files = pf_files_create(&live, &workers, &kernel);
	return files ? 0 : -1;
}

static int teardown(void **state)
{
	pf_files_stop(files);
	assert_int_equal(pf_captures_stop(live.captures, INT64_MAX), 0);
	assert_int_equal(pf_workers_stop(&workers, INT64_MAX), 0);
	pf_files_destroy(files);
	pf_live_finish(&live);
	return 0;
}

static void directories_links_and_controls_are_the_same_for_everybody(void **state)
{
	uint64_t cpu = lookup(PF_TREE_ROOT, "cpu");

	assert_int_equal(cpu, lookup(PF_TREE_ROOT, "cpu"));
	assert_int_equal(lookup(cpu, "hz"), lookup(cpu, "hz"));
	assert_int_equal(lookup(PF_TREE_ROOT, "goroutine"), lookup(PF_TREE_ROOT, "goroutine"));
	assert_int_equal(live.node_count, 0);
}

static void a_lookup_finds_the_virgin_until_it_is_opened(void **state)
{
	uint64_t first = lookup(PF_TREE_ROOT, "heap");
	struct opening a;

	assert_int_equal(lookup(PF_TREE_ROOT, "heap"), first);
	assert_int_equal(size_of(first), 0);
	assert_int_equal(open_node(&a, first), 0);
	assert_int_equal(stored_id, first);
	assert_int_equal(size_of(first), a.call.snapshot->text.length);
	assert_int_not_equal(lookup(PF_TREE_ROOT, "heap"), first);
	close_node(&a, first);
}

/* Else it would be read as empty: the kernel goes by the size it knows. */
static void whose_size_the_kernel_could_not_be_told_is_read_without_it(void **state)
{
	uint64_t id = lookup(PF_TREE_ROOT, "heap");
	struct opening a, b, c;

	store_fails = -ENOMEM;
	assert_int_equal(open_node(&a, id), 0);
	assert_true(a.call.sizeless);
	store_fails = 0;
	assert_int_equal(open_node(&b, id), 0);
	assert_true(b.call.sizeless);
	close_node(&a, id);
	close_node(&b, id);
	id = lookup(PF_TREE_ROOT, "heap");
	assert_int_equal(open_node(&c, id), 0);
	assert_false(c.call.sizeless);
	close_node(&c, id);
}

static void a_second_open_of_one_node_shares_the_snapshot(void **state)
{
	uint64_t id = lookup(PF_TREE_ROOT, "heap");
	struct opening a, b;

	assert_int_equal(open_node(&a, id), 0);
	assert_int_equal(open_node(&b, id), 0);
	assert_ptr_equal(a.call.snapshot, b.call.snapshot);
	assert_int_equal(fake.heap_reads, 1);
	close_node(&a, id);
	close_node(&b, id);
}

static void a_node_goes_when_neither_kernel_nor_reader_knows_it(void **state)
{
	uint64_t id = lookup(PF_TREE_ROOT, "heap");
	struct pf_attributes a;
	struct opening o;

	lookup(PF_TREE_ROOT, "heap");
	assert_int_equal(open_node(&o, id), 0);
	pf_files_forget(files, id, 2);
	assert_int_equal(pf_files_attributes(files, id, &a), 0);
	close_node(&o, id);
	assert_int_equal(pf_files_attributes(files, id, &a), -ENOENT);
	assert_int_equal(live.node_count, 0);
}

static void an_open_fails_with_what_the_collector_says(void **state)
{
	uint64_t now = lookup(PF_TREE_ROOT, ".now");
	uint64_t id = lookup(now, "cpu.pprof");
	struct opening o;

	assert_int_equal(open_node(&o, id), -ENODATA);
	fake.fail_cpu = EACCES;
	assert_int_equal(open_node(&o, id), -EACCES);
	fake.fail_cpu = 0;
	fake.recorder_has = true;
	assert_int_equal(open_node(&o, id), 0);
	close_node(&o, id);
}

static void without_any_thread_an_open_says_so(void **state)
{
	uint64_t id = lookup(PF_TREE_ROOT, "heap");
	struct opening o;

	fake.fail_thread = EAGAIN;
	assert_int_equal(open_node(&o, id), -EAGAIN);
	id = lookup(PF_TREE_ROOT, "cpu-1s.pprof");
	assert_int_equal(open_node(&o, id), -EAGAIN);
	fake.fail_thread = 0;
	id = lookup(PF_TREE_ROOT, "status");
	assert_int_equal(open_node(&o, id), 0);
	close_node(&o, id);
}

static void an_interrupted_open_is_answered_by_the_keeper(void **state)
{
	uint64_t id = lookup(PF_TREE_ROOT, "cpu-3600s.pprof");
	struct opening a, b;

	start_open(&a, id);
	start_open(&b, id);
	pf_files_interrupt(files, &a.call);
	assert_int_not_equal(hurries, 0);
	assert_int_equal(a.answered, 0);
	pf_files_tick(files, pf_clock_now_ns());
	assert_int_equal(a.answered, 1);
	assert_int_equal(a.rc, -EINTR);
	assert_int_equal(b.answered, 0);
	pf_files_interrupt(files, &b.call);
	pf_files_tick(files, pf_clock_now_ns());
	assert_int_equal(b.rc, -EINTR);
	/* Nobody is left: a second later the capture ends, and leaves nothing. */
	pf_captures_tick(live.captures, pf_clock_now_ns() + 2ll * PF_NS_PER_SECOND);
	pf_files_forget(files, id, 1);
	assert_int_equal(pf_captures_stop(live.captures, INT64_MAX), 0);
	assert_int_equal(live.node_count, 0);
}

static void an_open_interrupted_before_it_waits_is_answered_too(void **state)
{
	struct opening o = {.call.answer = on_answer};

	pf_files_interrupt(files, &o.call);
	pf_files_open(files, lookup(PF_TREE_ROOT, "cpu-3600s.pprof"), &o.call);
	assert_int_not_equal(hurries, 0);
	pf_files_tick(files, pf_clock_now_ns());
	assert_int_equal(o.rc, -EINTR);
}

struct slow_errand {
	struct pf_errand errand;
	uint32_t go; /* atomic, futex */
};

static struct slow_errand slow;

static int work_slowly(struct pf_errand *errand)
{
	while (!__atomic_load_n(&slow.go, __ATOMIC_ACQUIRE))
		pf_futex_wait(&slow.go, 0, -1);
	return pf_wait_until(&errand->wait, 0) < 0 ? -EINTR : 7;
}

static void keep_errand(struct pf_errand *errand)
{
}

static void run_slowly(struct opening *o)
{
	slow = (struct slow_errand){.errand = {.work = work_slowly, .destroy = keep_errand}};
	*o = (struct opening){.call.answer = on_answer};
	pf_files_run(files, &slow.errand, &o->call);
	pf_files_interrupt(files, &o->call);
}

static void go_on(void)
{
	__atomic_store_n(&slow.go, 1, __ATOMIC_RELEASE);
	pf_futex_wake(&slow.go, INT_MAX);
}

static void an_interrupted_write_that_is_soon_done_is_answered_with_what_it_did(void **state)
{
	struct opening o;
	int64_t due, now;

	run_slowly(&o);
	now = pf_clock_now_ns();
	due = pf_files_tick(files, now);
	assert_int_equal(o.answered, 0);
	assert_true(due > now - PF_NS_PER_SECOND && due <= now + PF_NS_PER_SECOND);
	go_on();
	assert_int_equal(wait_open(&o), 7);
}

static void an_interrupted_write_that_takes_long_is_cancelled(void **state)
{
	struct opening o;

	run_slowly(&o);
	pf_files_tick(files, pf_clock_now_ns() + PF_NS_PER_SECOND);
	assert_int_equal(wait_open(&o), -EINTR);
	assert_int_equal(slow.errand.wait.end, PF_WAIT_CANCELLED);
	go_on();
}

static void a_crowd_shares_what_is_made_after_all_of_them_have_asked(void **state)
{
	static struct slow_errand busy[PF_WORKERS_MAX];
	struct opening held[PF_WORKERS_MAX], early, late;
	uint64_t id = lookup(PF_TREE_ROOT, "heap");

	slow.go = 0;
	for (int i = 0; i < PF_WORKERS_MAX; i++) {
		busy[i] = (struct slow_errand){{.work = work_slowly, .destroy = keep_errand}};
		held[i] = (struct opening){.call.answer = on_answer};
		pf_files_run(files, &busy[i].errand, &held[i].call);
	}
	start_open(&early, id); /* no worker is free to begin with it */
	assert_int_equal(lookup(PF_TREE_ROOT, "heap"), id);
	go_on();
	assert_int_equal(wait_open(&early), 0);
	assert_int_not_equal(lookup(PF_TREE_ROOT, "heap"), id);
	assert_int_equal(open_node(&late, id), 0);
	assert_ptr_equal(early.call.snapshot, late.call.snapshot);
	assert_int_equal(fake.heap_reads, 1);
	for (int i = 0; i < PF_WORKERS_MAX; i++)
		wait_open(&held[i]);
	close_node(&early, id);
	close_node(&late, id);
}

static void a_wait_for_time_is_shared_by_nobody_who_asks_later(void **state)
{
	uint64_t id = lookup(PF_TREE_ROOT, "cpu-3600s.pprof");
	struct opening o;

	start_open(&o, id);
	assert_int_not_equal(lookup(PF_TREE_ROOT, "cpu-3600s.pprof"), id);
	pf_files_interrupt(files, &o.call);
	pf_files_tick(files, pf_clock_now_ns());
	assert_int_equal(wait_open(&o), -EINTR);
}

static void a_profile_of_the_programs_own_is_asked_like_the_others(void **state)
{
	uint64_t custom = lookup(PF_TREE_ROOT, "custom"), id;
	struct pf_attributes a;
	struct opening o;

	fake.custom = 2;
	id = lookup(custom, "own1,debug=1");
	assert_int_equal(open_node(&o, id), 0);
	assert_memory_equal(o.call.snapshot->text.at, "legacy own1 ", 12);
	close_node(&o, id);
	id = lookup(custom, "own0.folded");
	assert_int_equal(open_node(&o, id), 0);
	assert_memory_equal(o.call.snapshot->text.at, "folded own0 ", 12);
	close_node(&o, id);
	assert_int_equal(pf_files_lookup(files, custom, "own2", &a), -ENOENT);
	assert_int_equal(pf_files_lookup(files, custom, "own1?debug=x", &a), -EINVAL);
	assert_int_equal(pf_files_lookup(files, custom, "own1?seconds=1", &a), -EINVAL);
}

static void nobody_waits_longer_than_the_kernel_has_patience(void **state)
{
	uint64_t id = lookup(PF_TREE_ROOT, "cpu-3600s.pprof");
	struct opening o;
	int64_t due, now;

	pf_files_set_patience(files, 10ll * PF_NS_PER_SECOND);
	start_open(&o, id);
	now = pf_clock_now_ns();
	due = pf_files_tick(files, now);
	assert_true(due > now && due <= now + 10ll * PF_NS_PER_SECOND);
	assert_int_equal(o.answered, 0);
	pf_files_tick(files, due);
	assert_int_equal(o.rc, -EINTR);
}

static bool has_lines(struct pf_call *call)
{
	return live.events.count > 0;
}

static void a_stream_is_kept_alive(void **state)
{
	struct opening o = {.call = {.answer = on_answer, .ready = has_lines}};

	pf_files_set_patience(files, 10ll * PF_NS_PER_SECOND);
	pf_files_wait(files, &o.call);
	pf_files_tick(files, pf_clock_now_ns());
	assert_int_equal(o.answered, 0);
	pf_files_tick(files, pf_clock_now_ns() + 11ll * PF_NS_PER_SECOND);
	assert_int_equal(o.answered, 1);
	assert_int_equal(o.rc, 0);
}

static void stopping_answers_everybody(void **state)
{
	struct opening a, b;
	uint64_t id = lookup(PF_TREE_ROOT, "cpu-3600s.pprof");

	start_open(&a, id);
	pf_files_stop(files);
	assert_int_equal(a.rc, -EINTR);
	assert_int_equal(open_node(&b, id), -EINTR);
	pf_files_forget(files, id, 1);
}

static void formats_of_one_capture_are_drawn_once_each(void **state)
{
	uint64_t a = lookup(PF_TREE_ROOT, "cpu-0.05s.pprof");
	uint64_t b = lookup(PF_TREE_ROOT, "cpu,seconds=0.05");
	uint64_t c = lookup(PF_TREE_ROOT, "cpu.pprof,seconds=0.05");
	struct opening x, y, z;

	start_open(&x, a);
	start_open(&y, b);
	start_open(&z, c);
	assert_int_equal(wait_open(&x) | wait_open(&y) | wait_open(&z), 0);
	assert_memory_equal(x.call.snapshot->text.at, "pprof cpu", 9);
	assert_memory_equal(y.call.snapshot->text.at, "text cpu", 8);
	assert_ptr_equal(x.call.snapshot, z.call.snapshot);
	assert_int_equal(fake.cpu_windows, 1);
	close_node(&x, a);
	close_node(&y, b);
	close_node(&z, c);
}

static void copy_name(void *to, const char *name, bool directory)
{
	strcpy(to, name);
}

static void a_capture_has_its_size_before_it_is_opened(void **state)
{
	uint64_t captures = lookup(PF_TREE_ROOT, "captures");
	uint64_t id = lookup(PF_TREE_ROOT, "cpu-0.01s.pprof");
	struct pf_attributes a;
	struct opening o, kept;
	char name[64];

	assert_int_equal(open_node(&o, id), 0);
	pf_kept_list(&live, 0, copy_name, name);
	assert_int_equal(pf_files_lookup(files, captures, name, &a), 0);
	assert_int_equal(a.size, o.call.snapshot->text.length);
	assert_true(a.settled);
	assert_int_equal(open_node(&kept, a.id), 0);
	assert_int_equal(lookup(captures, name), a.id);
	close_node(&kept, a.id);
	close_node(&o, id);
}

static void names_are_forgotten_later_when_there_is_no_thread_for_it_now(void **state)
{
	int64_t due;

	lookup(PF_TREE_ROOT, "heap?x=1");
	due = pf_files_tick(files, pf_clock_now_ns());
	pf_wait_until(NULL, due);
	fake.fail_thread = EAGAIN;
	due = pf_files_tick(files, pf_clock_now_ns());
	assert_int_equal(invalidated, 0);
	fake.fail_thread = 0;
	pf_wait_until(NULL, due);
	pf_files_tick(files, pf_clock_now_ns());
	while (!__atomic_load_n(&invalidated, __ATOMIC_ACQUIRE))
		sched_yield();
	assert_string_equal(last_invalidated, "heap?x=1");
}

static void unused_names_are_forgotten_after_a_while(void **state)
{
	uint64_t id = lookup(PF_TREE_ROOT, "heap?x=1");
	int64_t now = pf_clock_now_ns();
	int64_t due = pf_files_tick(files, now);

	assert_true(due > now && due <= now + 2ll * PF_NS_PER_SECOND);
	assert_int_equal(invalidated, 0);
	pf_wait_until(NULL, due);
	pf_files_tick(files, pf_clock_now_ns());
	while (!__atomic_load_n(&invalidated, __ATOMIC_ACQUIRE))
		;
	assert_string_equal(last_invalidated, "heap?x=1");
	/* Asked once; and when the kernel obeys, it is gone. */
	assert_int_equal(pf_files_tick(files, pf_clock_now_ns()), -1);
	pf_files_forget(files, id, 1);
	assert_int_equal(live.node_count, 0);
}

static void invented_names_are_limited_and_leave_room(void **state)
{
	static const char *const members[] = {"name", "state", "stack", "cpu_ns"};
	struct pf_attributes a;
	char name[32];
	uint64_t thread;

	/* What lists name exists, and takes no room. */
	snprintf(name, sizeof(name), "%d", getpid());
	thread = lookup(lookup(PF_TREE_ROOT, "thread"), name);
	for (size_t i = 0; i < PF_COUNT(members); i++)
		lookup(thread, members[i]);
	for (int i = 0; i < PF_FILES_NODES_MAX; i++) {
		snprintf(name, sizeof(name), "heap?x=%d", i);
		assert_int_equal(pf_files_lookup(files, PF_TREE_ROOT, name, &a), 0);
	}
	assert_int_equal(pf_files_lookup(files, PF_TREE_ROOT, "heap?y=1", &a), -ENFILE);
	assert_int_equal(pf_files_lookup(files, PF_TREE_ROOT, "status", &a), 0);
	assert_int_equal(pf_counter_get(PF_COUNTER_FS_LOST_NODES), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(directories_links_and_controls_are_the_same_for_everybody),
	    TEST(a_lookup_finds_the_virgin_until_it_is_opened),
	    TEST(whose_size_the_kernel_could_not_be_told_is_read_without_it),
	    TEST(a_second_open_of_one_node_shares_the_snapshot),
	    TEST(a_node_goes_when_neither_kernel_nor_reader_knows_it),
	    TEST(an_open_fails_with_what_the_collector_says),
	    TEST(without_any_thread_an_open_says_so),
	    TEST(an_interrupted_open_is_answered_by_the_keeper),
	    TEST(an_open_interrupted_before_it_waits_is_answered_too),
	    TEST(an_interrupted_write_that_is_soon_done_is_answered_with_what_it_did),
	    TEST(an_interrupted_write_that_takes_long_is_cancelled),
	    TEST(a_crowd_shares_what_is_made_after_all_of_them_have_asked),
	    TEST(a_wait_for_time_is_shared_by_nobody_who_asks_later),
	    TEST(a_profile_of_the_programs_own_is_asked_like_the_others),
	    TEST(nobody_waits_longer_than_the_kernel_has_patience),
	    TEST(a_stream_is_kept_alive),
	    TEST(stopping_answers_everybody),
	    TEST(formats_of_one_capture_are_drawn_once_each),
	    TEST(a_capture_has_its_size_before_it_is_opened),
	    TEST(names_are_forgotten_later_when_there_is_no_thread_for_it_now),
	    TEST(unused_names_are_forgotten_after_a_while),
	    TEST(invented_names_are_limited_and_leave_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
