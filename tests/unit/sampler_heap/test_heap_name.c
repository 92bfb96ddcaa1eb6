/* The names of allocating threads: as they are at this moment, whatever stands behind their end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/counter.h"
#include "base/mark.h"
#include "sampler/heap_name.h"
#include "sampler/thread.h"

#include <stdio.h>
#include <string.h>

PF_TLS struct pf_thread *pf_thread_self;
static struct pf_thread self;

/* With rubbish behind its end, as a shorter name leaves it. */
static void rename_to(const char *name)
{
	memset(self.name, 'x', sizeof(self.name));
	snprintf(self.name, sizeof(self.name), "%s", name);
}

static void assert_name_here(const char *name)
{
	uint16_t number = pf_name_here();

	assert_int_not_equal(number, 0);
	assert_string_equal(pf_name_text(number), name);
	assert_int_equal(pf_name_here(), number); /* as it is remembered */
}

static void names_of_every_length_are_whole(void **state)
{
	static const char *const names[] = {
	    "a", "seven77", "eight888", "nine99999", "fourteen141414", "fifteen15151515"};

	pf_thread_self = &self;
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < PF_COUNT(names); i++) {
			rename_to(names[i]);
			assert_name_here(names[i]);
		}
	/* Letters beyond ASCII are no ends. */
	rename_to("\x80\xff\x81 \xc3\xa9");
	assert_name_here("\x80\xff\x81 \xc3\xa9");
}

static void a_name_without_an_end_is_cut(void **state)
{
	memset(self.name, '5', sizeof(self.name));
	memcpy(self.name, "fifteen15151515!", sizeof(self.name));
	assert_name_here("fifteen15151515");
}

static void without_a_name_or_a_slot_there_is_no_number(void **state)
{
	rename_to("");
	assert_int_equal(pf_name_here(), 0);
	rename_to("a");
	assert_name_here("a");
	rename_to("");
	assert_int_equal(pf_name_here(), 0);
	pf_thread_self = NULL;
	assert_int_equal(pf_name_here(), 0);
	pf_thread_self = &self;
}

static void two_threads_of_one_name_have_one_number(void **state)
{
	static struct pf_thread other;
	uint16_t number;

	rename_to("seven77");
	number = pf_name_here();
	pf_thread_self = &other;
	memcpy(other.name, "seven77", sizeof("seven77"));
	assert_int_equal(pf_name_here(), number);
	pf_thread_self = &self;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_of_every_length_are_whole),
	    cmocka_unit_test(a_name_without_an_end_is_cut),
	    cmocka_unit_test(without_a_name_or_a_slot_there_is_no_number),
	    cmocka_unit_test(two_threads_of_one_name_have_one_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
