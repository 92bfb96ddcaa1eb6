/* The rows beside the cache: nobody else's, no longer than they are right, and walks by them are the same walks. */
#include "sampler/unwind.h"
#include "sampler/unwind_cache.h"
#include "sampler/unwind_recent.h"
#include "sampling.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX = 200, SETS = 1 << PF_RECENT_SET_BITS, USUAL = 0x555555554000 };

static struct pf_unwind_recent recent;

static int empty(void **state)
{
	memset(&recent, 0, sizeof(recent));
	return 0;
}

/* ---- rows ---- */

static void a_row_is_that_of_its_address_alone(void **state)
{
	enum { ROW = 0x2abcde };

	pf_recent_put(&recent, USUAL, ROW);
	assert_int_equal(pf_recent_get(&recent, USUAL), ROW);
	for (uint64_t pc = USUAL - 100000; pc < USUAL + 100000; pc++)
		if (pc != USUAL)
			assert_int_equal(pf_recent_get(&recent, pc), 0);
	for (int bit = 0; bit < 64; bit++)
		assert_int_equal(pf_recent_get(&recent, USUAL ^ 1ull << bit), 0);
	assert_int_equal(pf_recent_get(&recent, 0), 0);
	pf_recent_put(&recent, USUAL | 1ull << 47, ROW + 1);
	assert_int_equal(pf_recent_get(&recent, USUAL | 1ull << 47), ROW + 1);
	assert_int_equal(pf_recent_get(&recent, USUAL), ROW);
}

static void of_a_set_the_newest_is_there_and_most_that_fit(void **state)
{
	uint64_t pcs[3 * PF_RECENT_WAYS];
	uint32_t count = 0, kept = 0;

	for (uint64_t pc = USUAL; count < PF_COUNT(pcs); pc++)
		if (pf_recent_place(&recent, pc).set == recent.rows[3])
			pcs[count++] = pc;
	for (uint32_t i = 0; i < count; i++) {
		pf_recent_put(&recent, pcs[i], i + 1);
		assert_int_equal(pf_recent_get(&recent, pcs[i]), i + 1);
		for (uint32_t k = 0; k < i; k++) {
			uint32_t row = pf_recent_get(&recent, pcs[k]);

			assert_true(row == 0 || row == k + 1);
			kept += i == count - 1 && row != 0;
		}
	}
	assert_true(kept >= 1 && kept < PF_RECENT_WAYS);
}

static void addresses_are_spread(void **state)
{
	uint32_t used = 0;

	/* As many as a large program's walks meet: most have a place of their own. */
	for (uint64_t pc = USUAL; pc < USUAL + 100 * 24; pc += 24)
		pf_recent_put(&recent, pc, 1);
	for (int i = 0; i < SETS; i++)
		for (int way = 0; way < PF_RECENT_WAYS; way++)
			used += recent.rows[i][way] != 0;
	assert_true(used > 60);
}

/* An address of a program has 48 bits (47 on x86-64); one with more would be taken for one with fewer. */
static void an_address_that_does_not_fit_is_left_out(void **state)
{
	static const struct pf_unwind_recent nothing;

	pf_recent_put(&recent, USUAL | 1ull << 48, 1);
	pf_recent_put(&recent, USUAL | 1ull << 63, 1);
	assert_memory_equal(&recent, &nothing, sizeof(recent));
}

/* ---- walks ---- */

struct walk {
	uint64_t pcs[MAX];
	uint32_t count;
	enum pf_unwind_end end;
};

static void walk_by(struct pf_unwind_recent *by, const struct pf_unwind_regs *regs, struct walk *w)
{
	struct pf_unwind_memory memory;

	pf_unwind_bounds(regs->value[PF_REG_SP], &memory);
	w->count = pf_unwind_cfi_again(by, regs, &memory, w->pcs, MAX, &w->end);
}

static void assert_same(const struct walk *a, const struct walk *b)
{
	assert_int_equal(a->count, b->count);
	assert_int_equal(a->end, b->end);
	assert_memory_equal(a->pcs, b->pcs, a->count * sizeof(*a->pcs));
}

static uint32_t cached(void)
{
	uint32_t count = 0;

	for (size_t i = 0; i < PF_COUNT(pf_unwind_cache); i++)
		count += pf_unwind_cache[i] != 0;
	return count;
}

/* With and without, by what the cache has and by itself alone. */
static __attribute__((noinline)) void compare_here(void)
{
	struct pf_unwind_regs regs;
	struct walk without, with;

	pf_unwind_from_here(&regs);
	walk_by(NULL, &regs, &without);
	assert_int_equal(without.end, PF_UNWIND_ROOT);
	walk_by(&recent, &regs, &with);
	assert_same(&without, &with);
	walk_by(&recent, &regs, &with);
	assert_same(&without, &with);
}

static __attribute__((noinline)) uint32_t recurse(uint32_t depth, void (*leaf)(void))
{
	volatile uint32_t keep = depth;

	if (depth > 0)
		return recurse(depth - 1, leaf) + keep;
	leaf();
	return keep;
}

static void a_walk_by_it_is_the_same_walk(void **state)
{
	for (uint32_t depth = 0; depth < 120; depth += 7) {
		recurse(depth, compare_here);
		recurse(119 - depth, compare_here);
	}
}

static struct walk first, second;

static __attribute__((noinline)) void walk_without_the_cache(void)
{
	struct pf_unwind_regs regs;

	pf_unwind_from_here(&regs);
	walk_by(&recent, &regs, &first); /* into the cache */
	walk_by(&recent, &regs, &first); /* and from there */
	memset(pf_unwind_cache, 0, sizeof(pf_unwind_cache));
	walk_by(&recent, &regs, &second);
}

static void what_was_met_needs_no_cache(void **state)
{
	recurse(5, walk_without_the_cache);
	assert_same(&first, &second);
	/* But for what has no short row: in no cache at all. */
	assert_int_equal(cached(), 0);
}

static void so_much_of_the_stack_is_noted_however_deep(void **state)
{
	recurse(150, compare_here);
	assert_int_equal(recent.count, PF_RECENT_PLACES);
	recurse(0, compare_here);
	assert_true(recent.count > 2 && recent.count < 40);
}

/* ---- modules that can be closed ---- */

static uint64_t from_plugin;

static uint32_t called_by_plugin(void)
{
	from_plugin = (uintptr_t)__builtin_return_address(0) - 1;
	compare_here();
	compare_here();
	return 1;
}

static void rows_of_what_can_be_closed_are_left_out(void **state)
{
	void *module = dlopen(getenv("PF_PLUGIN_MODULE"), RTLD_NOW);
	bool permanent;

	assert_non_null(module);
	((uint32_t(*)(uint32_t(*)(void)))dlsym(module, "plugin_call"))(called_by_plugin);
	assert_int_not_equal(pf_unwind_cache_get(from_plugin, &permanent), 0);
	assert_false(permanent);
	assert_int_equal(pf_recent_get(&recent, from_plugin), 0);
	dlclose(module);
}

static int set_up(void **state)
{
	sampling_in_thread(pf_unwind_init);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(a_row_is_that_of_its_address_alone, empty),
	    cmocka_unit_test_setup(of_a_set_the_newest_is_there_and_most_that_fit, empty),
	    cmocka_unit_test_setup(addresses_are_spread, empty),
	    cmocka_unit_test_setup(an_address_that_does_not_fit_is_left_out, empty),
	    cmocka_unit_test_setup(a_walk_by_it_is_the_same_walk, empty),
	    cmocka_unit_test_setup(what_was_met_needs_no_cache, empty),
	    cmocka_unit_test_setup(so_much_of_the_stack_is_noted_however_deep, empty),
	    cmocka_unit_test_setup(rows_of_what_can_be_closed_are_left_out, empty),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
