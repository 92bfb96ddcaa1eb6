/* The choice of a signal, in children of their own: it is made once in a process. */
#include "base/clock.h"
#include "base/counter.h"
#include "base/feature.h"
#include "base/knob.h"
#include "life.h"
#include "sampler/cpu.h"
#include "sampler/signal.h"
#include "sampler/thread.h"
#include "sampler/threads.h"
#include "sampler/wall.h"

#include <errno.h>
#include <linux/audit.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const int64_t SECOND = 1000000000;

/* How many samples half a second of work brings, up to 100. */
static int samples(void)
{
	uint64_t before = pf_counter_get(PF_COUNTER_CPU_SAMPLES);
	uint64_t got;

	life_start();
	if (pf_cpu_enable(true) < 0)
		return 101;
	life_burn(SECOND / 2);
	got = pf_counter_get(PF_COUNTER_CPU_SAMPLES) - before;
	return got < 100 ? (int)got : 100;
}

static void of_the_program(int signal)
{
	_exit(99);
}

static void own(int signal)
{
	struct sigaction mine = {.sa_handler = of_the_program};

	if (sigaction(signal, &mine, NULL) < 0)
		abort();
}

static int in_a_plain_program(void)
{
	return samples() > 20 && pf_signal_number() == SIGRTMAX - 1 ? 0 : 1;
}

static void the_last_signal_but_one_is_taken_where_it_is_free(void **state)
{
	assert_int_equal(life_apart(in_a_plain_program), 0);
}

static int in_an_owner_of_all_but_one(void)
{
	int spared = SIGRTMIN + 5;

	own(SIGPROF);
	for (int signal = SIGRTMIN; signal <= SIGRTMAX; signal++)
		if (signal != spared)
			own(signal);
	return samples() > 20 && pf_signal_number() == spared ? 0 : 1;
}

static void an_owner_of_all_signals_but_one_is_sampled_by_that_one(void **state)
{
	assert_int_equal(life_apart(in_an_owner_of_all_but_one), 0);
}

static int in_an_owner_of_all(void)
{
	for (int signal = SIGRTMIN; signal <= SIGRTMAX; signal++)
		own(signal);
	life_start();
	if (pf_cpu_enable(true) != -EOPNOTSUPP)
		return 1;
	if (pf_features[PF_FEATURE_CPU].state != PF_FEATURE_NONE || pf_cpu_enabled())
		return 2;
	return 0;
}

static void an_owner_of_all_signals_is_not_sampled_and_is_told(void **state)
{
	assert_int_equal(life_apart(in_an_owner_of_all), 0);
}

/* Go and Java take them all, some time after us. */
static int in_one_that_takes_all_meanwhile(void)
{
	if (samples() == 0)
		return 1;
	/* What is under way still comes to it. */
	for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
		signal(number, SIG_IGN);
	while (__atomic_load_n(&pf_features[PF_FEATURE_CPU].state, __ATOMIC_ACQUIRE) !=
	       PF_FEATURE_NONE)
		life_burn(SECOND / 20);
	life_burn(SECOND / 10); /* another round of the drainer */
	return pf_cpu_active() ? 2 : 0;
}

static void whoever_takes_all_signals_meanwhile_is_left_alone_and_told(void **state)
{
	assert_int_equal(life_apart(in_one_that_takes_all_meanwhile), 0);
}

static int in_a_program_that_blocks_the_highest(void)
{
	sigset_t blocked;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGRTMAX - 1);
	sigaddset(&blocked, SIGRTMAX - 2);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	return samples() > 20 && pf_signal_number() == SIGRTMAX - 3 ? 0 : 1;
}

static void a_signal_that_a_thread_blocks_is_left_alone(void **state)
{
	assert_int_equal(life_apart(in_a_program_that_blocks_the_highest), 0);
}

static int in_an_ignorer(void)
{
	signal(SIGRTMAX - 1, SIG_IGN);
	return samples() > 20 && pf_signal_number() == SIGRTMAX - 2 ? 0 : 1;
}

static void a_signal_that_is_ignored_is_left_alone(void **state)
{
	assert_int_equal(life_apart(in_an_ignorer), 0);
}

/* ---- little room ---- */

static int in_a_program_with_a_signal_stack(void)
{
	/* 8 KiB, as Rust's and many others; the page below must stay as it is. */
	char *pages =
	    mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t stack = {.ss_sp = pages + 2 * 4096, .ss_size = 2 * 4096};

	memset(pages, 0x5a, 2 * 4096);
	if (sigaltstack(&stack, NULL) < 0)
		return 1;
	if (samples() <= 20)
		return 2;
	for (int i = 0; i < 2 * 4096; i++)
		if (pages[i] != 0x5a)
			return 3;
	return pf_counter_get(PF_COUNTER_CPU_LOST_STACK) ? 4 : 0;
}

static void on_a_small_signal_stack_samples_are_taken_and_it_does_not_overflow(void **state)
{
	assert_int_equal(life_apart(in_a_program_with_a_signal_stack), 0);
}

static char *in_handler;

static void note_where(int signal)
{
	in_handler = __builtin_frame_address(0);
}

/* What the kernel puts on a signal stack of this processor before the handler has any of it. (The
 * C library's _SC_MINSIGSTKSZ is no guide: with AMX it is three times what is used.) */
static size_t signal_frame_bytes(void)
{
	static char pages[16 * 4096];
	stack_t stack = {.ss_sp = pages, .ss_size = sizeof(pages)}, off = {.ss_flags = SS_DISABLE};
	struct sigaction noting = {.sa_handler = note_where, .sa_flags = SA_ONSTACK};

	sigaltstack(&stack, NULL);
	sigaction(SIGUSR2, &noting, NULL);
	raise(SIGUSR2);
	sigaltstack(&off, NULL);
	return (size_t)(pages + sizeof(pages) - in_handler);
}

static int in_a_program_with_a_tiny_signal_stack(void)
{
	size_t size = signal_frame_bytes() + 3584;
	char *pages =
	    mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t stack = {.ss_sp = pages + 4 * 4096, .ss_size = size};
	struct life life;

	memset(pages, 0x5a, 4 * 4096);
	if (sigaltstack(&stack, NULL) < 0)
		return 1;
	life_start();
	life_begin(&life, pf_cpu_collect, 100);
	life_burn(SECOND / 2);
	if (life_end(&life) != 0)
		return 2;
	for (int i = 0; i < 4 * 4096; i++)
		if (pages[i] != 0x5a)
			return 3;
	if (pf_counter_get(PF_COUNTER_CPU_LOST_STACK) < 20)
		return 4;
	/* Its time is shown all the same. */
	return life_at_leaf(&life.profile, PF_PC_LOST, 1) > SECOND / 4 ? 0 : 5;
}

static void without_room_a_sample_is_not_taken_but_counted_and_shown_as_lost(void **state)
{
	assert_int_equal(life_apart(in_a_program_with_a_tiny_signal_stack), 0);
}

static volatile char *deepest;

static __attribute__((noinline)) void descend(char *lowest)
{
	volatile char here[256];

	here[0] = 1;
	deepest = here;
	if (here - lowest > 6000)
		descend(lowest);
	else
		life_burn(SECOND / 2);
	__asm__ volatile("" ::: "memory");
}

static void *stand_at_the_edge(void *stack)
{
	descend(stack);
	return NULL;
}

/* A thread that works with 6000 bytes of its stack left, above a guard page, below which another
 * stack lies that could be written to. */
static int in_a_program_at_the_edge_of_a_stack(void)
{
	enum { SIZE = 256 * 1024 };
	char *memory =
	    mmap(NULL, 2 * SIZE + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_attr_t attributes;
	pthread_t thread;

	memset(memory, 0x5a, SIZE);
	mprotect(memory + SIZE, 4096, PROT_NONE);
	pthread_attr_init(&attributes);
	pthread_attr_setstack(&attributes, memory + SIZE + 4096, SIZE);
	life_start();
	if (pf_cpu_enable(true) < 0)
		return 1;
	if (pthread_create(&thread, &attributes, stand_at_the_edge, memory + SIZE + 4096) != 0)
		return 2;
	pthread_join(thread, NULL);
	for (int i = 0; i < SIZE; i++)
		if (memory[i] != 0x5a)
			return 3;
	return 0;
}

static void at_the_edge_of_a_stack_nothing_is_overrun(void **state)
{
	assert_int_equal(life_apart(in_a_program_at_the_edge_of_a_stack), 0);
}

/* ---- a filter of system calls ---- */

static int without_timers(void)
{
	life_forbid(SYS_timer_create);
	life_start();
	if (pf_cpu_enable(true) != -EOPNOTSUPP)
		return 1;
	return pf_features[PF_FEATURE_CPU].state == PF_FEATURE_NONE ? 0 : 2;
}

static void where_timers_are_forbidden_it_is_said(void **state)
{
	assert_int_equal(life_apart(without_timers), 0);
}

static int spinning = 1; /* atomic */

static __attribute__((noinline)) void *spin(void *tid)
{
	__atomic_store_n((pid_t *)tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	while (__atomic_load_n(&spinning, __ATOMIC_RELAXED))
		;
	return NULL;
}

/* 0, or which step failed. */
static int dump_a_runner(struct life *dump, const struct pf_sample **runner)
{
	pthread_t thread;
	pid_t tid = 0;

	life_start();
	if (pthread_create(&thread, NULL, spin, &tid) != 0)
		return 1;
	while (!__atomic_load_n(&tid, __ATOMIC_ACQUIRE))
		usleep(100);
	if (life_collect(dump, pf_threads_collect, 0) != 0)
		return 2;
	*runner = life_of_thread(&dump->profile, tid);
	return *runner ? 0 : 3;
}

/* Nor by signal: it might have gone to sleep meanwhile, and that would be broken. */
static int asked_without_timers(void)
{
	const struct pf_sample *s;
	struct life dump;
	int rc;

	life_forbid(SYS_timer_create);
	rc = dump_a_runner(&dump, &s);
	if (rc != 0)
		return rc;
	if (pf_features[PF_FEATURE_RUNNER_STACKS].state != PF_FEATURE_NONE)
		return 4;
	return life_has_pc(&dump.profile, s, PF_PC_NO_STACK) ? 0 : 5;
}

static void where_timers_are_forbidden_a_running_thread_is_not_asked(void **state)
{
	assert_int_equal(life_apart(asked_without_timers), 0);
}

static int asked_as_usual(void)
{
	const struct pf_sample *s;
	struct life dump;
	int rc = dump_a_runner(&dump, &s);

	if (rc != 0)
		return rc;
	if (pf_features[PF_FEATURE_RUNNER_STACKS].state != PF_FEATURE_OK)
		return 4;
	return life_contains(&dump.profile, s, (const void *)spin, 128) ? 0 : 5;
}

static void a_running_thread_is_asked_by_a_timer(void **state)
{
	assert_int_equal(life_apart(asked_as_usual), 0);
}

static void *sleep_long(void *tid)
{
	__atomic_store_n((pid_t *)tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	sleep(1000);
	return NULL;
}

/* 0, or which step failed. */
static int dump_a_sleeper(struct life *dump, const struct pf_sample **sleeper)
{
	pthread_t thread;
	pid_t tid = 0;

	life_start();
	if (pthread_create(&thread, NULL, sleep_long, &tid) != 0)
		return 1;
	life_wait_asleep(&tid);
	if (life_collect(dump, pf_threads_collect, 0) != 0)
		return 2;
	*sleeper = life_of_thread(&dump->profile, tid);
	return *sleeper ? 0 : 3;
}

static int without_process_vm_readv(void)
{
	const struct pf_sample *s;
	struct life dump;
	int rc;

	life_forbid(SYS_process_vm_readv);
	rc = dump_a_sleeper(&dump, &s);
	if (rc != 0)
		return rc;
	if (pf_features[PF_FEATURE_SLEEPER_STACKS].state != PF_FEATURE_OK)
		return 4;
	return life_contains(&dump.profile, s, (const void *)sleep_long, 256) ? 0 : 5;
}

static void where_process_vm_readv_is_forbidden_the_stack_is_whole_all_the_same(void **state)
{
	assert_int_equal(life_apart(without_process_vm_readv), 0);
}

static int without_reading_memory(void)
{
	const struct pf_sample *s;
	struct life dump;
	int rc;

	life_forbid(SYS_process_vm_readv);
	life_forbid(SYS_preadv); /* of /proc/self/mem */
	rc = dump_a_sleeper(&dump, &s);
	if (rc != 0)
		return rc;
	/* The leaf is known without reading; behind it stands that no more could be read. */
	if (s->pc_count != 2 || dump.profile.pcs[s->pc_first + 1] >= PF_PC_MARKER_END)
		return 4;
	return pf_features[PF_FEATURE_SLEEPER_STACKS].state == PF_FEATURE_DEGRADED ? 0 : 5;
}

static void where_reading_memory_is_forbidden_the_stack_ends_in_a_marker(void **state)
{
	assert_int_equal(life_apart(without_reading_memory), 0);
}

/* ---- few descriptors ---- */

static int with_few_descriptors(void)
{
	enum { SLEEPERS = 100 };
	struct rlimit few = {40, 40};
	struct life dump;
	pthread_t thread;

	if (setrlimit(RLIMIT_NOFILE, &few) < 0)
		return 1;
	life_start();
	for (int i = 0; i < SLEEPERS; i++) {
		pid_t tid = 0;

		if (pthread_create(&thread, NULL, sleep_long, &tid) != 0)
			return 2;
		life_wait_asleep(&tid);
	}
	if (life_collect(&dump, pf_threads_collect, 0) != 0)
		return 3;
	if (life_sum(&dump.profile, 0, 0) != SLEEPERS + 1 ||
	    life_at_leaf(&dump.profile, PF_PC_NO_STACK, 0) != 0)
		return 4;
	if (pf_features[PF_FEATURE_SLEEPER_STACKS].state != PF_FEATURE_OK)
		return 5;
	/* Most of what there is is left for others. */
	for (int i = 0; i < 20; i++)
		if (dup(0) < 0)
			return 6;
	return 0;
}

static void with_few_descriptors_every_thread_is_read_and_most_are_left(void **state)
{
	assert_int_equal(life_apart(with_few_descriptors), 0);
}

/* ---- dropped privileges ---- */

static int after_dropping_root(void)
{
	const struct pf_sample *s;
	struct life dump;
	pthread_t thread;
	pid_t tid = 0;

	if (setgid(65534) != 0 || setuid(65534) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0)
		return 77;
	life_start();
	if (pthread_create(&thread, NULL, sleep_long, &tid) != 0)
		return 1;
	life_wait_asleep(&tid);
	if (life_collect(&dump, pf_threads_collect, 0) != 0)
		return 2;
	if (pf_features[PF_FEATURE_SLEEPER_STACKS].state != PF_FEATURE_DEGRADED)
		return 3;
	s = life_of_thread(&dump.profile, tid);
	if (!s || strcmp(life_text(&dump.profile, s, "state"), "asleep") != 0)
		return 4;
	return life_contains(&dump.profile, s, (const void *)sleep_long, 100) ? 0 : 5;
}

static void after_dropping_root_sleepers_are_asked_by_signal(void **state)
{
	int rc = life_apart(after_dropping_root);

	if (rc == 77)
		skip(); /* not root: there is nothing to drop */
	assert_int_equal(rc, 0);
}

static bool forked_enough; /* atomic */

static void *choose_again_and_again(void *unused)
{
	while (!__atomic_load_n(&forked_enough, __ATOMIC_ACQUIRE))
		pf_signal_install();
	return NULL;
}

/* Who forks while somebody chooses: the child waits for nobody. */
static int fork_while_choosing(void)
{
	pthread_t thread;
	int status = 0;

	pthread_create(&thread, NULL, choose_again_and_again, NULL);
	for (int i = 0; i < 200 && status == 0; i++) {
		pid_t child = fork();

		if (child == 0) {
			alarm(60);
			pf_cpu_fork_child();
			_exit(pf_signal_install() < 0);
		}
		waitpid(child, &status, 0);
	}
	__atomic_store_n(&forked_enough, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	return status != 0;
}

static void a_child_forked_while_somebody_chooses_may_choose_too(void **state)
{
	assert_int_equal(life_apart(fork_while_choosing), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_last_signal_but_one_is_taken_where_it_is_free),
	    cmocka_unit_test(an_owner_of_all_signals_but_one_is_sampled_by_that_one),
	    cmocka_unit_test(an_owner_of_all_signals_is_not_sampled_and_is_told),
	    cmocka_unit_test(whoever_takes_all_signals_meanwhile_is_left_alone_and_told),
	    cmocka_unit_test(a_signal_that_a_thread_blocks_is_left_alone),
	    cmocka_unit_test(a_signal_that_is_ignored_is_left_alone),
	    cmocka_unit_test(on_a_small_signal_stack_samples_are_taken_and_it_does_not_overflow),
	    cmocka_unit_test(without_room_a_sample_is_not_taken_but_counted_and_shown_as_lost),
	    cmocka_unit_test(at_the_edge_of_a_stack_nothing_is_overrun),
	    cmocka_unit_test(where_timers_are_forbidden_it_is_said),
	    cmocka_unit_test(where_timers_are_forbidden_a_running_thread_is_not_asked),
	    cmocka_unit_test(a_running_thread_is_asked_by_a_timer),
	    cmocka_unit_test(where_process_vm_readv_is_forbidden_the_stack_is_whole_all_the_same),
	    cmocka_unit_test(where_reading_memory_is_forbidden_the_stack_ends_in_a_marker),
	    cmocka_unit_test(with_few_descriptors_every_thread_is_read_and_most_are_left),
	    cmocka_unit_test(after_dropping_root_sleepers_are_asked_by_signal),
	    cmocka_unit_test(a_child_forked_while_somebody_chooses_may_choose_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
