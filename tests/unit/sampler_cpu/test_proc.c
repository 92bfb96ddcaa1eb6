/* Stacks of sleepers against the truth they noted themselves, in code of every shape. */
#include "base/counter.h"
#include "base/feature.h"
#include "base/knob.h"
#include "deep.h"
#include "life.h"
#include "sampler/cpu.h"
#include "sampler/feed.h"
#include "sampler/proc.h"
#include "split_frames.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

#ifdef PF_SMALL
enum { ROUNDS = 40 }; /* as many as the small stack store keeps the truth of */
#else
enum { ROUNDS = 400 };
#endif
/* Frames of SLEEP and of libc below what the truth has in common with the sleeper. */
enum { LEAVES_MAX = 4 };

static struct pf_proc_reader *reader;
static struct pf_proc_stack stack;
static int pipe_ends[2];
static struct deep deep;
static pid_t sleeper_tid;
static int step; /* atomic: even: the sleeper waits for a round; odd: it is in one */
static int over; /* atomic */

uint32_t deep_draw(struct deep *d)
{
	d->random = d->random * 1103515245 + 12345;
	return d->random >> 16;
}

static long (*const chains[])(struct deep *, int, long) = {
    deep_without_pointers, deep_with_pointers, deep_unoptimised};
static long (*const sleeps[])(struct deep *, long) = {
    deep_sleep_without_pointers, deep_sleep_with_pointers, deep_sleep_unoptimised};

static int flavour(struct deep *d)
{
	return d->flavour < 3 ? d->flavour : (int)(deep_draw(d) % 3);
}

static __attribute__((noinline)) long segment(struct deep *d, long x)
{
	long y;

	if (d->segments-- > 0)
		y = chains[flavour(d)](d, 1 + (int)(deep_draw(d) % 20), x);
	else
		y = sleeps[flavour(d)](d, x);
	__asm__ volatile("" ::: "memory");
	return y + 1;
}

static void *sleeper(void *unused)
{
	__atomic_store_n(&sleeper_tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
		if (!(__atomic_load_n(&step, __ATOMIC_ACQUIRE) & 1)) {
			usleep(100);
			continue;
		}
		segment(&deep, 1);
		__atomic_fetch_add(&step, 1, __ATOMIC_RELEASE);
	}
	return unused;
}

static struct pf_thread *slot_of(pid_t tid)
{
	pf_cpu_scan();
	for (uint32_t i = 0; i < pf_thread_limit(); i++)
		if (pf_thread_is_live(pf_thread_at(i)) && pf_thread_at(i)->tid == tid)
			return pf_thread_at(i);
	return NULL;
}

static void wake_sleeper(void)
{
	char byte = 'x';

	__atomic_store_n(&deep.word, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &deep.word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	if (deep.way == 1 || deep.way == 2 || deep.way == 3 || deep.way == 6)
		assert_int_equal(write(pipe_ends[1], &byte, 1), 1);
	while (__atomic_load_n(&step, __ATOMIC_ACQUIRE) & 1)
		usleep(50);
	while (poll(&(struct pollfd){pipe_ends[0], POLLIN, 0}, 1, 0) == 1)
		assert_int_equal(read(pipe_ends[0], &byte, 1), 1);
}

/* Equal to the truth from the root down, except for the frames it went to sleep in. */
static bool is_true(void)
{
	const uint64_t *truth;
	uint32_t common = pf_stack_read(deep.truth, &truth) - 1;

	if (stack.count < common + 1 || stack.count > common + 1 + LEAVES_MAX)
		return false;
	return memcmp(truth + 1, stack.pcs + stack.count - common, common * sizeof(*truth)) == 0;
}

/* One round; false when the sleeper had woken by itself before it was read. */
static bool round_is_true(struct pf_thread *t, int kind, uint32_t seed, bool *right)
{
	enum pf_proc_answer answer;

	deep =
	    (struct deep){.random = seed, .flavour = kind, .pipe = pipe_ends[0], .leaf = segment};
	deep.segments = 1 + (int)(deep_draw(&deep) % 3);
	deep.way = (int)(deep_draw(&deep) % DEEP_WAYS);
	__atomic_fetch_add(&step, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&deep.ready, __ATOMIC_ACQUIRE))
		usleep(20);
	do
		answer = pf_proc_read(reader, t, &stack);
	while (answer == PF_PROC_RUNNING && (__atomic_load_n(&step, __ATOMIC_ACQUIRE) & 1));
	*right = answer == PF_PROC_ASLEEP && is_true();
	if (!(__atomic_load_n(&step, __ATOMIC_ACQUIRE) & 1))
		return false;
	wake_sleeper();
	return true;
}

static void sleepers_are_read_as_they_are(int kind)
{
	struct pf_thread *t = slot_of(sleeper_tid);
	int rounds = 0, wrong = 0;

	assert_non_null(t);
	for (uint32_t seed = 1; rounds < ROUNDS; seed++) {
		bool right;

		if (!round_is_true(t, kind, seed * 7919, &right))
			continue;
		rounds++;
		if (!right) {
			wrong++;
			print_message("seed %u way %d count %u state %d\n", seed, deep.way,
			    stack.count, stack.state);
		}
	}
	assert_int_equal(wrong, 0);
}

static void sleepers_without_frame_pointers_are_read_as_they_are(void **state)
{
	sleepers_are_read_as_they_are(0);
}

static void sleepers_with_frame_pointers_are_read_as_they_are(void **state)
{
	sleepers_are_read_as_they_are(1);
}

static void sleepers_in_unoptimised_code_are_read_as_they_are(void **state)
{
	sleepers_are_read_as_they_are(2);
}

static void sleepers_in_mixed_code_are_read_as_they_are(void **state)
{
	sleepers_are_read_as_they_are(3);
}

static void a_stack_deeper_than_is_kept_is_cut_and_says_so(void **state)
{
	struct pf_thread *t = slot_of(sleeper_tid);

	assert_int_equal(pf_knob_put(PF_KNOB_STACK_DEPTH, 5), 0);
	for (int kind = 0; kind < 3; kind++) {
		bool right;

		while (!round_is_true(t, kind, 7, &right))
			;
		assert_int_equal(stack.count, 6);
		assert_int_equal(stack.pcs[5], PF_PC_TRUNCATED);
	}
	assert_int_equal(pf_knob_put(PF_KNOB_STACK_DEPTH, 512), 0);
}

static void a_thread_that_has_ended_is_gone(void **state)
{
	struct pf_thread *t = slot_of(sleeper_tid);
	struct pf_thread dead = *t;

	dead.tid = 0x3fffff;
	dead.syscall_fd = 0;
	assert_int_equal(pf_proc_read(reader, &dead, &stack), PF_PROC_GONE);
}

/* A process without the right to look at itself, as after dropping root. */
static int in_a_process_that_may_not_look(void)
{
	struct pf_thread *t;

	if (setgid(65534) != 0 || setuid(65534) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0)
		return 77;
	t = pf_thread_enrol_self();
	t->syscall_fd = 0;
	if (pf_proc_read(reader, t, &stack) != PF_PROC_REFUSED)
		return 1;
	if (pf_features[PF_FEATURE_SLEEPER_STACKS].state != PF_FEATURE_DEGRADED)
		return 2;
	return 0;
}

/* Its sleep would end with EINTR if it were sent a signal instead. */
static void without_a_free_descriptor_nobody_is_asked_by_signal(void **state)
{
	struct pf_thread *t = slot_of(sleeper_tid);
	struct rlimit before, none;
	enum pf_proc_answer answer;

	t->syscall_fd = 0;
	t->read_generation = pf_thread_generation(t) + 1; /* what is remembered would do */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	answer = pf_proc_read(reader, t, &stack);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(answer, PF_PROC_FAILED);
	assert_int_not_equal(pf_features[PF_FEATURE_SLEEPER_STACKS].state, PF_FEATURE_DEGRADED);
}

static void where_proc_refuses_it_is_said(void **state)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(in_a_process_that_may_not_look());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip(); /* not root: there is nothing to drop */
	assert_int_equal(WEXITSTATUS(status), 0);
}

#if defined(__x86_64__)
static void *sleep_in_a_split_function(void *tid)
{
	__atomic_store_n((pid_t *)tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	split_stand();
	return NULL;
}

static bool lies_in(uint64_t pc, const char *from, const char *to)
{
	return pc >= (uintptr_t)from && pc < (uintptr_t)to;
}

static void what_earlier_calls_have_left_in_a_large_frame_is_not_taken_for_callers(void **state)
{
	pid_t tid = 0; /* atomic */
	pthread_t thread;
	enum pf_proc_answer answer;
	struct pf_thread *t;

	assert_int_equal(pthread_create(&thread, NULL, sleep_in_a_split_function, &tid), 0);
	while (!__atomic_load_n(&tid, __ATOMIC_ACQUIRE))
		usleep(100);
	t = slot_of(tid);
	do
		answer = pf_proc_read(reader, t, &stack);
	while (answer == PF_PROC_RUNNING || stack.state != SYS_pause);
	assert_int_equal(answer, PF_PROC_ASLEEP);
	assert_true(stack.count > 3);
	assert_true(lies_in(stack.pcs[0], split_part, split_part_end));
	assert_true(lies_in(stack.pcs[1], split_caller, split_caller_end));
	for (uint32_t i = 0; i < stack.count; i++)
		assert_false(lies_in(stack.pcs[i], split_litter, split_litter_end));
	pthread_detach(thread); /* it sleeps on */
}

/* push %rbp; mov %rsp,%rbp; sub $0xc000,%rsp; call *%rdi; leave; ret: no unwind info, and a frame larger
 * than the piece of a stack that is copied first. */
static const uint8_t made_at_run_time[] = {
    0x55, 0x48, 0x89, 0xe5, 0x48, 0x81, 0xec, 0, 0xc0, 0, 0, 0xff, 0xd7, 0xc9, 0xc3};

struct made {
	void (*code)(void (*)(void));
	pid_t tid; /* atomic */
};

static __attribute__((noinline)) void *sleep_below_made_code(void *arg)
{
	struct made *made = arg;

	__atomic_store_n(&made->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	made->code(split_nap);
	return NULL;
}

static void frames_larger_than_the_first_copy_are_followed_by_pointer(void **state)
{
	struct made made = {.tid = 0};
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	enum pf_proc_answer answer;
	struct pf_thread *t;
	pthread_t thread;
	bool found = false;

	memcpy(page, made_at_run_time, sizeof(made_at_run_time));
	assert_int_equal(mprotect(page, 4096, PROT_READ | PROT_EXEC), 0);
	made.code = (void (*)(void (*)(void)))(uintptr_t)page;
	assert_int_equal(pthread_create(&thread, NULL, sleep_below_made_code, &made), 0);
	while (!__atomic_load_n(&made.tid, __ATOMIC_ACQUIRE))
		usleep(100);
	t = slot_of(made.tid);
	do
		answer = pf_proc_read(reader, t, &stack);
	while (answer == PF_PROC_RUNNING || stack.state != SYS_pause);
	assert_int_equal(answer, PF_PROC_ASLEEP);
	assert_in_range(stack.pcs[1], (uintptr_t)page, (uintptr_t)page + 4095);
	for (uint32_t i = 2; i < stack.count; i++)
		found |= stack.pcs[i] - (uintptr_t)sleep_below_made_code < 256;
	assert_true(found);
	pthread_detach(thread); /* it sleeps on */
}

struct fiber {
	void (*sleep)(void);
	pid_t tid; /* atomic */
	ucontext_t home, context;
	char stack[64 * 1024];
};

static __thread struct fiber *fiber;

static __attribute__((noinline)) void sleep_on_a_fiber(void)
{
	__atomic_store_n(&fiber->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	fiber->sleep();
	__asm__ volatile("");
}

static void *go_to_fiber(void *arg)
{
	fiber = arg;
	getcontext(&fiber->context);
	fiber->context.uc_stack.ss_sp = fiber->stack;
	fiber->context.uc_stack.ss_size = sizeof(fiber->stack);
	makecontext(&fiber->context, sleep_on_a_fiber, 0);
	swapcontext(&fiber->home, &fiber->context);
	return NULL;
}

static void expect_fiber(struct fiber *f)
{
	enum pf_proc_answer answer;
	struct pf_thread *t;
	pthread_t thread;
	bool found = false;

	assert_int_equal(pthread_create(&thread, NULL, go_to_fiber, f), 0);
	while (!__atomic_load_n(&f->tid, __ATOMIC_ACQUIRE))
		usleep(100);
	t = slot_of(f->tid);
	do
		answer = pf_proc_read(reader, t, &stack);
	while (answer == PF_PROC_RUNNING || stack.state != SYS_pause);
	assert_int_equal(answer, PF_PROC_ASLEEP);
	for (uint32_t i = 1; i < stack.count; i++)
		found |= stack.pcs[i] - (uintptr_t)sleep_on_a_fiber < 256;
	assert_true(found);
	assert_true(stack.pcs[stack.count - 1] == PF_PC_FIBER);
	pthread_detach(thread); /* it sleeps on */
}

static void who_sleeps_on_a_fiber_is_shown_down_to_its_end(void **state)
{
	static struct fiber by_rows = {.sleep = split_nap}, by_pointer = {.sleep = split_doze};

	expect_fiber(&by_rows);
	expect_fiber(&by_pointer);
}

static char alternate[64 * 1024];

static void sleep_on(int signal)
{
	for (;;)
		pause();
}

static __attribute__((noinline)) void *sleep_in_a_handler(void *tid)
{
	stack_t other = {.ss_sp = alternate, .ss_size = sizeof(alternate)};

	__atomic_store_n((pid_t *)tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	sigaltstack(&other, NULL);
	raise(SIGUSR1);
	return NULL;
}

static void who_sleeps_in_a_handler_on_a_stack_of_its_own_is_shown_down_to_its_root(void **state)
{
	struct sigaction action = {.sa_handler = sleep_on, .sa_flags = SA_ONSTACK}, before;
	enum pf_proc_answer answer;
	pid_t tid = 0; /* atomic */
	struct pf_thread *t;
	pthread_t thread;
	bool found = false;

	assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
	assert_int_equal(pthread_create(&thread, NULL, sleep_in_a_handler, &tid), 0);
	while (!__atomic_load_n(&tid, __ATOMIC_ACQUIRE))
		usleep(100);
	t = slot_of(tid);
	do
		answer = pf_proc_read(reader, t, &stack);
	while (answer == PF_PROC_RUNNING || stack.state != SYS_pause);
	assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
	assert_int_equal(answer, PF_PROC_ASLEEP);
	for (uint32_t i = 2; i < stack.count; i++) /* behind pause() and the handler */
		found |= stack.pcs[i] - (uintptr_t)sleep_in_a_handler < 512;
	assert_true(found);
	assert_true(stack.pcs[stack.count - 1] >= PF_PC_MARKER_END);
	pthread_detach(thread); /* it sleeps on */
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sleepers_without_frame_pointers_are_read_as_they_are),
		cmocka_unit_test(sleepers_with_frame_pointers_are_read_as_they_are),
		cmocka_unit_test(sleepers_in_unoptimised_code_are_read_as_they_are),
		cmocka_unit_test(sleepers_in_mixed_code_are_read_as_they_are),
#if defined(__x86_64__)
		cmocka_unit_test(
		    what_earlier_calls_have_left_in_a_large_frame_is_not_taken_for_callers),
		cmocka_unit_test(frames_larger_than_the_first_copy_are_followed_by_pointer),
		cmocka_unit_test(who_sleeps_on_a_fiber_is_shown_down_to_its_end),
		cmocka_unit_test(
		    who_sleeps_in_a_handler_on_a_stack_of_its_own_is_shown_down_to_its_root),
#endif
		cmocka_unit_test(a_stack_deeper_than_is_kept_is_cut_and_says_so),
		cmocka_unit_test(a_thread_that_has_ended_is_gone),
		cmocka_unit_test(without_a_free_descriptor_nobody_is_asked_by_signal),
		cmocka_unit_test(where_proc_refuses_it_is_said),
	};
	pthread_t thread;
	int rc;

	pf_knob_put(PF_KNOB_STACK_DEPTH, 512);
	life_start();
	reader = pf_proc_create();
	if (!reader || pipe(pipe_ends) != 0 || pthread_create(&thread, NULL, sleeper, NULL) != 0)
		return 1;
	while (!__atomic_load_n(&sleeper_tid, __ATOMIC_ACQUIRE))
		usleep(100);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	__atomic_store_n(&over, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	pf_proc_destroy(reader);
	return rc;
}
