#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/place.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, MANY = 500, THREADS = 4 };

static const size_t FAR = (size_t)1 << 30;
/* Ours are at least so far apart, and the next wish is as far from the end of the last one. */
static const size_t GAP = 64 * 1024;

static char *place(size_t bytes)
{
	char *at = pf_place_map(bytes, PROT_READ | PROT_WRITE, 0, -1);

	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

static size_t distance(const char *a, const char *b)
{
	return (size_t)(a < b ? b - a : a - b);
}

static void it_is_far_from_what_the_kernel_chooses(void **state)
{
	char *theirs = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *ours = place(PAGE);

	assert_true(distance(theirs, ours) > FAR);
	assert_true(distance((char *)&state, ours) > FAR);
	munmap(theirs, PAGE);
	munmap(ours, PAGE);
}

static void a_hole_is_left_alone(void **state)
{
	for (size_t size = PAGE; size < (size_t)8 << 20; size *= 2) {
		char *hole = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		char *ours;

		munmap(hole, size);
		ours = place(PAGE);
		assert_false(ours >= hole && ours < hole + size);
		munmap(ours, PAGE);
	}
}

static void it_is_zeroed_ours_to_write_and_touches_no_other(void **state)
{
	char *before = place(3 * PAGE), *at = place(PAGE + 1), *after = place(PAGE);

	assert_true(at >= before + 3 * PAGE + GAP);
	assert_true(after >= at + 2 * PAGE + GAP);
	for (int i = 0; i < PAGE + 1; i++)
		assert_int_equal(at[i], 0);
	memset(at, 1, PAGE + 1);
	munmap(before, 3 * PAGE);
	munmap(at, PAGE + 1);
	munmap(after, PAGE);
}

static void a_place_that_is_taken_is_left_to_whoever_has_it(void **state)
{
	char *last = place(PAGE), *at;
	size_t taken_bytes = (size_t)64 << 20;
	char *taken = mmap(last + PAGE + GAP, taken_bytes, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	assert_ptr_not_equal(taken, MAP_FAILED);
	taken[0] = 'x';
	taken[taken_bytes - 1] = 'y';
	errno = EDOM;
	at = place(PAGE);
	assert_int_equal(errno, EDOM);
	assert_false(at >= taken && at < taken + taken_bytes);
	assert_int_equal(taken[0], 'x');
	assert_int_equal(taken[taken_bytes - 1], 'y');
	munmap(last, PAGE);
	munmap(taken, taken_bytes);
	munmap(at, PAGE);
}

static void what_cannot_be_is_refused(void **state)
{
	errno = 0;
	assert_ptr_equal(pf_place_map((size_t)1 << 60, PROT_READ, 0, -1), MAP_FAILED);
	assert_int_equal(errno, ENOMEM);
	errno = 0;
	assert_ptr_equal(pf_place_map(0, PROT_READ, 0, -1), MAP_FAILED);
	assert_int_equal(errno, EINVAL);
	assert_ptr_equal(pf_place_map(PAGE, PROT_READ, 0, 1000), MAP_FAILED);
	assert_int_equal(errno, EBADF);
}

static void more_than_the_room_has_is_the_kernels_to_place(void **state)
{
	char *at = pf_place_map((size_t)2 << 30, PROT_NONE, MAP_NORESERVE, -1);

	assert_ptr_not_equal(at, MAP_FAILED);
	munmap(at, (size_t)2 << 30);
}

static void a_file_can_be_read_there(void **state)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	char *at = pf_place_map(PAGE, PROT_READ, 0, fd), *theirs;

	theirs = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_memory_equal(at, theirs, PAGE);
	assert_memory_equal(at, "\177ELF", 4);
	assert_true(distance(at, theirs) > FAR);
	munmap(at, PAGE);
	munmap(theirs, PAGE);
	close(fd);
}

static void another_size_keeps_what_was_in_it(void **state)
{
	char *at = place(2 * PAGE), *grown;

	strcpy(at, "first");
	strcpy(at + 2 * PAGE - 10, "last");
	grown = pf_place_remap(at, 2 * PAGE, 300 * PAGE);
	assert_ptr_not_equal(grown, MAP_FAILED);
	assert_true(distance((char *)&state, grown) > FAR);
	assert_string_equal(grown, "first");
	assert_string_equal(grown + 2 * PAGE - 10, "last");
	for (int i = 2 * PAGE; i < 300 * PAGE; i += PAGE)
		assert_int_equal(grown[i], 0);
	assert_ptr_equal(pf_place_remap(grown, 300 * PAGE, PAGE), grown);
	assert_string_equal(grown, "first");
	assert_ptr_equal(pf_place_remap(grown, PAGE, (size_t)1 << 60), MAP_FAILED);
	assert_string_equal(grown, "first");
	munmap(grown, PAGE);
}

static void *take_many(void *unused)
{
	for (int i = 0; i < MANY; i++) {
		uint64_t *at = (void *)place(PAGE);

		*at = (uint64_t)(uintptr_t)at;
		for (int k = 0; k < 10; k++)
			assert_true(*at == (uint64_t)(uintptr_t)at);
		if (i % 2)
			munmap(at, PAGE);
		else
			assert_int_equal(at[1], 0);
	}
	return unused;
}

static void threads_do_not_get_the_same(void **state)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_many, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_is_far_from_what_the_kernel_chooses),
	    cmocka_unit_test(a_hole_is_left_alone),
	    cmocka_unit_test(it_is_zeroed_ours_to_write_and_touches_no_other),
	    cmocka_unit_test(a_place_that_is_taken_is_left_to_whoever_has_it),
	    cmocka_unit_test(what_cannot_be_is_refused),
	    cmocka_unit_test(more_than_the_room_has_is_the_kernels_to_place),
	    cmocka_unit_test(a_file_can_be_read_there),
	    cmocka_unit_test(another_size_keeps_what_was_in_it),
	    cmocka_unit_test(threads_do_not_get_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
