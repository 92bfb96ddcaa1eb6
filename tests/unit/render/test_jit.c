/* What a runtime tells about its code, as it comes: appended, replaced, cut, or somebody else's. */
#include "render/jit.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/proffs-test-jit.XXXXXX";
static char path[64];
static struct pf_jit *jit;

static int begin(void **state)
{
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/perf-1.map", folder);
	return 0;
}

static int end(void **state)
{
	return rmdir(folder);
}

static int setup(void **state)
{
	jit = pf_jit_create(path);
	return jit ? 0 : -1;
}

static int teardown(void **state)
{
	pf_jit_destroy(jit);
	unlink(path);
	return 0;
}

static void append(const char *text)
{
	FILE *file = fopen(path, "ae");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	pf_jit_refresh(jit);
}

static void is(uint64_t address, const char *name)
{
	const char *found = pf_jit_find(jit, address);

	if (name)
		assert_string_equal(found ? found : "nothing", name);
	else
		assert_null(found);
}

static void a_function_reaches_from_its_start_as_far_as_its_size(void **state)
{
	append("1000 10 first one\n0x2000 0x20 LazyCompile:~f /srv/a.js:12\n");
	is(0xfff, NULL);
	is(0x1000, "first one");
	is(0x100f, "first one");
	is(0x1010, NULL);
	is(0x201f, "LazyCompile:~f /srv/a.js:12");
	is(0x2020, NULL);
	is(UINT64_MAX, NULL);
	is(0, NULL);
}

static void what_is_appended_is_read_even_when_a_line_comes_in_pieces(void **state)
{
	append("1000 10 a\n20");
	is(0x2000, NULL);
	append("00 10 b");
	is(0x2000, NULL);
	append("bb\n3000 10 c\n");
	is(0x1000, "a");
	is(0x2000, "bbb");
	is(0x3000, "c");
}

static void the_last_word_counts(void **state)
{
	append("1000 100 old\n1080 10 inside\n1000 100 new\n");
	is(0x1000, "new");
	is(0x1085, "new");
	append("1080 10 newest\n");
	is(0x1085, "newest");
	is(0x1000, "new");
}

static void a_new_file_replaces_the_old_one_and_a_removed_one_stays_known(void **state)
{
	append("1000 10 old\n2000 10 gone\n");
	unlink(path);
	pf_jit_refresh(jit);
	is(0x1000, "old");
	append("1000 10 n\n");
	is(0x1000, "n");
	is(0x2000, NULL);
	assert_int_equal(truncate(path, 0), 0);
	pf_jit_refresh(jit);
	append("3000 10 t\n");
	is(0x1000, NULL);
	is(0x3000, "t");
}

static void what_is_no_entry_is_skipped(void **state)
{
	append("\nhello\n1000\n1000 10\n1000 10 \nxyz 10 a\n1000 0 zero\n-1 10 minus\n"
	       "ffffffffffffffff 10 wraps\n10000000000000000 10 large\n"
	       "5000 10 good\n");
	is(0x1000, NULL);
	is(0x5000, "good");
}

static void a_line_without_an_end_costs_no_memory(void **state)
{
	size_t before = pf_jit_bytes(jit);
	char text[1001];

	memset(text, 'a', 1000);
	text[1000] = '\0';
	for (int i = 0; i < 100; i++)
		append(text);
	assert_true(pf_jit_bytes(jit) < before + 64 * 1024);
}

static void somebody_elses_file_and_a_link_are_not_believed(void **state)
{
	char other[80];

	append("1000 10 ours\n");
	is(0x1000, "ours");
	if (geteuid() == 0) {
		pf_jit_destroy(jit);
		jit = pf_jit_create(path);
		assert_int_equal(chown(path, 65534, 65534), 0);
		pf_jit_refresh(jit);
		is(0x1000, NULL);
		assert_int_equal(chown(path, 0, 0), 0);
	}
	snprintf(other, sizeof(other), "%s/other", folder);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink(other, path), 0);
	pf_jit_destroy(jit);
	jit = pf_jit_create(path);
	pf_jit_refresh(jit);
	is(0x1000, NULL);
	unlink(other);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	pf_jit_refresh(jit); /* and does not wait for a writer */
	is(0x1000, NULL);
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
	    EACH(a_function_reaches_from_its_start_as_far_as_its_size),
	    EACH(what_is_appended_is_read_even_when_a_line_comes_in_pieces),
	    EACH(the_last_word_counts),
	    EACH(a_new_file_replaces_the_old_one_and_a_removed_one_stays_known),
	    EACH(what_is_no_entry_is_skipped),
	    EACH(a_line_without_an_end_costs_no_memory),
	    EACH(somebody_elses_file_and_a_link_are_not_believed),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
