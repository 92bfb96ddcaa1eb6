#include "render/page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void text_cannot_become_a_tag(void **state)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	pf_page_text(&out, "</script><b a=\"'&\x1b\n");
	assert_string_equal(pf_buf_text(&out), "&lt;/script&gt;&lt;b a=&quot;&#39;&amp;??");
}

static void a_string_can_end_neither_itself_nor_its_script(void **state)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	pf_page_string(&out, "</script><!--\"\\u0022'&");
	assert_string_equal(
	    pf_buf_text(&out), "\"\\u003c/script\\u003e\\u003c!--\\\"\\\\u0022\\u0027\\u0026\"");
}

static void what_is_no_text_is_replaced(void **state)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	/* Not UTF-8; U+FFFE, which XML forbids; U+2028, which ends a line of JavaScript. */
	pf_page_text(&out, "a\xff"
			   "b\xef\xbf\xbe"
			   "c\xe2\x80\xa8"
			   "d\xc3\xa9");
	assert_string_equal(pf_buf_text(&out), "a\xef\xbf\xbd"
					       "b\xef\xbf\xbd"
					       "c\xef\xbf\xbd"
					       "d\xc3\xa9");
}

static void value_is(const char *unit, int64_t value, const char *wanted)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	pf_page_value(&out, unit, value);
	assert_string_equal(pf_buf_text(&out), wanted);
}

static void numbers_are_for_people(void **state)
{
	value_is("nanoseconds", 0, "0 ns");
	value_is("nanoseconds", 721649460, "722 ms");
	value_is("nanoseconds", 1500000000, "1.50 s");
	value_is("nanoseconds", -45600, "-45.6 \xc2\xb5s");
	value_is("bytes", 1023, "1023 B");
	value_is("bytes", 1536, "1.50 KiB");
	value_is("bytes", INT64_MAX, "8388608 TiB");
	value_is("count", 1234567, "1,234,567");
	value_is("count", -999, "-999");
	value_is("leases", 12, "12 leases");
	value_is("", INT64_MIN, "-9,223,372,036,854,775,808");
}

static void clipped_is(const char *name, size_t width, const char *wanted)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	pf_page_clip(&out, name, width);
	assert_string_equal(pf_buf_text(&out), wanted);
}

static void a_name_keeps_what_tells_most(void **state)
{
	clipped_is("main", 4, "main");
	clipped_is("std::vector<int, std::allocator<int>>::push_back", 48,
	    "std::vector<int, std::allocator<int>>::push_back");
	clipped_is(
	    "std::vector<int, std::allocator<int>>::push_back", 30, "std::vector<>::push_back");
	clipped_is("std::vector<int, std::allocator<int>>::push_back", 20, "vector<>::push_back");
	clipped_is("std::vector<int, std::allocator<int>>::push_back", 9, "push_back");
	clipped_is("std::vector<int, std::allocator<int>>::push_back", 6, "push_\xe2\x80\xa6");
	clipped_is("std::operator<< <int, char>", 20, "std::operator<< <>");
	clipped_is("ns::T::operator-><int>", 16, "T::operator-><>");
	clipped_is("less than < only", 10, "less than\xe2\x80\xa6");
	clipped_is(
	    "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", 4, "\xc3\xa9\xc3\xa9\xc3\xa9\xe2\x80\xa6");
	clipped_is("main", 2, "");
	clipped_is("", 9, "");
}

static void a_page_has_its_title_and_its_data(void **state)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;
	const char *text;

	pf_page_open(&out, PF_PAGE_FLAME, "<cpu>");
	pf_buf_str(&out, "{\"answer\":42}");
	pf_page_close(&out, PF_PAGE_FLAME);
	text = pf_buf_text(&out);
	assert_non_null(strstr(text, "<title>&lt;cpu&gt;</title>"));
	assert_non_null(strstr(text, "id=\"data\">{\"answer\":42}</script>"));
	assert_string_equal(text + strlen(text) - 8, "</html>\n");
	/* Nothing is fetched from anywhere. */
	assert_null(strstr(text, "src="));
	assert_null(strstr(text, "href="));
	assert_null(strstr(text, "http://"));
	assert_null(strstr(text, "https://"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(text_cannot_become_a_tag),
	    cmocka_unit_test(a_string_can_end_neither_itself_nor_its_script),
	    cmocka_unit_test(what_is_no_text_is_replaced),
	    cmocka_unit_test(numbers_are_for_people),
	    cmocka_unit_test(a_name_keeps_what_tells_most),
	    cmocka_unit_test(a_page_has_its_title_and_its_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
