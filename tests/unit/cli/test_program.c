/* What `proffs run` says of a program before it runs it. */
#include "cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/proffs-test-XXXXXX";

static const char *write_file(const char *name, const void *bytes, size_t length, mode_t mode)
{
	static char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, length, file), length);
	fclose(file);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

static void a_program_on_the_path_is_found(void **state)
{
	char path[PATH_MAX];

	assert_int_equal(pf_program_find("sh", path, sizeof(path)), 0);
	assert_int_equal(path[0], '/');
}

static void a_missing_one_is_enoent_and_a_plain_file_eacces(void **state)
{
	char path[PATH_MAX];

	assert_int_equal(pf_program_find("no-such-program-here", path, sizeof(path)), -ENOENT);
	assert_int_equal(pf_program_find("", path, sizeof(path)), -ENOENT);
	assert_int_equal(pf_program_find("/etc/passwd", path, sizeof(path)), -EACCES);
	assert_int_equal(pf_program_find("/tmp", path, sizeof(path)), -EACCES);
}

static void a_dynamic_program_has_no_obstacle(void **state)
{
	assert_null(pf_program_obstacle("/bin/true")); /* this one may have a sanitizer in it */
}

static void a_script_is_judged_by_its_interpreter(void **state)
{
	assert_null(pf_program_obstacle(write_file("ok", "#!/bin/sh\n", 10, 0755)));
}

/* The ELF header of this program with its machine changed. */
static void another_architecture_is_said(void **state)
{
	char head[64];
	FILE *self = fopen("/proc/self/exe", "r");

	assert_non_null(self);
	assert_int_equal(fread(head, 1, sizeof(head), self), sizeof(head));
	fclose(self);
	head[18] = 3; /* e_machine: EM_386 */
	assert_non_null(strstr(pf_program_obstacle(write_file("i386", head, sizeof(head), 0755)),
	    "another architecture"));
}

static void no_interpreter_means_static(void **state)
{
	char head[64];
	FILE *self = fopen("/proc/self/exe", "r");

	assert_non_null(self);
	assert_int_equal(fread(head, 1, sizeof(head), self), sizeof(head));
	fclose(self);
	head[56] = head[57] = 0; /* e_phnum: no program headers, hence no PT_INTERP */
	assert_non_null(
	    strstr(pf_program_obstacle(write_file("static", head, sizeof(head), 0755)), "static"));
}

static void a_header_that_ends_early_is_no_crash(void **state)
{
	assert_null(pf_program_obstacle(write_file("short", "\177ELF", 4, 0755)));
}

static void a_mount_point_must_be_an_empty_directory_of_ours(void **state)
{
	char path[PATH_MAX], absolute[PATH_MAX];
	const char *why;

	write_file("file", "x", 1, 0644);
	snprintf(path, sizeof(path), "%s/file", folder);
	assert_int_equal(pf_place_check_mount(path, absolute, sizeof(absolute), &why), -ENOTDIR);
	assert_int_equal(
	    pf_place_check_mount(folder, absolute, sizeof(absolute), &why), -ENOTEMPTY);
	snprintf(path, sizeof(path), "%s/link", folder);
	assert_int_equal(symlink("/tmp", path), 0);
	assert_int_equal(pf_place_check_mount(path, absolute, sizeof(absolute), &why), -ENOTDIR);
	snprintf(path, sizeof(path), "%s/none/../new///", folder);
	assert_int_equal(pf_place_check_mount(path, absolute, sizeof(absolute), &why), -ENOENT);
	snprintf(path, sizeof(path), "%s/new///", folder);
	assert_int_equal(pf_place_check_mount(path, absolute, sizeof(absolute), &why), 0);
	assert_string_equal(strrchr(absolute, '/'), "/new");
}

static int make_folder(void **state)
{
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	static const char *const names[] = {"ok", "i386", "static", "short", "file", "link"};
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		unlink(path);
	}
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_program_on_the_path_is_found),
	    cmocka_unit_test(a_missing_one_is_enoent_and_a_plain_file_eacces),
	    cmocka_unit_test(a_dynamic_program_has_no_obstacle),
	    cmocka_unit_test(a_script_is_judged_by_its_interpreter),
	    cmocka_unit_test(another_architecture_is_said),
	    cmocka_unit_test(no_interpreter_means_static),
	    cmocka_unit_test(a_header_that_ends_early_is_no_crash),
	    cmocka_unit_test(a_mount_point_must_be_an_empty_directory_of_ours),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
