#include "render/gzip.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void pack(struct pf_buf *out, const void *bytes, size_t length, size_t step)
{
	struct pf_gzip *gzip = pf_gzip_start(out);

	for (size_t at = 0; at < length; at += step)
		pf_gzip_add(
		    gzip, (const char *)bytes + at, length - at < step ? length - at : step);
	pf_gzip_end(gzip);
	assert_int_equal(out->error, 0);
}

static void what_went_in_comes_out(void **state)
{
	static char bytes[300000];
	PF_SCOPED(pf_buf) packed = PF_BUF_INIT;
	PF_SCOPED(pf_buf) back = PF_BUF_INIT;
	unsigned seed = 1;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)((seed = seed * 1103515245 + 12345) >> 24);
	pack(&packed, bytes, sizeof(bytes), 1000);
	assert_memory_equal(packed.at, "\x1f\x8b", 2);
	assert_int_equal(pf_gzip_unpack(&back, packed.at, packed.length, sizeof(bytes)), 0);
	assert_int_equal(back.length, sizeof(bytes));
	assert_memory_equal(back.at, bytes, sizeof(bytes));
}

static void no_bytes_are_a_member_too(void **state)
{
	PF_SCOPED(pf_buf) packed = PF_BUF_INIT;
	PF_SCOPED(pf_buf) back = PF_BUF_INIT;

	pack(&packed, "", 0, 1);
	assert_int_equal(pf_gzip_unpack(&back, packed.at, packed.length, 0), 0);
	assert_int_equal(back.length, 0);
}

static void the_header_has_no_time(void **state)
{
	PF_SCOPED(pf_buf) packed = PF_BUF_INIT;

	pack(&packed, "x", 1, 1);
	assert_memory_equal(packed.at + 4, "\0\0\0\0", 4);
}

static void one_byte_over_the_limit_is_refused(void **state)
{
	static const char zeros[100000];
	PF_SCOPED(pf_buf) packed = PF_BUF_INIT;
	PF_SCOPED(pf_buf) back = PF_BUF_INIT;

	pack(&packed, zeros, sizeof(zeros), sizeof(zeros));
	assert_int_equal(
	    pf_gzip_unpack(&back, packed.at, packed.length, sizeof(zeros) - 1), -EFBIG);
	assert_true(back.length <= sizeof(zeros) - 1);
}

static void anything_cut_or_changed_is_refused(void **state)
{
	PF_SCOPED(pf_buf) packed = PF_BUF_INIT;
	PF_SCOPED(pf_buf) back = PF_BUF_INIT;

	pack(&packed, "some text to pack", 17, 17);
	for (size_t length = 0; length < packed.length; length++) {
		char *cut = malloc(length + 1);

		assert_non_null(cut);
		memcpy(cut, packed.at, length);
		pf_buf_clear(&back);
		assert_int_equal(pf_gzip_unpack(&back, cut, length, 1000), -EINVAL);
		free(cut);
	}
	packed.at[packed.length - 6] ^= 1; /* its checksum */
	pf_buf_clear(&back);
	assert_int_equal(pf_gzip_unpack(&back, packed.at, packed.length, 1000), -EINVAL);
}

static void members_laid_end_to_end_are_one_text(void **state)
{
	PF_SCOPED(pf_buf) packed = PF_BUF_INIT;
	PF_SCOPED(pf_buf) back = PF_BUF_INIT;

	pack(&packed, "one ", 4, 4);
	pack(&packed, "two", 3, 3);
	assert_int_equal(pf_gzip_unpack(&back, packed.at, packed.length, 7), 0);
	assert_string_equal(pf_buf_text(&back), "one two");
}

static void the_crc_goes_on(void **state)
{
	assert_int_equal(
	    pf_gzip_crc(0, "123456789", 9), 0xcbf43926); /* its well-known check value */
	assert_int_equal(pf_gzip_crc(pf_gzip_crc(0, "1234", 4), "56789", 5), 0xcbf43926);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_went_in_comes_out),
	    cmocka_unit_test(no_bytes_are_a_member_too),
	    cmocka_unit_test(the_header_has_no_time),
	    cmocka_unit_test(one_byte_over_the_limit_is_refused),
	    cmocka_unit_test(anything_cut_or_changed_is_refused),
	    cmocka_unit_test(the_crc_goes_on),
	    cmocka_unit_test(members_laid_end_to_end_are_one_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
