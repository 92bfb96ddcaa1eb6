/* The mappings of this very process, against what the loader says of them. */
#include "base/profile.h"
#include "sampler/map.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { PAGE = 4096 };

static struct pf_profile profile;

static int fill(void **state)
{
	pf_profile_init(&profile);
	return pf_map_fill(&profile);
}

static int finish(void **state)
{
	pf_profile_finish(&profile);
	return 0;
}

static const struct pf_mapping *mapping_of(const void *address)
{
	return pf_profile_mapping(&profile, (uintptr_t)address);
}

static void the_main_program_comes_first(void **state)
{
	char path[4096] = "";

	assert_true(readlink("/proc/self/exe", path, sizeof(path) - 1) > 0);
	assert_string_equal(profile.mappings[0].path, path);
	assert_ptr_equal(mapping_of((void *)(uintptr_t)fill), &profile.mappings[0]);
}

/* The build id as the loader's own view of the module has it. */
static int compare_module(struct dl_phdr_info *info, size_t size, void *arg)
{
	const struct pf_mapping *mapping = NULL;
	char expected[100] = "";
	int *compared = arg;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *phdr = &info->dlpi_phdr[i];
		const char *at = (const char *)(info->dlpi_addr + phdr->p_vaddr);
		const ElfW(Nhdr) *note = (const ElfW(Nhdr) *)(const void *)at;

		if (phdr->p_type == PT_LOAD && (phdr->p_flags & PF_X)) {
			mapping = mapping_of(at);
			assert_non_null(mapping);
			assert_true(mapping->limit >= (uintptr_t)at + phdr->p_memsz);
			assert_true(mapping->offset == (phdr->p_offset & ~(uint64_t)(PAGE - 1)));
		}
		if (phdr->p_type != PT_NOTE)
			continue;
		for (; (const char *)note < at + phdr->p_filesz;
		     note = (const ElfW(Nhdr) *)(const void *)((const char *)(note + 1) +
							       ((note->n_namesz + 3) & ~3u) +
							       ((note->n_descsz + 3) & ~3u))) {
			const unsigned char *id = (const unsigned char *)(note + 1) + 4;

			if (note->n_type != NT_GNU_BUILD_ID || expected[0] != '\0')
				continue;
			for (uint32_t byte = 0; byte < note->n_descsz; byte++)
				sprintf(expected + 2 * byte, "%02x", id[byte]);
		}
	}
	assert_string_equal(mapping ? mapping->build_id : "no mapping", expected);
	*compared += expected[0] != '\0';
	return 0;
}

static void every_module_has_its_build_id(void **state)
{
	int compared = 0;

	dl_iterate_phdr(compare_module, &compared);
	assert_true(compared >= 3);
}

static void a_second_look_says_the_same(void **state)
{
	struct pf_profile again;

	pf_profile_init(&again);
	assert_int_equal(pf_map_fill(&again), 0);
	assert_int_equal(again.mapping_count, profile.mapping_count);
	for (size_t i = 0; i < again.mapping_count; i++) {
		assert_true(again.mappings[i].start == profile.mappings[i].start);
		assert_string_equal(again.mappings[i].build_id, profile.mappings[i].build_id);
	}
	pf_profile_finish(&again);
}

/* A file with a name that is hard to read, mapped executable and then deleted. */
static void *map_file(const char *name, const char *from, size_t size, int protection)
{
	int in = open(from, O_RDONLY), out = open(name, O_RDWR | O_CREAT | O_TRUNC, 0755);
	char block[PAGE];
	ssize_t got;
	void *at;

	assert_true(in >= 0 && out >= 0);
	while ((got = read(in, block, sizeof(block))) > 0)
		assert_int_equal(write(out, block, (size_t)got), got);
	at = mmap(NULL, size, protection, MAP_PRIVATE, out, 0);
	assert_ptr_not_equal(at, MAP_FAILED);
	close(in);
	close(out);
	return at;
}

static void a_deleted_file_with_spaces_is_named_as_it_was(void **state)
{
	char name[] = "/tmp/a name (deleted) with [brackets] XXXXXX";
	int fd = mkstemp(name);
	void *at = map_file(name, "/proc/self/exe", 4 * PAGE, PROT_READ | PROT_EXEC);
	const struct pf_mapping *mapping;

	close(fd);
	unlink(name);
	finish(NULL);
	assert_int_equal(fill(NULL), 0);
	mapping = mapping_of(at);
	assert_non_null(mapping);
	assert_string_equal(mapping->path, name);
	assert_string_equal(mapping->build_id, profile.mappings[0].build_id); /* a copy of us */
	munmap(at, 4 * PAGE);
}

static void pieces_of_one_segment_are_one_mapping(void **state)
{
	char name[] = "/tmp/proffs-test-map-XXXXXX";
	int fd = mkstemp(name);
	char *at = map_file(name, "/proc/self/exe", 4 * PAGE, PROT_READ | PROT_EXEC);
	const struct pf_mapping *mapping;

	close(fd);
	unlink(name);
	mprotect(at + PAGE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
	finish(NULL);
	assert_int_equal(fill(NULL), 0);
	mapping = mapping_of(at);
	assert_non_null(mapping);
	assert_true(mapping->start == (uintptr_t)at && mapping->limit == (uintptr_t)at + 4 * PAGE);
	assert_ptr_equal(mapping_of(at + PAGE), mapping);
	mprotect(at + PAGE, PAGE, PROT_READ); /* a hole: two again, each with its offset */
	finish(NULL);
	assert_int_equal(fill(NULL), 0);
	assert_null(mapping_of(at + PAGE));
	mapping = mapping_of(at + 2 * PAGE);
	assert_true(mapping->start == (uintptr_t)at + 2 * PAGE && mapping->offset == 2 * PAGE);
	munmap(at, 4 * PAGE);
}

static void memory_without_a_name_is_none(void **state)
{
	void *at = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	finish(NULL);
	assert_int_equal(fill(NULL), 0);
	assert_null(mapping_of(at));
	munmap(at, PAGE);
}

static void the_vdso_is_there(void **state)
{
	bool found = false;

	for (size_t i = 0; i < profile.mapping_count; i++)
		found = found || strcmp(profile.mappings[i].path, "[vdso]") == 0;
	assert_true(found);
}

static void a_file_that_is_no_program_has_no_build_id(void **state)
{
	char name[] = "/tmp/proffs-test-map-XXXXXX";
	int fd = mkstemp(name);
	void *at = map_file(name, "/proc/self/maps", PAGE, PROT_READ | PROT_EXEC);

	close(fd);
	unlink(name);
	finish(NULL);
	assert_int_equal(fill(NULL), 0);
	assert_string_equal(mapping_of(at)->build_id, "");
	munmap(at, PAGE);
}

static void an_empty_file_in_memory_harms_nobody(void **state)
{
	char name[] = "/tmp/proffs-test-map-XXXXXX";
	int fd = mkstemp(name);
	void *at = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);

	finish(NULL);
	assert_int_equal(fill(NULL), 0); /* reading it in place would be SIGBUS */
	assert_string_equal(mapping_of(at)->build_id, "");
	munmap(at, PAGE);
	close(fd);
	unlink(name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(the_main_program_comes_first, fill, finish),
	    cmocka_unit_test_setup_teardown(every_module_has_its_build_id, fill, finish),
	    cmocka_unit_test_setup_teardown(a_second_look_says_the_same, fill, finish),
	    cmocka_unit_test_setup_teardown(
		a_deleted_file_with_spaces_is_named_as_it_was, fill, finish),
	    cmocka_unit_test_setup_teardown(pieces_of_one_segment_are_one_mapping, fill, finish),
	    cmocka_unit_test_setup_teardown(memory_without_a_name_is_none, fill, finish),
	    cmocka_unit_test_setup_teardown(the_vdso_is_there, fill, finish),
	    cmocka_unit_test_setup_teardown(
		a_file_that_is_no_program_has_no_build_id, fill, finish),
	    cmocka_unit_test_setup_teardown(an_empty_file_in_memory_harms_nobody, fill, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
