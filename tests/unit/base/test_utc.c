#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/utc.h"

#include <stdio.h>
#include <time.h>

static void the_epoch_and_a_known_moment(void **state)
{
	char text[PF_UTC_TEXT];

	pf_utc_text(0, text);
	assert_string_equal(text, "1970-01-01T00:00:00Z");
	pf_utc_text(1795243946ll * PF_NS_PER_SECOND + 999999999, text);
	assert_string_equal(text, "2026-11-21T06:52:26Z");
	pf_utc_stamp(1795243946ll * PF_NS_PER_SECOND, text);
	assert_string_equal(text, "20261121T065226");
	pf_utc_text(-1, text);
	assert_string_equal(text, "1969-12-31T23:59:59Z");
}

/* Every 7th hour and a bit of two centuries, leap days and all, against libc. */
static void libc_says_the_same(void **state)
{
	for (time_t t = 0; t < 200ll * 366 * 86400; t += 7 * 3600 + 13) {
		char ours[PF_UTC_TEXT], theirs[PF_UTC_TEXT];
		struct tm tm;

		gmtime_r(&t, &tm);
		strftime(theirs, sizeof(theirs), "%Y-%m-%dT%H:%M:%SZ", &tm);
		pf_utc_text((int64_t)t * PF_NS_PER_SECOND, ours);
		assert_string_equal(ours, theirs);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_epoch_and_a_known_moment),
	    cmocka_unit_test(libc_says_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
