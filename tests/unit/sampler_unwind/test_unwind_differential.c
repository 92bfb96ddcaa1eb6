/* Back end B against back end A, which shares no line of interpreting code with it.
 *
 * The right answer: 0 differences on more than 50,000 stacks taken at random moments, all of them
 * complete down to the thread's first frame.
 *
 * The C++ program has one explained kind: while libgcc prepares to land in a catch block
 * (uw_install_context), it has overwritten what the frames above it had saved. Both back ends come
 * to a return address that is none. B stops there, "[no unwind info]"; A guesses on by the frame
 * pointer and shows a frame at an address where no code is. Those are counted, and must look so.
 */
#include "sampler/unwind.h"
#include "sampling.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { MAX = 400, PERIOD_NS = 97 * 1000, SAMPLES = 8500, SHOWN = 10 };

struct tally {
	uint32_t samples, complete, differ, guessed, shown;
	uint64_t pc[SHOWN];
	uint32_t at[SHOWN], b_count[SHOWN], a_count[SHOWN];
	enum pf_unwind_end b_end[SHOWN], a_end[SHOWN];
};

static void note(struct tally *t, uint64_t pc, uint32_t at, uint32_t b_count, uint32_t a_count,
    enum pf_unwind_end b_end, enum pf_unwind_end a_end)
{
	uint32_t i = t->shown;

	t->differ++;
	if (i == SHOWN)
		return;
	t->pc[i] = pc;
	t->at[i] = at;
	t->b_count[i] = b_count;
	t->a_count[i] = a_count;
	t->b_end[i] = b_end;
	t->a_end[i] = a_end;
	t->shown++;
}

static bool is_code(uint64_t address)
{
	struct dl_find_object found;

	return _dl_find_object((void *)address, &found) == 0;
}

static void compare(const ucontext_t *context, void *arg)
{
	static uint64_t a[MAX], b[MAX];
	enum pf_unwind_end a_end, b_end;
	struct pf_unwind_memory memory;
	struct pf_unwind_regs regs;
	uint32_t a_count, b_count, same = 0;
	struct tally *t = arg;

	pf_unwind_from_context(&regs, context);
	pf_unwind_bounds(regs.value[PF_REG_SP], &memory);
	b_count = pf_unwind_cfi(&regs, &memory, b, MAX, &b_end);
	a_count = pf_unwind_lib(&regs, &memory, a, MAX, &a_end);
	t->samples++;
	t->complete += b_end == PF_UNWIND_ROOT;
	while (same < b_count && same < a_count && a[same] == b[same])
		same++;
	if (same == b_count && same < a_count && b_end == PF_UNWIND_NO_INFO && !is_code(a[same]))
		t->guessed++;
	else if (same != b_count || same != a_count ||
		 (a_end == PF_UNWIND_ROOT) != (b_end == PF_UNWIND_ROOT))
		note(t, regs.value[PF_REG_PC], same, b_count, a_count, b_end, a_end);
}

static struct tally check(const char *name, work_fn *work, int depth)
{
	struct tally t = {0};

	sampling_run(work, depth, PERIOD_NS, SAMPLES, compare, &t);
	print_message("# %s, %d deep: %u stacks, %u complete, %u differ, %u where A guessed on\n",
	    name, depth, t.samples, t.complete, t.differ, t.guessed);
	for (uint32_t i = 0; i < t.shown; i++)
		print_message("#   pc %#lx: same %u, B %u frames (end %d), A %u frames (end %d)\n",
		    t.pc[i], t.at[i], t.b_count[i], t.b_end[i], t.a_count[i], t.a_end[i]);
	assert_int_equal(t.samples, SAMPLES);
	assert_int_equal(t.differ, 0);
	return t;
}

static void check_complete(const char *name, work_fn *work, int depth)
{
	struct tally t = check(name, work, depth);

	assert_int_equal(t.complete, t.samples);
}

static void optimised_code_without_frame_pointers(void **state)
{
	check_complete("-O2", work_o2, 5);
	check_complete("-O2", work_o2, 100);
}

static void code_that_is_not_optimised(void **state)
{
	check_complete("-O0", work_o0, 40);
}

static void code_with_frame_pointers(void **state)
{
	check_complete("-O2 with frame pointers", work_fp, 40);
}

static void code_made_small(void **state)
{
	check_complete("-Os", work_os, 40);
}

static void exceptions(void **state)
{
	struct tally t = check("C++", work_cxx, 20);

	assert_int_equal(t.complete + t.guessed, t.samples);
}

static int set_up(void **state)
{
	sampling_in_thread(pf_unwind_init);
	return pf_unwind_lib_open();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(optimised_code_without_frame_pointers),
	    cmocka_unit_test(code_that_is_not_optimised),
	    cmocka_unit_test(code_with_frame_pointers),
	    cmocka_unit_test(code_made_small),
	    cmocka_unit_test(exceptions),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
