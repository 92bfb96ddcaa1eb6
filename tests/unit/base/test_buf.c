#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/memory.h"

#include <errno.h>
#include <string.h>

static void what_is_added_is_the_text(void **state)
{
	PF_SCOPED(pf_buf) buf = PF_BUF_INIT;

	pf_buf_str(&buf, "heap ");
	pf_buf_add(&buf, "in use: +++", 8);
	pf_buf_char(&buf, '=');
	pf_buf_printf(&buf, "%d %s", 42, "KiB");
	assert_string_equal(pf_buf_text(&buf), "heap in use: =42 KiB");
	assert_int_equal(buf.length, 20);
	assert_int_equal(buf.error, 0);
}

static void an_empty_buffer_reads_as_empty_text(void **state)
{
	PF_SCOPED(pf_buf) buf = PF_BUF_INIT;

	assert_string_equal(pf_buf_text(&buf), "");
	assert_int_equal(buf.length, 0);
	pf_buf_add(&buf, NULL, 0);
	assert_int_equal(buf.length, 0);
}

static void growing_keeps_every_byte(void **state)
{
	PF_SCOPED(pf_buf) buf = PF_BUF_INIT;

	for (int i = 0; i < 100000; i++)
		pf_buf_char(&buf, (char)('a' + i % 26));
	pf_buf_text(&buf);
	assert_int_equal(buf.length, 100000);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(buf.at[i], 'a' + i % 26);
}

static void printf_longer_than_the_room_is_whole(void **state)
{
	PF_SCOPED(pf_buf) buf = PF_BUF_INIT;

	pf_buf_str(&buf, "<");
	pf_buf_printf(&buf, "%20000s", "right");
	pf_buf_str(&buf, ">");
	assert_int_equal(buf.length, 20002);
	assert_string_equal(pf_buf_text(&buf) + 19990, "      right>");
}

static void after_an_error_nothing_is_added(void **state)
{
	PF_SCOPED(pf_buf) buf = PF_BUF_INIT;

	pf_buf_str(&buf, "kept");
	pf_buf_fail(&buf, -ENOSPC);
	pf_buf_fail(&buf, -EIO);
	pf_buf_str(&buf, "lost");
	pf_buf_printf(&buf, "lost");
	assert_null(pf_buf_room(&buf, 1));
	assert_int_equal(buf.length, 4);
	assert_int_equal(buf.error, -ENOSPC);
	assert_string_equal(pf_buf_text(&buf), "");
}

static void room_for_nothing_is_room(void **state)
{
	PF_SCOPED(pf_buf) buf = PF_BUF_INIT;

	assert_non_null(pf_buf_room(&buf, 0));
	assert_int_equal(buf.error, 0);
	assert_int_equal(buf.length, 0);
}

static void a_size_that_cannot_be_is_an_error_and_not_a_crash(void **state)
{
	PF_SCOPED(pf_buf) buf = PF_BUF_INIT;

	pf_buf_str(&buf, "x");
	assert_null(pf_buf_room(&buf, SIZE_MAX));
	assert_int_equal(buf.error, -ENOMEM);
	pf_buf_clear(&buf);
	assert_null(pf_buf_room(&buf, SIZE_MAX / 2 + 2));
	assert_int_equal(buf.error, -ENOMEM);
}

static void clear_forgets_the_error_and_keeps_the_memory(void **state)
{
	PF_SCOPED(pf_buf) buf = PF_BUF_INIT;
	size_t capacity;

	pf_buf_printf(&buf, "%5000d", 1);
	capacity = buf.capacity;
	pf_buf_fail(&buf, -EIO);
	pf_buf_clear(&buf);
	assert_int_equal(buf.length, 0);
	assert_int_equal(buf.capacity, capacity);
	pf_buf_str(&buf, "again");
	assert_string_equal(pf_buf_text(&buf), "again");
}

static void plain_text_has_no_control_bytes(void **state)
{
	PF_SCOPED(pf_buf) buf = PF_BUF_INIT;

	pf_buf_plain(&buf, "a\033[2Jb\nc\177d \xc3\xa9\xc2\x9bm");
	assert_string_equal(pf_buf_text(&buf), "a?[2Jb?c?d \xc3\xa9?m");
	/* A bare CSI is one for a terminal of 8 bits; the same byte within a letter is none. */
	pf_buf_clear(&buf);
	pf_buf_plain(&buf, "\x9b"
			   "2J \xc3\x9b \xe2\x82\xac \xf0\x9f\x9b\x91 \xe2\x9b \xff");
	assert_string_equal(
	    pf_buf_text(&buf), "?2J \xc3\x9b \xe2\x82\xac \xf0\x9f\x9b\x91 \xe2? \xff");
	pf_buf_clear(&buf);
	pf_buf_plain_utf8(&buf, "\033[2J \xe2\x82\xac caf\xe9 \xe2\x9b");
	assert_string_equal(pf_buf_text(&buf), "?[2J \xe2\x82\xac caf? ??");
}

static void the_held_bytes_come_back_to_what_they_were(void **state)
{
	int64_t before = pf_memory_held_bytes();
	struct pf_buf buf = PF_BUF_INIT;
	int *items = NULL;
	size_t capacity = 0;

	pf_buf_printf(&buf, "%70000d", 1);
	assert_int_equal(pf_vec_reserve((void **)&items, &capacity, sizeof(*items), 1000), 0);
	assert_int_equal(
	    pf_memory_held_bytes() - before, (int64_t)(buf.capacity + capacity * sizeof(*items)));
	assert_true(buf.capacity > 70000);
	pf_buf_finish(&buf);
	pf_vec_free(items, capacity, sizeof(*items));
	assert_int_equal(pf_memory_held_bytes(), before);
}

static void a_vector_grows_one_by_one_and_keeps_its_items(void **state)
{
	uint64_t *items = NULL;
	size_t capacity = 0;

	for (size_t i = 0; i < 5000; i++) {
		assert_int_equal(
		    pf_vec_reserve((void **)&items, &capacity, sizeof(*items), i + 1), 0);
		items[i] = i * i;
	}
	for (size_t i = 0; i < 5000; i++)
		assert_int_equal(items[i], i * i);
	pf_vec_free(items, capacity, sizeof(*items));
}

static void a_vector_that_cannot_grow_is_left_as_it_was(void **state)
{
	char *items = NULL;
	size_t capacity = 0;
	char *before;

	assert_int_equal(pf_vec_reserve((void **)&items, &capacity, 1, 3), 0);
	before = items;
	assert_int_equal(pf_vec_reserve((void **)&items, &capacity, 1, SIZE_MAX), -ENOMEM);
	assert_int_equal(pf_vec_reserve((void **)&items, &capacity, SIZE_MAX / 4, 1000), -ENOMEM);
	assert_ptr_equal(items, before);
	pf_vec_free(items, capacity, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_added_is_the_text),
	    cmocka_unit_test(an_empty_buffer_reads_as_empty_text),
	    cmocka_unit_test(growing_keeps_every_byte),
	    cmocka_unit_test(printf_longer_than_the_room_is_whole),
	    cmocka_unit_test(after_an_error_nothing_is_added),
	    cmocka_unit_test(room_for_nothing_is_room),
	    cmocka_unit_test(a_size_that_cannot_be_is_an_error_and_not_a_crash),
	    cmocka_unit_test(clear_forgets_the_error_and_keeps_the_memory),
	    cmocka_unit_test(plain_text_has_no_control_bytes),
	    cmocka_unit_test(the_held_bytes_come_back_to_what_they_were),
	    cmocka_unit_test(a_vector_grows_one_by_one_and_keeps_its_items),
	    cmocka_unit_test(a_vector_that_cannot_grow_is_left_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
