/* Captures: the program's frames and nobody else's, as many as asked for, with their end marked. */
#include "base/counter.h"
#include "base/knob.h"
#include "base/profile.h"
#include "sampler/stack.h"
#include "sampler/unwind.h"
#include "sampling.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unwind.h>

#include <cmocka.h>

static const uint64_t *pcs;
static uint32_t count;

static bool is_in(uint64_t pc, const void *function)
{
	return _Unwind_FindEnclosingFunction((void *)pc) == function;
}

/* As a collector's slow path: ours, in the hooks' section. */
static PF_HOOK uint32_t hook_inner(void)
{
	uint32_t id = pf_stack_capture_here();

	__asm__ volatile("" ::: "memory"); /* no tail call */
	return id;
}

static PF_HOOK uint32_t hook(void)
{
	uint32_t id = hook_inner();

	__asm__ volatile("" ::: "memory");
	return id;
}

static __attribute__((noinline)) uint32_t call_hook(int depth)
{
	uint32_t id;

	if (depth > 0)
		id = call_hook(depth - 1);
	else
		id = hook();
	__asm__ volatile("" ::: "memory");
	return id;
}

static void the_leaf_is_who_called_us(void **state)
{
	count = pf_stack_read(call_hook(3), &pcs);
	for (int i = 0; i < 4; i++)
		assert_true(is_in(pcs[i], call_hook));
	assert_true(is_in(pcs[4], the_leaf_is_who_called_us));
	assert_true(pcs[count - 1] >= PF_PC_MARKER_END); /* a root */
}

static uint32_t ids[2];
static volatile int twice = 2; /* so that it stays one place */

static void the_same_place_is_the_same_stack(void **state)
{
	for (int i = 0; i < twice; i++)
		ids[i] = call_hook(0);
	assert_int_equal(ids[0], ids[1]);
}

static void a_stack_as_deep_as_asked_for_is_whole_and_a_deeper_one_is_cut(void **state)
{
	uint64_t cut = pf_counter_get(PF_COUNTER_STACK_TRUNCATED);
	uint32_t all = pf_stack_read(call_hook(50), &pcs);

	assert_int_equal(pf_knob_put(PF_KNOB_STACK_DEPTH, all), 0);
	assert_int_equal(pf_stack_read(call_hook(50), &pcs), all);
	assert_true(pcs[all - 1] >= PF_PC_MARKER_END);
	assert_true(pf_counter_get(PF_COUNTER_STACK_TRUNCATED) == cut);
	pf_knob_put(PF_KNOB_STACK_DEPTH, all - 1);
	assert_int_equal(pf_stack_read(call_hook(50), &pcs), all);
	assert_true(pcs[all - 1] == PF_PC_TRUNCATED);
	assert_true(pf_counter_get(PF_COUNTER_STACK_TRUNCATED) == cut + 1);
	pf_knob_put(PF_KNOB_STACK_DEPTH, 1);
	assert_int_equal(pf_stack_read(call_hook(50), &pcs), 2);
	assert_true(is_in(pcs[0], call_hook));
	pf_knob_put(PF_KNOB_STACK_DEPTH, 512);
	count = pf_stack_read(call_hook(2000), &pcs);
	assert_int_equal(count, 513);
	assert_true(pcs[512] == PF_PC_TRUNCATED);
	pf_knob_put(PF_KNOB_STACK_DEPTH, 128);
}

static uint32_t from_handler;
static uint64_t interrupted;

static void on_signal(int number, siginfo_t *info, void *context)
{
	struct pf_unwind_regs regs;

	errno = 1234;
	from_handler = pf_stack_capture_context(context);
	assert_int_equal(errno, 1234);
	pf_unwind_from_context(&regs, context);
	interrupted = regs.value[PF_REG_PC];
}

static __attribute__((noinline)) void be_interrupted(void)
{
	raise(SIGUSR1);
	__asm__ volatile("" ::: "memory");
}

static void a_handler_sees_the_exact_pc_and_not_itself(void **state)
{
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	uint32_t at = 0;

	sigaction(SIGUSR1, &action, NULL);
	be_interrupted();
	count = pf_stack_read(from_handler, &pcs);
	assert_true(pcs[0] == interrupted);
	while (at < count && !is_in(pcs[at], be_interrupted))
		at++;
	assert_true(at > 0 && at < count);
}

/* Captures that interrupt captures, in more threads than there are rooms. */
enum { MANY = 80, TURNS = 2000 };

static uint32_t without_room; /* atomic */

static void note(uint32_t id)
{
	const uint64_t *got;

	if (pf_stack_read(id, &got) == 1 && got[0] == PF_PC_NO_STACK)
		__atomic_fetch_add(&without_room, 1, __ATOMIC_RELAXED);
	else if (got[0] < PF_PC_MARKER_END)
		abort();
}

static void on_profiling(int number, siginfo_t *info, void *context)
{
	note(pf_stack_capture_context(context));
}

static void *run_captures(void *arg)
{
	for (int i = 0; i < TURNS; i++)
		note(call_hook(3));
	return NULL;
}

static void captures_do_not_wait_and_none_is_lost_in_silence(void **state)
{
	struct sigaction action = {
	    .sa_sigaction = on_profiling, .sa_flags = SA_SIGINFO | SA_RESTART};
	uint64_t before = pf_counter_get(PF_COUNTER_STACK_NO_ROOM);
	pthread_t threads[MANY];

	sigaction(SIGPROF, &action, NULL);
	for (int i = 0; i < MANY; i++)
		pthread_create(&threads[i], NULL, run_captures, NULL);
	for (int i = 0; i < MANY; i++) {
		for (int j = 0; j < 20; j++)
			pthread_kill(threads[i], SIGPROF);
		pthread_join(threads[i], NULL);
	}
	assert_true(pf_counter_get(PF_COUNTER_STACK_NO_ROOM) == before + without_room);
}

static int set_up(void **state)
{
	sampling_in_thread(pf_stack_init);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_leaf_is_who_called_us),
	    cmocka_unit_test(the_same_place_is_the_same_stack),
	    cmocka_unit_test(a_stack_as_deep_as_asked_for_is_whole_and_a_deeper_one_is_cut),
	    cmocka_unit_test(a_handler_sees_the_exact_pc_and_not_itself),
	    cmocka_unit_test(captures_do_not_wait_and_none_is_lost_in_silence),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
