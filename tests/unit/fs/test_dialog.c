/* A file that is asked and answers, as each kind of client reads it. */
#include "fs/dialog.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct pf_dialog *dialog;

/* Says it again, louder. */
static int shout(struct pf_live *live, const char *text, size_t length, struct pf_buf *out)
{
	if (text[0] == '?')
		return -EINVAL;
	pf_buf_add(out, text, length);
	pf_buf_str(out, "!");
	return 0;
}

static int setup(void **state)
{
	dialog = pf_dialog_open();
	return dialog ? 0 : -1;
}

static int teardown(void **state)
{
	pf_dialog_drop(dialog);
	return 0;
}

static int say(const char *text, off_t at)
{
	return pf_dialog_write(dialog, NULL, shout, text, strlen(text), at);
}

static void hears(off_t at, size_t size, const char *wanted)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	assert_int_equal(pf_dialog_read(dialog, "hello", size, at, &out), 0);
	assert_string_equal(pf_buf_text(&out), wanted);
}

static void before_the_first_question_there_is_a_greeting(void **state)
{
	hears(0, 100, "hello");
	hears(5, 100, "");
	hears(3, 1, "l");
	hears(1000, 100, "");
}

static void a_shell_reads_on_where_its_write_ended(void **state)
{
	assert_int_equal(say("abcdef", 0), 0);
	hears(6, 4, "abcd");
	hears(10, 100, "ef!");
	hears(13, 100, "");
}

static void who_seeks_reads_from_the_beginning(void **state)
{
	assert_int_equal(say("abcdef", 0), 0);
	hears(0, 4, "abcd");
	hears(4, 100, "ef!");
	hears(6, 100, "!");
	hears(2, 1, "c");
}

static void one_question_may_come_in_pieces(void **state)
{
	assert_int_equal(say("abc", 0), 0);
	assert_int_equal(say("def", 3), 0);
	hears(6, 100, "abcdef!");
}

static void after_an_answer_a_new_question_begins(void **state)
{
	assert_int_equal(say("abc", 0), 0);
	hears(3, 100, "abc!");
	assert_int_equal(say("xy", 7), 0);
	hears(9, 100, "xy!");
	assert_int_equal(say("z", 0), 0); /* somewhere else: not a piece of the same */
	hears(0, 100, "z!");
}

static void a_refused_question_has_no_answer(void **state)
{
	assert_int_equal(say("abc", 0), 0);
	hears(3, 100, "abc!");
	assert_int_equal(say("?", 7), -EINVAL);
	hears(8, 100, "");
	hears(0, 100, "hello");
}

static void a_question_is_bounded(void **state)
{
	char *text = calloc(1, PF_DIALOG_ASKED_MAX + 2);

	assert_non_null(text);
	memset(text, 'a', PF_DIALOG_ASKED_MAX + 1);
	assert_int_equal(say(text, 0), -EFBIG);
	text[PF_DIALOG_ASKED_MAX] = '\0';
	assert_int_equal(say(text, 0), 0);
	assert_int_equal(say("b", PF_DIALOG_ASKED_MAX), -EFBIG);
	assert_int_equal(say("b", 0), 0);
	free(text);
}

static void it_lives_while_somebody_holds_it(void **state)
{
	pf_dialog_hold(dialog);
	pf_dialog_drop(dialog);
	hears(0, 100, "hello");
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
	    EACH(before_the_first_question_there_is_a_greeting),
	    EACH(a_shell_reads_on_where_its_write_ended),
	    EACH(who_seeks_reads_from_the_beginning),
	    EACH(one_question_may_come_in_pieces),
	    EACH(after_an_answer_a_new_question_begins),
	    EACH(a_refused_question_has_no_answer),
	    EACH(a_question_is_bounded),
	    EACH(it_lives_while_somebody_holds_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
