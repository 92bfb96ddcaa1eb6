/* The ring of events, and who reads it. */
#include "base/clock.h"
#include "base/counter.h"
#include "fake_door.h"
#include "fs/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct pf_events events;
static struct pf_event_reader reader;
static char text[PF_EVENT_LINES * PF_EVENT_LINE];

static int setup(void **state)
{
	fake_door_reset(false);
	pf_counter_adopt(fake.door.counters);
	pf_events_init(&events);
	pf_event_join(&events, &reader);
	return 0;
}

static const char *read_all(void)
{
	text[pf_event_read(&events, &reader, text, sizeof(text) - 1)] = '\0';
	return text;
}

static void a_reader_sees_what_happens_after_he_came(void **state)
{
	struct pf_event_reader late;

	pf_event_add(&events, "gc %d", 1);
	pf_event_join(&events, &late);
	assert_true(pf_event_ready(&events, &reader));
	assert_false(pf_event_ready(&events, &late));
	assert_non_null(strstr(read_all(), "Z gc 1\n"));
	assert_false(pf_event_ready(&events, &reader));
	assert_string_equal(read_all(), "");
}

static void a_line_may_be_read_byte_by_byte(void **state)
{
	char line[PF_EVENT_LINE] = "";
	size_t n = 0;

	pf_event_add(&events, "first");
	pf_event_add(&events, "second");
	while (n == 0 || line[n - 1] != '\n') {
		assert_true(pf_event_ready(&events, &reader));
		assert_int_equal(pf_event_read(&events, &reader, line + n, 1), 1);
		n++;
	}
	assert_string_equal(line + n - 7, " first\n");
	assert_non_null(strstr(read_all(), "Z second\n"));
}

static void a_slow_reader_is_told_what_he_missed(void **state)
{
	for (int i = 0; i < PF_EVENT_LINES + 5; i++)
		pf_event_add(&events, "event %d.", i);
	assert_non_null(strstr(read_all(), "Z lost 5 lines: read faster\n"));
	assert_null(strstr(text, " event 4."));
	assert_non_null(strstr(text, " event 5."));
	assert_non_null(strstr(text, " event 260.\n"));
}

static void a_line_has_no_escapes_and_one_newline(void **state)
{
	char longest[2 * PF_EVENT_LINE];

	pf_event_add(&events, "a\x1b[31mb\x7f\tc\xc2\x9b\nd\n");
	assert_non_null(strstr(read_all(), "Z a?[31mb??c??\n"));
	assert_null(strchr(text, 'd'));
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	pf_event_add(&events, "%s", longest);
	assert_int_equal(strlen(read_all()), PF_EVENT_LINE);
	assert_int_equal(text[PF_EVENT_LINE - 1], '\n');
}

static void losses_are_looked_for_while_somebody_reads(void **state)
{
	int64_t now = 1000ll * PF_NS_PER_SECOND;

	pf_count(PF_COUNTER_CPU_LOST_RING);
	assert_int_equal(pf_events_tick(&events, now), now + PF_NS_PER_SECOND);
	assert_string_equal(read_all(), ""); /* lost before anybody read */
	pf_count_many(PF_COUNTER_CPU_LOST_RING, 3);
	pf_count(PF_COUNTER_FS_REQUESTS);
	pf_events_tick(&events, now + 1);
	assert_string_equal(read_all(), ""); /* not yet */
	pf_events_tick(&events, now + PF_NS_PER_SECOND);
	assert_non_null(strstr(read_all(), "Z dropped cpu_lost_ring_full 3\n"));
	pf_event_leave(&events);
	assert_int_equal(pf_events_tick(&events, now + 2ll * PF_NS_PER_SECOND), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, NULL)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_reader_sees_what_happens_after_he_came),
	    TEST(a_line_may_be_read_byte_by_byte),
	    TEST(a_slow_reader_is_told_what_he_missed),
	    TEST(a_line_has_no_escapes_and_one_newline),
	    TEST(losses_are_looked_for_while_somebody_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
