/* Lives of made-up modules, at addresses where nothing is. One process, one past: each test has a
 * place of its own, and all modules of the tests before it are closed by its first look. */
#include "base/profile.h"
#include "sampler/past.h"
#include "sampler/stack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { SIZE = 0x5000 };

static uint64_t changes; /* makes each look a new one */
static uint64_t place = 0x600000000000;

struct module {
	uint64_t start;
	uint64_t hash;
};

static void look(const struct module *modules, size_t count)
{
	uint32_t number;

	assert_true(pf_past_look_begin(++changes, 0, &number));
	for (size_t i = 0; i < count; i++) {
		struct pf_past_file file = {
		    .hash = modules[i].hash, .size = SIZE, .offset = 0x1000, .name = "/made/up.so"};

		pf_past_look_see(number, modules[i].start, &file);
	}
	pf_past_look_end(number);
}

static void look_at_one(uint64_t start, uint64_t hash)
{
	look(&(struct module){start, hash}, 1);
}

static void look_at_none(void)
{
	look(NULL, 0);
}

/* As the hook of dlclose does it. */
static void close_all(void)
{
	pf_past_step();
	look_at_none();
}

static int new_place(void **state)
{
	place += 0x100000;
	look_at_none();
	return 0;
}

static uint64_t place_at(uint64_t pc, uint32_t generation)
{
	return pf_past_place(pc, generation, generation);
}

static uint64_t hash_in_grave(uint64_t address)
{
	const char *path;
	uint32_t number = pf_past_file_at(address);

	return number ? pf_past_file(number, &path)->hash : 0;
}

static void an_address_is_shown_as_it_is_while_its_module_lives(void **state)
{
	uint32_t then;

	look_at_one(place, 11);
	then = pf_past_now();
	assert_true(place_at(place + 5, then) == place + 5);
	look_at_one(place, 11);
	assert_true(place_at(place + 5, then) == place + 5);
	assert_true(place_at(place + SIZE, then) == place + SIZE); /* nobody's */
}

static void each_generation_has_the_module_that_was_there(void **state)
{
	uint32_t old, new, again;

	look_at_one(place, 21);
	old = pf_past_now();
	close_all();
	look_at_one(place, 22);
	new = pf_past_now();
	assert_true(hash_in_grave(place_at(place + 5, old)) == 21);
	assert_true(place_at(place + 5, new) == place + 5);
	close_all();
	look_at_one(place, 21);
	again = pf_past_now();
	assert_true(hash_in_grave(place_at(place + 5, old)) == 21);
	assert_true(hash_in_grave(place_at(place + 5, new)) == 22);
	assert_true(place_at(place + 5, again) == place + 5);
	assert_true(pf_past_same(&(uint64_t){place + 5}, 1, old, again));
	assert_false(pf_past_same(&(uint64_t){place + 5}, 1, old, new));
	assert_true(pf_past_loaded_at(pf_past_file_at(place_at(place + 5, old))) == place);
	assert_true(pf_past_loaded_at(pf_past_file_at(place_at(place + 5, new))) == 0);
}

static void a_file_has_one_grave_wherever_it_was(void **state)
{
	uint32_t first, second;

	look_at_one(place, 31);
	first = pf_past_now();
	close_all();
	look_at_one(place + 0x10000, 31);
	second = pf_past_now();
	close_all();
	assert_true(place_at(place + 5, first) == place_at(place + 0x10005, second));
}

static void two_that_may_have_been_there_are_neither(void **state)
{
	uint32_t between;

	look_at_one(place, 41);
	between = pf_past_now();
	look_at_one(place + 0x1000, 42); /* closed and another opened, nobody told us */
	assert_true(place_at(place + 0x2000, between) == PF_PC_UNKNOWN);
	assert_true(hash_in_grave(place_at(place + 5, between)) == 41);
	assert_true(place_at(place + 0x2000, pf_past_now()) == place + 0x2000);
}

static void what_was_there_before_a_module_is_not_the_modules(void **state)
{
	uint32_t before = pf_past_now();

	look_at_none();
	look_at_none();
	look_at_one(place, 51);
	assert_true(place_at(place + 5, before) == PF_PC_UNKNOWN);
}

static void a_module_that_comes_back_goes_on(void **state)
{
	uint32_t first, many = pf_past_file_at(PF_PAST_GRAVES_LOW + 1);

	look_at_one(place, 61);
	first = pf_past_now();
	for (int i = 0; i < 10000; i++) {
		close_all();
		look_at_one(place, 61);
	}
	assert_true(place_at(place + 5, first) == place + 5);
	assert_true(many == 1); /* and no room was used up: the first file has its grave */
	close_all();
	assert_true(hash_in_grave(place_at(place + 5, first)) == 61);
}

static void forgotten_modules_are_unknown_and_not_somebody_else(void **state)
{
	uint32_t old;

	look_at_one(place, 71);
	old = pf_past_now();
	for (uint64_t i = 0; i < 5000; i++) { /* more than there is room for */
		close_all();
		look_at_one(place, 72 + i % 2);
	}
	assert_true(place_at(place + 5, old) == PF_PC_UNKNOWN);
	assert_true(place_at(place + 5, pf_past_now()) == place + 5);
}

static void a_stack_has_another_id_when_another_module_is_there(void **state)
{
	const uint64_t pcs[] = {place + 5, 0x1234567, place + 6};
	const uint64_t *got;
	uint32_t old, new;

	look_at_one(place, 81);
	old = pf_stack_intern(pcs, 3);
	look_at_one(place, 81);
	assert_int_equal(pf_stack_intern(pcs, 3), old);
	close_all();
	look_at_one(place, 82);
	new = pf_stack_intern(pcs, 3);
	assert_int_not_equal(new, old);
	assert_int_equal(pf_stack_intern(pcs, 3), new);
	assert_int_equal(pf_stack_read(old, &got), 3);
	assert_true(hash_in_grave(got[0]) == 81 && got[2] == got[0] + 1 && got[1] == 0x1234567);
	assert_int_equal(pf_stack_read(new, &got), 3);
	assert_memory_equal(got, pcs, sizeof(pcs));
	close_all();
	look_at_one(place, 81);
	assert_int_equal(pf_stack_intern(pcs, 3), old);
	assert_int_equal(pf_stack_read(old, &got), 3);
	assert_memory_equal(got, pcs, sizeof(pcs)); /* it is there again */
	assert_int_equal(pf_stack_read(new, &got), 3);
	assert_true(hash_in_grave(got[0]) == 82);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(an_address_is_shown_as_it_is_while_its_module_lives, new_place),
	    cmocka_unit_test_setup(each_generation_has_the_module_that_was_there, new_place),
	    cmocka_unit_test_setup(a_file_has_one_grave_wherever_it_was, new_place),
	    cmocka_unit_test_setup(two_that_may_have_been_there_are_neither, new_place),
	    cmocka_unit_test_setup(what_was_there_before_a_module_is_not_the_modules, new_place),
	    cmocka_unit_test_setup(a_module_that_comes_back_goes_on, new_place),
	    cmocka_unit_test_setup(a_stack_has_another_id_when_another_module_is_there, new_place),
	    cmocka_unit_test_setup(forgotten_modules_are_unknown_and_not_somebody_else, new_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
