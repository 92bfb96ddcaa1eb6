#include "base/buf.h"
#include "render/elf.h"
#include "render/xz.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/proffs-test-elf-XXXXXX";

static int make_folder(void **state)
{
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

static char *in_folder(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static const char *shop(const char *variant)
{
	const char *path = getenv(variant);

	assert_non_null(path);
	return path;
}

static void read_file(struct pf_buf *out, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	assert_true(fd >= 0);
	while ((got = read(fd, pf_buf_room(out, 65536), 65536)) > 0)
		out->length += (size_t)got;
	close(fd);
}

static void write_file(const char *path, const void *bytes, size_t length)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, length), length);
	close(fd);
}

static void the_build_id_is_read(void **state)
{
	struct pf_elf *elf;

	assert_int_equal(pf_elf_open(&elf, shop("SHOP")), 0);
	assert_string_equal(pf_elf_build_id(elf), "00112233445566778899aabbccddeeff00112233");
	pf_elf_close(elf);
	assert_int_equal(pf_elf_open(&elf, shop("SHOP_NO_ID")), 0);
	assert_string_equal(pf_elf_build_id(elf), "");
	pf_elf_close(elf);
}

static void what_is_no_object_file_is_refused(void **state)
{
	struct pf_elf *elf;
	int fds[2];
	char path[64];

	assert_int_equal(pf_elf_open(&elf, "/nonexistent"), -ENOENT);
	assert_null(elf);
	assert_int_equal(pf_elf_open(&elf, folder), -ENOEXEC);
	assert_int_equal(pf_elf_open(&elf, "/dev/null"), -ENOEXEC);
	write_file(in_folder("text"), "#!/bin/sh\n", 10);
	assert_int_equal(pf_elf_open(&elf, in_folder("text")), -ENOEXEC);
	write_file(in_folder("none"), "", 0);
	assert_int_equal(pf_elf_open(&elf, in_folder("none")), -ENOEXEC);
	assert_int_equal(pf_elf_open_memory(&elf, "\177ELF", 4), -ENOEXEC);
	assert_int_equal(pipe(fds), 0); /* must not wait for its writer */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[0]);
	assert_int_equal(pf_elf_open(&elf, path), -ENOEXEC);
	close(fds[0]);
	close(fds[1]);
}

static void another_machines_file_is_refused(void **state)
{
	PF_SCOPED(pf_buf) image = PF_BUF_INIT;
	struct pf_elf *elf;

	read_file(&image, shop("SHOP"));
	image.at[4] ^= 3; /* 32 bit and 64 */
	assert_int_equal(pf_elf_open_memory(&elf, image.at, image.length), -ENOEXEC);
	image.at[4] ^= 3;
	image.at[5] ^= 3; /* byte order */
	assert_int_equal(pf_elf_open_memory(&elf, image.at, image.length), -ENOEXEC);
}

static void stripping_leaves_the_exported_table(void **state)
{
	struct pf_elf_table table;
	struct pf_elf *elf;

	assert_int_equal(pf_elf_open(&elf, shop("SHOP")), 0);
	assert_int_equal(pf_elf_full_table(elf, &table), 0);
	assert_int_equal(pf_elf_exported_table(elf, &table), 0);
	pf_elf_close(elf);
	assert_int_equal(pf_elf_open(&elf, shop("SHOP_STRIPPED")), 0);
	assert_int_equal(pf_elf_full_table(elf, &table), -ENOENT);
	assert_int_equal(pf_elf_exported_table(elf, &table), 0);
	pf_elf_close(elf);
}

static void the_first_segment_is_executable(void **state)
{
	struct pf_elf_segment all[8], first;
	struct pf_elf *elf;

	assert_int_equal(pf_elf_open(&elf, shop("SHOP")), 0);
	assert_true(pf_elf_segments(elf, all, 8) > 1);
	assert_int_equal(pf_elf_segments(elf, &first, 1), 1);
	assert_memory_equal(&first, &all[0], sizeof(first));
	assert_true(first.offset > 0); /* behind the read-only one with the headers */
	pf_elf_close(elf);
}

static void a_debuglink_is_followed_if_the_content_fits(void **state)
{
	PF_SCOPED(pf_buf) image = PF_BUF_INIT;
	PF_SCOPED(pf_buf) debug = PF_BUF_INIT;
	char path[PATH_MAX], debug_path[PATH_MAX], found[PATH_MAX];
	struct pf_elf *elf, *other;

	/* Without a build id the CRC decides. */
	snprintf(debug_path, sizeof(debug_path), "%s.debug", shop("SHOP_LINKED"));
	read_file(&image, shop("SHOP_LINKED"));
	read_file(&debug, debug_path);
	snprintf(path, sizeof(path), "%s", in_folder("lib.so"));
	write_file(path, image.at, image.length);
	assert_int_equal(pf_elf_open(&elf, path), 0);
	assert_int_equal(pf_elf_open_debug(&other, found, elf, path, "/nonexistent"), -ENOENT);

	assert_int_equal(mkdir(in_folder(".debug"), 0700), 0);
	snprintf(debug_path, sizeof(debug_path), "%s/.debug/%s", folder,
	    strrchr(shop("SHOP_LINKED"), '/') + 1);
	strcat(debug_path, ".debug");
	debug.at[debug.length - 1] ^= 1;
	write_file(debug_path, debug.at, debug.length);
	assert_int_equal(pf_elf_open_debug(&other, found, elf, path, "/nonexistent"), -ENOENT);
	assert_null(other);

	debug.at[debug.length - 1] ^= 1;
	write_file(debug_path, debug.at, debug.length);
	assert_int_equal(pf_elf_open_debug(&other, found, elf, path, "/nonexistent"), 0);
	assert_string_equal(found, debug_path);
	pf_elf_close(other);
	pf_elf_close(elf);
}

static void a_debug_file_is_found_by_build_id(void **state)
{
	PF_SCOPED(pf_buf) image = PF_BUF_INIT;
	char path[PATH_MAX], found[PATH_MAX];
	struct pf_elf *elf, *other;

	/* The unstripped library will do as its own debug file. */
	read_file(&image, shop("SHOP"));
	assert_int_equal(mkdir(in_folder(".build-id"), 0700), 0);
	assert_int_equal(mkdir(in_folder(".build-id/00"), 0700), 0);
	snprintf(path, sizeof(path), "%s",
	    in_folder(".build-id/00/112233445566778899aabbccddeeff00112233.debug"));
	write_file(path, image.at, image.length);
	assert_int_equal(pf_elf_open(&elf, shop("SHOP_STRIPPED")), 0);
	assert_int_equal(pf_elf_open_debug(&other, found, elf, shop("SHOP_STRIPPED"), folder), 0);
	assert_string_equal(found, path);
	pf_elf_close(other);

	/* Of another build: not used, whatever its name. */
	image.length = 0;
	read_file(&image, shop("SHOP_NO_ID"));
	write_file(path, image.at, image.length);
	assert_int_equal(
	    pf_elf_open_debug(&other, found, elf, shop("SHOP_STRIPPED"), folder), -ENOENT);
	pf_elf_close(elf);
}

static void names_packed_into_the_file_are_unpacked(void **state)
{
	struct pf_elf_table table;
	struct pf_elf *elf, *mini;

	assert_int_equal(pf_elf_open(&elf, shop("SHOP_MINI")), 0);
	assert_int_equal(pf_elf_open_minidebug(&mini, elf), 0);
	assert_int_equal(pf_elf_full_table(mini, &table), 0);
	pf_elf_close(mini);
	pf_elf_close(elf);
	assert_int_equal(pf_elf_open(&elf, shop("SHOP")), 0);
	assert_int_equal(pf_elf_open_minidebug(&mini, elf), -ENOENT);
	pf_elf_close(elf);
}

/* Everything that reads, for its memory errors. */
static void read_all(const void *bytes, size_t length)
{
	struct pf_elf_segment segments[8];
	struct pf_elf_table table;
	struct pf_elf *elf, *mini;
	char found[PATH_MAX];

	if (pf_elf_open_memory(&elf, bytes, length) < 0)
		return;
	pf_elf_segments(elf, segments, 8);
	pf_elf_full_table(elf, &table);
	pf_elf_exported_table(elf, &table);
	pf_elf_section_end(elf, 12);
	pf_elf_section_end(elf, 60000);
	pf_elf_open_debug(&mini, found, elf, "/tmp/x", "/nonexistent");
	pf_elf_close(mini);
	pf_elf_open_minidebug(&mini, elf);
	pf_elf_close(mini);
	pf_elf_close(elf);
}

static void a_cut_file_is_no_danger(void **state)
{
	PF_SCOPED(pf_buf) image = PF_BUF_INIT;

	read_file(&image, shop("SHOP_MINI"));
	for (size_t length = 0; length < image.length; length += 7) {
		char *cut = malloc(length + 1);

		assert_non_null(cut);
		memcpy(cut, image.at, length);
		read_all(cut, length);
		free(cut);
	}
}

static void a_damaged_file_is_no_danger(void **state)
{
	PF_SCOPED(pf_buf) image = PF_BUF_INIT;
	unsigned seed = 1;

	read_file(&image, shop("SHOP_MINI"));
	for (int i = 0; i < 3000; i++) {
		char *bad = malloc(image.length);

		assert_non_null(bad);
		memcpy(bad, image.at, image.length);
		for (int k = 0; k < 4; k++) {
			size_t at = (seed = seed * 1103515245 + 12345) >> 8;

			/* The headers in front and the section headers at the end. */
			at = k & 1 ? at % 1024 : image.length - 1 - at % 2048;
			bad[at] = (char)((seed = seed * 1103515245 + 12345) >> 24);
		}
		read_all(bad, image.length);
		free(bad);
	}
}

static void xz_is_bounded(void **state)
{
	PF_SCOPED(pf_buf) packed = PF_BUF_INIT;
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;
	char command[PATH_MAX + 64];

	snprintf(command, sizeof(command), "head -c 1000000 /dev/zero | xz >%s", in_folder("x"));
	assert_int_equal(system(command), 0);
	read_file(&packed, in_folder("x"));
	assert_int_equal(pf_xz_unpack(&out, packed.at, packed.length, 64 << 20), 0);
	assert_int_equal(out.length, 1000000);
	pf_buf_clear(&out);
	assert_int_equal(pf_xz_unpack(&out, packed.at, packed.length, 999999), -EFBIG);
	for (size_t length = 0; length < packed.length; length++) {
		pf_buf_clear(&out);
		assert_int_equal(pf_xz_unpack(&out, packed.at, length, 64 << 20), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_build_id_is_read),
	    cmocka_unit_test(what_is_no_object_file_is_refused),
	    cmocka_unit_test(another_machines_file_is_refused),
	    cmocka_unit_test(stripping_leaves_the_exported_table),
	    cmocka_unit_test(the_first_segment_is_executable),
	    cmocka_unit_test(a_debuglink_is_followed_if_the_content_fits),
	    cmocka_unit_test(a_debug_file_is_found_by_build_id),
	    cmocka_unit_test(names_packed_into_the_file_are_unpacked),
	    cmocka_unit_test(a_cut_file_is_no_danger),
	    cmocka_unit_test(a_damaged_file_is_no_danger),
	    cmocka_unit_test(xz_is_bounded),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
