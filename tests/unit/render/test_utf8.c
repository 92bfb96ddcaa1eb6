#include "base/buf.h"
#include "render/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void becomes(const char *text, const char *plain)
{
	PF_SCOPED(pf_buf) buf = PF_BUF_INIT;

	pf_utf8_add_plain(&buf, text);
	assert_string_equal(pf_buf_text(&buf), plain);
}

#define BAD "\xef\xbf\xbd"

static void valid_text_stays(void **state)
{
	becomes("", "");
	becomes("main", "main");
	becomes("gr\xc3\xb6\xc3\x9f"
		"e \xe2\x82\xac \xf0\x9f\x98\x80",
	    "gr\xc3\xb6\xc3\x9f"
	    "e \xe2\x82\xac \xf0\x9f\x98\x80");
}

static void no_control_character_stays(void **state)
{
	becomes("a\033[2Jb\n\x7f", "a?[2Jb??");
	becomes("a\xc2\x9b"
		"2J",
	    "a?2J"); /* CSI in one character */
	becomes("\xc2\xa0", "\xc2\xa0");
}

static void every_bad_byte_is_replaced(void **state)
{
	becomes("a\xff"
		"b",
	    "a" BAD "b");
	becomes("\xc0\x80", BAD BAD);                 /* overlong */
	becomes("\xe0\x80\x80", BAD BAD BAD);         /* overlong */
	becomes("\xed\xa0\x80", BAD BAD BAD);         /* surrogate */
	becomes("\xf4\x90\x80\x80", BAD BAD BAD BAD); /* above U+10FFFF */
	becomes("x\xe2\x82", "x" BAD BAD);            /* cut */
	becomes("\xe2(", BAD "(");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(valid_text_stays),
	    cmocka_unit_test(no_control_character_stays),
	    cmocka_unit_test(every_bad_byte_is_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
