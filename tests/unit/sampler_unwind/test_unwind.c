/* Where the stack of the calling thread ends: known exactly for threads and the main thread, tried
 * page by page for anything else. */
#include "base/counter.h"
#include "base/profile.h"
#include "sampler/unwind.h"
#include "sampler/unwind_memory.h"
#include "sampling.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

enum { PAGE = 4096 };

static uint64_t here(void)
{
	return (uintptr_t)__builtin_frame_address(0);
}

/* Every word from low to high can be read, whatever a sanitizer says. */
static __attribute__((noinline, no_sanitize("address"))) void touch(
    const struct pf_unwind_memory *memory)
{
	for (uint64_t at = memory->low & ~7ull; at + 8 <= memory->high; at += 8)
		(void)*(volatile uint64_t *)at;
}

static void the_main_stack_goes_from_here_to_its_end(void **state)
{
	extern void *__libc_stack_end;
	struct pf_unwind_memory memory;
	uint64_t sp = here();

	pf_unwind_bounds(sp, &memory);
	assert_false(memory.foreign);
	assert_null(memory.copy);
	assert_true(memory.low <= sp && sp - memory.low <= PF_REG_RED_ZONE);
	assert_true(memory.high > (uintptr_t)__libc_stack_end);
	touch(&memory);
}

static __attribute__((noinline)) int grow(int pages)
{
	volatile char room[PAGE];
	struct pf_unwind_memory memory;

	room[0] = (char)pages;
	if (pages > 0)
		return grow(pages - 1) + room[0];
	pf_unwind_bounds(here(), &memory);
	assert_false(memory.foreign);
	touch(&memory);
	return room[0];
}

static void the_main_stack_may_have_grown(void **state)
{
	grow(1000);
}

static void below_a_main_stack_that_has_not_grown_nothing_is_read(void **state)
{
	struct pf_unwind_memory memory;
	uint64_t sp = here() - 6 * 1024 * 1024;

	pf_unwind_bounds(sp, &memory);
	assert_false(memory.foreign);
	touch(
	    &memory); /* the kernel grows the stack for a look of its own, or memory.low is above */
}

struct expected {
	uint64_t low, high; /* of the stack; the thread's descriptor is below high */
};

static void *check_thread(void *arg)
{
	const struct expected *expected = arg;
	struct pf_unwind_memory memory;
	pthread_attr_t attr;
	uint64_t sp = here();
	void *low;
	size_t size;

	pthread_getattr_np(pthread_self(), &attr);
	pthread_attr_getstack(&attr, &low, &size);
	pthread_attr_destroy(&attr);
	pf_unwind_bounds(sp, &memory);
	assert_false(memory.foreign);
	assert_true(memory.low <= sp && sp - memory.low <= PF_REG_RED_ZONE);
	assert_true(memory.high <= (uintptr_t)low + size);
	assert_true(memory.high > (uintptr_t)low + size - 2 * PAGE);
	if (expected)
		assert_true(memory.high <= expected->high && memory.low >= expected->low);
	touch(&memory);
	/* In the guard: nothing below the stack, all of the stack above. */
	pf_unwind_bounds((uintptr_t)low - (expected ? 0 : PAGE / 2), &memory);
	assert_false(memory.foreign);
	assert_true(memory.low >= (uintptr_t)low);
	touch(&memory);
	return NULL;
}

static void run_thread(const pthread_attr_t *attr, void *arg)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, attr, check_thread, arg), 0);
	pthread_join(thread, NULL);
}

static void a_thread_has_its_block(void **state)
{
	pthread_attr_t attr;

	run_thread(NULL, NULL);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	run_thread(&attr, NULL);
	pthread_attr_setguardsize(&attr, 16 * PAGE);
	run_thread(&attr, NULL);
	pthread_attr_destroy(&attr);
}

static void a_stack_of_the_program_s_own_making_has_its_size(void **state)
{
	size_t size = 256 * 1024;
	char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct expected expected = {(uintptr_t)stack, (uintptr_t)stack + size};
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, stack, size);
	run_thread(&attr, &expected);
	pthread_attr_destroy(&attr);
	munmap(stack, size);
}

static void a_foreign_stack_ends_where_memory_does(void **state)
{
	char *pages = mmap(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct pf_unwind_memory memory;
	uint64_t value, sp = (uintptr_t)pages + PAGE + 64;

	mprotect(pages + 3 * PAGE, PAGE, PROT_NONE);
	pf_unwind_bounds(sp, &memory);
	assert_true(memory.foreign);
	assert_true(memory.high == (uintptr_t)pages + 2 * PAGE);
	assert_true(memory.low == sp - PF_REG_RED_ZONE); /* the page below is there */
	assert_true(pf_unwind_load(&memory, (uintptr_t)pages + 3 * PAGE - 8, &value));
	assert_true(memory.high == (uintptr_t)pages + 3 * PAGE);
	assert_false(pf_unwind_load(&memory, (uintptr_t)pages + 3 * PAGE, &value));
	mprotect(pages, PAGE, PROT_NONE);
	pf_unwind_bounds(sp, &memory);
	assert_true(memory.low == (uintptr_t)pages + PAGE); /* now it is not */
	munmap(pages, 4 * PAGE);
	pf_unwind_bounds(sp, &memory);
	assert_true(memory.low == memory.high);
	assert_false(pf_unwind_load(&memory, sp & ~7ull, &value));
}

static void nonsense_has_no_stack(void **state)
{
	static const uint64_t nonsense[] = {0, 8, 4095, 0x7fffffffeff8, 0x7ffffffff000,
	    0x800000000000, 0xffff800000000000, 0xffffffffff600000, UINT64_MAX - 7, UINT64_MAX};
	struct pf_unwind_memory memory;
	uint64_t value;

	for (size_t i = 0; i < PF_COUNT(nonsense); i++) {
		pf_unwind_bounds(nonsense[i], &memory);
		assert_true(memory.foreign);
		assert_false(pf_unwind_load(&memory, nonsense[i] & ~7ull, &value));
	}
}

static void an_odd_address_is_no_stack_word(void **state)
{
	uint64_t words[4] = {1, 2, 3, 4}, value;
	struct pf_unwind_memory memory = {
	    .low = (uintptr_t)words, .high = (uintptr_t)words + sizeof(words)};

	assert_true(pf_unwind_load(&memory, (uintptr_t)&words[3], &value));
	assert_true(value == 4);
	assert_false(pf_unwind_load(&memory, (uintptr_t)&words[1] + 4, &value));
	assert_false(pf_unwind_load(&memory, (uintptr_t)words - 8, &value));
	assert_false(pf_unwind_load(&memory, (uintptr_t)words + sizeof(words), &value));
	assert_false(pf_unwind_load(&memory, UINT64_MAX - 7, &value));
}

static void a_copy_is_read_at_the_copy(void **state)
{
	uint64_t words[2] = {7, 9}, value;
	struct pf_unwind_memory memory = {.low = 0x1000, .high = 0x1010, .copy = (char *)words};

	assert_true(pf_unwind_load(&memory, 0x1008, &value));
	assert_true(value == 9);
	assert_false(pf_unwind_load(&memory, 0x1010, &value));
}

static void every_end_but_the_root_has_a_marker_and_a_counter(void **state)
{
	assert_true(pf_unwind_marker(PF_UNWIND_ROOT) == 0);
	for (int end = PF_UNWIND_TRUNCATED; end <= PF_UNWIND_FIBER; end++) {
		uint64_t before = 0, after = 0, marker;

		for (int i = 0; i < PF_COUNTER_COUNT; i++)
			before += pf_counter_get(i);
		marker = pf_unwind_marker(end);
		for (int i = 0; i < PF_COUNTER_COUNT; i++)
			after += pf_counter_get(i);
		assert_non_null(pf_pc_marker_name(marker));
		assert_true(after == before + 1);
	}
}

/* All of it twice: learned on the main thread, and by another. */
static int set_up(void **state)
{
	if (getenv("PF_LEARN_ON_MAIN"))
		pf_unwind_init();
	else
		sampling_in_thread(pf_unwind_init);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_main_stack_goes_from_here_to_its_end),
	    cmocka_unit_test(the_main_stack_may_have_grown),
	    cmocka_unit_test(below_a_main_stack_that_has_not_grown_nothing_is_read),
	    cmocka_unit_test(a_thread_has_its_block),
	    cmocka_unit_test(a_stack_of_the_program_s_own_making_has_its_size),
	    cmocka_unit_test(a_foreign_stack_ends_where_memory_does),
	    cmocka_unit_test(nonsense_has_no_stack),
	    cmocka_unit_test(an_odd_address_is_no_stack_word),
	    cmocka_unit_test(a_copy_is_read_at_the_copy),
	    cmocka_unit_test(every_end_but_the_root_has_a_marker_and_a_counter),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
