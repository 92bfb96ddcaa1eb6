/* The registry: every way a thread may come and go. */
#include "base/clock.h"
#include "base/counter.h"
#include "life.h"
#include "sampler/cpu.h"
#include "sampler/crew.h"
#include "sampler/task.h"
#include "sampler/thread.h"
#include "sampler/threadcreate_hook.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>

#include <cmocka.h>

static sem_t begun, go_on;
static pid_t tid_of_begun;
static const struct pf_thread *slot_of_begun;

static struct pf_thread *find(pid_t tid)
{
	for (uint32_t i = 0; i < pf_thread_limit(); i++)
		if (pf_thread_is_live(pf_thread_at(i)) && pf_thread_at(i)->tid == tid)
			return pf_thread_at(i);
	return NULL;
}

static size_t live_count(void)
{
	size_t count = 0;

	for (uint32_t i = 0; i < pf_thread_limit(); i++)
		count += pf_thread_is_live(pf_thread_at(i));
	return count;
}

static void announce(void)
{
	tid_of_begun = (pid_t)syscall(SYS_gettid);
	slot_of_begun = pf_thread_self;
	sem_post(&begun);
	sem_wait(&go_on);
}

static void *return_at_once(void *arg)
{
	announce();
	return arg;
}

static void *exit_below(void *arg)
{
	announce();
	pthread_exit(arg);
}

static void *wait_for_cancel(void *arg)
{
	announce(); /* and no further */
	return arg;
}

static void *leave_by_system_call(void *arg)
{
	announce();
	syscall(SYS_exit, 0);
	return arg;
}

static pthread_t begin(void *(*run)(void *))
{
	pthread_t thread;

	assert_int_equal(pf_threadcreate_pthread(&thread, NULL, run, &begun), 0);
	sem_wait(&begun);
	return thread;
}

/* A join returns a moment before the kernel has let the thread go. */
static void join_and_wait_till_gone(pthread_t thread)
{
	pthread_join(thread, NULL);
	while (syscall(SYS_tgkill, getpid(), tid_of_begun, 0) == 0)
		usleep(1000);
}

static void a_created_thread_has_its_slot_from_its_first_step(void **state)
{
	pthread_t thread = begin(return_at_once);
	const struct pf_thread *t = find(tid_of_begun);
	void *result;

	assert_non_null(t);
	assert_ptr_equal(t, slot_of_begun);
	assert_int_equal(t->start, (uintptr_t)return_at_once);
	assert_int_equal(t->creator, getpid());
	assert_int_not_equal(t->created_by, 0);
	assert_string_equal(t->name, "test_thread");
	sem_post(&go_on);
	pthread_join(thread, &result);
	assert_ptr_equal(result, &begun); /* argument and result pass through us unchanged */
}

static void a_thread_that_returns_gives_its_slot_back(void **state)
{
	size_t before = live_count();
	pthread_t thread = begin(return_at_once);

	assert_int_equal(live_count(), before + 1);
	sem_post(&go_on);
	pthread_join(thread, NULL);
	assert_int_equal(live_count(), before);
	assert_null(find(tid_of_begun));
}

static void a_thread_that_exits_below_gives_its_slot_back(void **state)
{
	pthread_t thread = begin(exit_below);
	void *result;

	sem_post(&go_on);
	pthread_join(thread, &result);
	assert_ptr_equal(result, &begun);
	assert_null(find(tid_of_begun));
}

static void a_cancelled_thread_gives_its_slot_back(void **state)
{
	pthread_t thread = begin(wait_for_cancel);
	void *result;

	pthread_cancel(thread);
	pthread_join(thread, &result);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	assert_null(find(tid_of_begun));
}

static void a_thread_that_leaves_by_system_call_is_missed_at_the_next_scan(void **state)
{
	pthread_t thread = begin(leave_by_system_call);

	sem_post(&go_on);
	join_and_wait_till_gone(thread);
	assert_non_null(find(tid_of_begun));
	pf_cpu_scan();
	assert_null(find(tid_of_begun));
}

static pthread_key_t late_key;

/* In the last of the four rounds of destructors (PTHREAD_DESTRUCTOR_ITERATIONS), long after ours. */
static void work_on(void *rounds_left)
{
	if ((uintptr_t)rounds_left > 1)
		pthread_setspecific(late_key, (void *)((uintptr_t)rounds_left - 1));
	else
		announce();
}

static void *leave_late(void *arg)
{
	pthread_setspecific(late_key, (void *)4);
	return arg;
}

static void a_thread_met_after_it_told_its_end_is_not_a_new_one(void **state)
{
	size_t before = live_count();
	uint64_t seen = pf_counter_get(PF_COUNTER_THREAD_SEEN);
	const struct pf_thread *t;
	pthread_t thread;

	assert_int_equal(pthread_key_create(&late_key, work_on), 0);
	thread = begin(leave_late);
	assert_null(slot_of_begun); /* our destructor has run */
	assert_null(find(tid_of_begun));
	pf_cpu_scan();
	t = find(tid_of_begun);
	assert_non_null(t);
	assert_int_equal(t->start, (uintptr_t)leave_late);
	assert_int_equal(t->creator, getpid());
	assert_int_not_equal(t->created_by, 0);
	sem_post(&go_on);
	join_and_wait_till_gone(thread);
	pthread_key_delete(late_key);
	pf_cpu_scan();
	assert_int_equal(live_count(), before);
	assert_int_equal(pf_counter_get(PF_COUNTER_THREAD_SEEN), seen + 1);
}

static void when_a_thread_began_is_known(void **state)
{
	const int64_t tick_ns = PF_NS_PER_SECOND / sysconf(_SC_CLK_TCK);
	int64_t before = pf_clock_ns(CLOCK_BOOTTIME);
	pthread_t thread = begin(return_at_once);
	int64_t began_ns = pf_task_begun_ns(tid_of_begun);

	assert_in_range(began_ns, before - tick_ns, pf_clock_ns(CLOCK_BOOTTIME));
	sem_post(&go_on);
	pthread_join(thread, NULL);
	assert_int_equal(pf_task_begun_ns(0), -1);
}

static int c11_main(void *arg)
{
	announce();
	return *(int *)arg;
}

static void a_c11_thread_has_its_slot_and_its_result(void **state)
{
	int answer = 42, result;
	thrd_t thread;

	assert_int_equal(pf_threadcreate_thrd(&thread, c11_main, &answer), thrd_success);
	sem_wait(&begun);
	assert_non_null(find(tid_of_begun));
	sem_post(&go_on);
	thrd_join(thread, &result);
	assert_int_equal(result, 42);
	assert_null(find(tid_of_begun));
}

static void a_thread_the_hook_did_not_see_is_found_by_the_scan(void **state)
{
	const struct pf_thread *t;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, return_at_once, NULL), 0);
	sem_wait(&begun);
	assert_null(find(tid_of_begun));
	pf_cpu_scan();
	t = find(tid_of_begun);
	assert_non_null(t);
	assert_int_equal(t->start, 0);
	assert_string_equal(t->name, "test_thread");
	sem_post(&go_on);
	join_and_wait_till_gone(thread);
	pf_cpu_scan();
	assert_null(find(tid_of_begun));
}

/* It has less CPU time than was noted: another thread has the number now. */
static void whoever_has_the_number_of_one_that_is_gone_is_met_at_once(void **state)
{
	struct pf_thread *t;
	pthread_t thread;
	uint32_t generation;

	assert_int_equal(pthread_create(&thread, NULL, return_at_once, NULL), 0);
	sem_wait(&begun);
	pf_cpu_scan();
	t = find(tid_of_begun);
	assert_non_null(t);
	generation = pf_thread_generation(t);
	pf_thread_note_cpu(t, t->cpu_ns + 3600ll * PF_NS_PER_SECOND, pf_clock_now_ns());
	pf_cpu_scan();
	t = find(tid_of_begun);
	assert_non_null(t);
	assert_int_not_equal(pf_thread_generation(t), generation);
	sem_post(&go_on);
	join_and_wait_till_gone(thread);
	pf_cpu_scan();
}

static void our_own_threads_are_not_the_programs(void **state)
{
	pf_cpu_scan();
	for (uint32_t i = 0; i < pf_thread_limit(); i++)
		if (pf_thread_is_live(pf_thread_at(i)))
			assert_false(pf_crew_has(pf_thread_at(i)->tid));
	assert_int_equal(live_count(), 1);
}

static void a_failed_creation_leaves_nothing_behind(void **state)
{
	size_t before = live_count();
	pthread_attr_t attributes;
	pthread_t thread;

	/* More than the address space has. */
	pthread_attr_init(&attributes);
	assert_int_equal(pthread_attr_setstacksize(&attributes, (size_t)1 << 47), 0);
	for (int i = 0; i < 1000; i++)
		assert_int_not_equal(
		    pf_threadcreate_pthread(&thread, &attributes, return_at_once, NULL), 0);
	assert_int_equal(live_count(), before);
}

static void the_name_is_read_again_when_a_thread_has_run(void **state)
{
	struct pf_thread *t;

	pf_cpu_scan();
	t = find(getpid());
	assert_string_equal(t->name, "test_thread");
	pthread_setname_np(pthread_self(), "renamed");
	pf_cpu_scan();
	assert_string_equal(t->name, "renamed");
	pthread_setname_np(pthread_self(), "test_thread");
}

static void *scan_often(void *over)
{
	tid_of_begun = (pid_t)syscall(SYS_gettid);
	for (int i = 0; i < 20000; i++)
		pf_cpu_scan();
	__atomic_store_n((uint32_t *)over, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* A heap sample taken in that moment would be of another thread. */
static void a_name_that_is_read_again_is_whole_at_every_moment(void **state)
{
	const volatile char *name;
	pthread_t thread;
	uint32_t over = 0;

	pf_cpu_scan();
	name = find(getpid())->name;
	assert_int_equal(pthread_create(&thread, NULL, scan_often, &over), 0);
	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) /* and runs all the time */
		for (int i = 0; i < 12; i++)
			assert_int_equal(name[i], "test_thread"[i]);
	join_and_wait_till_gone(thread);
	pf_cpu_scan();
}

/* A slot lent again must not be answered for by a signal meant for the one before. */
static void a_slot_lent_again_is_of_another_generation(void **state)
{
	pthread_t thread = begin(return_at_once);
	const struct pf_thread *first = slot_of_begun;
	uint32_t generation = pf_thread_generation(first);

	sem_post(&go_on);
	pthread_join(thread, NULL);
	thread = begin(return_at_once);
	assert_ptr_equal(slot_of_begun, first);
	assert_int_not_equal(pf_thread_generation(first), generation);
	sem_post(&go_on);
	pthread_join(thread, NULL);
}

static void while_something_samples_the_dead_keep_their_slots(void **state)
{
	pthread_t thread = begin(return_at_once);
	const struct pf_thread *first = slot_of_begun;
	uint32_t dead;

	pf_thread_keep_dead(true);
	sem_post(&go_on);
	pthread_join(thread, NULL);
	assert_int_equal(first->state, PF_THREAD_DEAD);
	assert_string_equal(first->name, "test_thread");
	thread = begin(return_at_once);
	assert_ptr_not_equal(slot_of_begun, first);
	sem_post(&go_on);
	pthread_join(thread, NULL);
	dead = pf_thread_dead();
	pf_thread_keep_dead(false);
	assert_int_equal(first->state, PF_THREAD_DEAD);
	pf_thread_bury(dead);
	assert_int_equal(first->state, PF_THREAD_FREE);
}

static int in_the_child(void)
{
	pthread_t thread;

	pf_crew_forget();
	pf_cpu_fork_child();
	if (live_count() != 0 || pf_thread_self)
		return 1;
	pf_cpu_scan();
	if (live_count() != 1 || !find(getpid()) || pf_task_count() != 1)
		return 2;
	if (pf_threadcreate_pthread(&thread, NULL, return_at_once, NULL) != 0)
		return 3;
	sem_wait(&begun);
	if (live_count() != 2 || !find(tid_of_begun) || pf_task_count() != 2)
		return 4;
	if (pf_crew_start("test", return_at_once, NULL) != 0)
		return 5;
	sem_wait(&begun); /* a third thread, and one of ours */
	if (pf_crew_count() != 1 || pf_task_count() != 2)
		return 6;
	return 0;
}

static void a_forked_child_knows_itself_alone(void **state)
{
	pthread_t thread = begin(return_at_once);
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(in_the_child());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	sem_post(&go_on);
	pthread_join(thread, NULL);
}

static void *do_nothing(void *arg)
{
	return arg;
}

static void *create_many(void *unused)
{
	for (int i = 0; i < 2000; i++) {
		pthread_t thread;

		if (pf_threadcreate_pthread(&thread, NULL, do_nothing, NULL) == 0)
			pthread_join(thread, NULL);
	}
	return unused;
}

static void creating_in_many_threads_while_scanning_loses_no_slot(void **state)
{
	size_t before = live_count();
	pthread_t creators[4];

	for (int i = 0; i < 4; i++)
		assert_int_equal(pf_threadcreate_pthread(&creators[i], NULL, create_many, NULL), 0);
	for (int i = 0; i < 200; i++)
		pf_cpu_scan();
	for (int i = 0; i < 4; i++)
		pthread_join(creators[i], NULL);
	while (pf_task_count() > 1)
		usleep(1000);
	pf_cpu_scan();
	assert_int_equal(live_count(), before);
	assert_true(pf_thread_limit() <= 512);
}

/* Who walks the slots touches those that have had a thread; the child of a fork finds all the others, too. */
static void a_walk_is_as_long_as_the_most_threads_there_ever_were(void **state)
{
	uint32_t limit = pf_thread_limit();
	struct pf_thread *t = NULL;
	uint32_t taken = 0;
	int status;
	pid_t child;

	for (uint32_t i = 0; i < limit; i++)
		assert_int_not_equal(pf_thread_generation(pf_thread_at(i)), 0);
	child = fork();
	if (child == 0) {
		pf_thread_fork_child();
		while (taken <= limit && (t = pf_thread_conceive(1, NULL, 0)) && t->number == taken)
			taken++;
		_exit(taken > limit && pf_thread_limit() == limit + 1 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* Last: it uses the table up. */
static void a_full_table_is_counted_and_threads_work_all_the_same(void **state)
{
	uint64_t before = pf_counter_get(PF_COUNTER_THREAD_LOST_TABLE);
	pthread_t thread;

	while (pf_thread_conceive(1, NULL, 0))
		;
	assert_int_equal(pf_counter_get(PF_COUNTER_THREAD_LOST_TABLE), before + 1);
	thread = begin(return_at_once);
	assert_null(slot_of_begun);
	sem_post(&go_on);
	pthread_join(thread, NULL);
	assert_int_equal(pf_counter_get(PF_COUNTER_THREAD_LOST_TABLE), before + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(our_own_threads_are_not_the_programs),
	    cmocka_unit_test(a_created_thread_has_its_slot_from_its_first_step),
	    cmocka_unit_test(a_thread_that_returns_gives_its_slot_back),
	    cmocka_unit_test(a_thread_that_exits_below_gives_its_slot_back),
	    cmocka_unit_test(a_cancelled_thread_gives_its_slot_back),
	    cmocka_unit_test(a_thread_that_leaves_by_system_call_is_missed_at_the_next_scan),
	    cmocka_unit_test(a_c11_thread_has_its_slot_and_its_result),
	    cmocka_unit_test(a_thread_the_hook_did_not_see_is_found_by_the_scan),
	    cmocka_unit_test(whoever_has_the_number_of_one_that_is_gone_is_met_at_once),
	    cmocka_unit_test(a_thread_met_after_it_told_its_end_is_not_a_new_one),
	    cmocka_unit_test(when_a_thread_began_is_known),
	    cmocka_unit_test(a_failed_creation_leaves_nothing_behind),
	    cmocka_unit_test(the_name_is_read_again_when_a_thread_has_run),
	    cmocka_unit_test(a_name_that_is_read_again_is_whole_at_every_moment),
	    cmocka_unit_test(a_slot_lent_again_is_of_another_generation),
	    cmocka_unit_test(while_something_samples_the_dead_keep_their_slots),
	    cmocka_unit_test(a_forked_child_knows_itself_alone),
	    cmocka_unit_test(creating_in_many_threads_while_scanning_loses_no_slot),
	    cmocka_unit_test(a_walk_is_as_long_as_the_most_threads_there_ever_were),
	    cmocka_unit_test(a_full_table_is_counted_and_threads_work_all_the_same),
	};

	sem_init(&begun, 0, 0);
	sem_init(&go_on, 0, 0);
	life_start();
	pf_thread_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
