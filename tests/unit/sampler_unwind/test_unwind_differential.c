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
#include <string.h>

#include <cmocka.h>

enum { MAX = 400, PERIOD_NS = 97 * 1000, SAMPLES = 8500, SHOWN = 10 };

struct stack {
	uint64_t pc[MAX];
	uint32_t count;
	enum pf_unwind_end end;
};

static bool same(const struct stack *a, const struct stack *b)
{
	return a->count == b->count && memcmp(a->pc, b->pc, a->count * sizeof(*a->pc)) == 0 &&
	       (a->end == PF_UNWIND_ROOT) == (b->end == PF_UNWIND_ROOT);
}

/* How many frames, from the leaf on. */
static uint32_t common(const struct stack *a, const struct stack *b)
{
	uint32_t i = 0;

	while (i < a->count && i < b->count && a->pc[i] == b->pc[i])
		i++;
	return i;
}

struct tally {
	uint32_t samples, complete, differ, guessed, kept_wrong, shown;
	struct {
		uint64_t pc;
		uint32_t common;
		struct stack a, b;
	} difference[SHOWN];
};

static void note(struct tally *t, uint64_t pc, const struct stack *a, const struct stack *b)
{
	t->differ++;
	if (t->shown == SHOWN)
		return;
	t->difference[t->shown].pc = pc;
	t->difference[t->shown].common = common(a, b);
	t->difference[t->shown].a = *a;
	t->difference[t->shown].b = *b;
	t->shown++;
}

static bool is_code(uint64_t address)
{
	struct dl_find_object found;

	return _dl_find_object((void *)address, &found) == 0;
}

static void compare(const ucontext_t *context, void *arg)
{
	static struct stack a, b, kept;
	struct pf_unwind_memory memory;
	struct pf_unwind_regs regs;
	struct tally *t = arg;

	pf_unwind_from_context(&regs, context);
	pf_unwind_bounds(regs.value[PF_REG_SP], &memory);
	b.count = pf_unwind_cfi(&regs, &memory, b.pc, MAX, &b.end);
	a.count = pf_unwind_lib(&regs, &memory, a.pc, MAX, &a.end);
	t->samples++;
	t->complete += b.end == PF_UNWIND_ROOT;
	if (same(&a, &b))
		return;
	kept = a;
	pf_unwind_lib_forget();
	a.count = pf_unwind_lib(&regs, &memory, a.pc, MAX, &a.end);
	t->kept_wrong += !same(&a, &kept);
	if (same(&a, &b))
		return;
	if (common(&a, &b) == b.count && b.count < a.count && b.end == PF_UNWIND_NO_INFO &&
	    !is_code(a.pc[b.count]))
		t->guessed++;
	else
		note(t, regs.value[PF_REG_PC], &a, &b);
}

static void show(const char *who, const struct stack *s, uint32_t from)
{
	print_message("#     %s: %u frames, end %d:", who, s->count, s->end);
	for (uint32_t i = from > 0 ? from - 1 : 0; i < s->count && i < from + 3; i++) {
		Dl_info at = {0};

		dladdr((void *)s->pc[i], &at);
		print_message(" %s+%#lx", at.dli_fname ? at.dli_fname : "?",
		    s->pc[i] - (uintptr_t)at.dli_fbase);
	}
	print_message("\n");
}

static const struct tally *check(const char *name, work_fn *work, int depth)
{
	static struct tally t;

	memset(&t, 0, sizeof(t));
	sampling_run(work, depth, PERIOD_NS, SAMPLES, compare, &t);
	print_message(
	    "# %s, %d deep: %u stacks, %u complete, %u differ; A guessed on in %u and had "
	    "kept a wrong row in %u\n",
	    name, depth, t.samples, t.complete, t.differ, t.guessed, t.kept_wrong);
	for (uint32_t i = 0; i < t.shown; i++) {
		print_message("#   pc %#lx: %u frames are the same\n", t.difference[i].pc,
		    t.difference[i].common);
		show("B", &t.difference[i].b, t.difference[i].common);
		show("A", &t.difference[i].a, t.difference[i].common);
	}
	assert_int_equal(t.samples, SAMPLES);
	assert_int_equal(t.differ, 0);
	return &t;
}

static void check_complete(const char *name, work_fn *work, int depth)
{
	const struct tally *t = check(name, work, depth);

	assert_int_equal(t->complete, t->samples);
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
	const struct tally *t = check("C++", work_cxx, 20);

	assert_int_equal(t->complete + t->guessed, t->samples);
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
