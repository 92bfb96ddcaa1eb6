/* Mappings, at rate 1, where every number is exact. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/counter.h"
#include "base/knob.h"
#include "sampler/heap.h"
#include "sampler/heap_region.h"
#include "tests/unit/sampler_heap/fake.h"
#include "tests/unit/sampler_heap/sums.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096 };

static int on(void **state)
{
	assert_int_equal(pf_knob_put(PF_KNOB_HEAP_SAMPLE_BYTES, 1), 0);
	assert_int_equal(pf_knob_put(PF_KNOB_HEAP_MMAP, 1), 0);
	return pf_heap_enable(true);
}

static int off(void **state)
{
	fake_stack(0);
	pf_heap_enable(false);
	return pf_knob_put(PF_KNOB_HEAP_MMAP, 0);
}

static char *map(uint32_t stack, size_t size)
{
	char *at;

	fake_stack(stack);
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fake_stack(0);
	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

#define ASSERT_LIVE(stack_id, objects, bytes)                                                      \
	do {                                                                                       \
		assert_int_equal(sums_of(stack_id).live_objects, objects);                         \
		assert_int_equal(sums_of(stack_id).live_bytes, bytes);                             \
	} while (0)

static void a_mapping_comes_and_goes(void **state)
{
	char *at = map(1, 10 * PAGE);

	ASSERT_LIVE(1, 1, 10 * PAGE);
	assert_int_equal(munmap(at, 10 * PAGE), 0);
	ASSERT_LIVE(1, 0, 0);
	assert_int_equal(sums_of(1).alloc_bytes, 10 * PAGE);
	at = map(2, 100); /* whole pages */
	ASSERT_LIVE(2, 1, PAGE);
	munmap(at, 100);
	ASSERT_LIVE(2, 0, 0);
}

/* What a program does that wants a large alignment. */
static void a_mapping_goes_in_pieces(void **state)
{
	char *at = map(3, 100 * PAGE);

	munmap(at, 10 * PAGE);
	ASSERT_LIVE(3, 1, 90 * PAGE);
	munmap(at + 80 * PAGE, 20 * PAGE);
	ASSERT_LIVE(3, 1, 70 * PAGE);
	munmap(at + 40 * PAGE, 5 * PAGE); /* two are left */
	ASSERT_LIVE(3, 2, 65 * PAGE);
	munmap(at + 10 * PAGE, 30 * PAGE);
	ASSERT_LIVE(3, 1, 35 * PAGE);
	munmap(at + 45 * PAGE, 35 * PAGE);
	ASSERT_LIVE(3, 0, 0);
}

static void one_unmapping_takes_several(void **state)
{
	char *room = map(4, 40 * PAGE);

	munmap(room, 40 * PAGE);
	for (int i = 0; i < 20; i++) {
		fake_stack(5);
		assert_ptr_equal(mmap(room + 2 * i * PAGE, 2 * PAGE, PROT_READ,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		    room + 2 * i * PAGE);
		fake_stack(0);
	}
	ASSERT_LIVE(5, 20, 40 * PAGE);
	munmap(room + PAGE, 38 * PAGE);
	ASSERT_LIVE(5, 2, 2 * PAGE);
	munmap(room, 40 * PAGE);
	ASSERT_LIVE(5, 0, 0);
}

static void a_fixed_mapping_replaces_what_was_there(void **state)
{
	char *at = map(6, 10 * PAGE);

	fake_stack(7);
	mmap(at + 2 * PAGE, 3 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	/* Refused, and changes nothing. */
	assert_ptr_equal(
	    mmap(at, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
	    MAP_FAILED);
	fake_stack(0);
	ASSERT_LIVE(6, 2, 7 * PAGE);
	ASSERT_LIVE(7, 1, 3 * PAGE);
	munmap(at, 10 * PAGE);
	ASSERT_LIVE(6, 0, 0);
	ASSERT_LIVE(7, 0, 0);
}

static void a_mapping_that_is_resized_belongs_to_who_did_it(void **state)
{
	char *at = map(8, 10 * PAGE), *to;

	fake_stack(9);
	to = mremap(at, 10 * PAGE, 1000 * PAGE, MREMAP_MAYMOVE);
	fake_stack(0);
	assert_ptr_not_equal(to, MAP_FAILED);
	ASSERT_LIVE(8, 0, 0);
	ASSERT_LIVE(9, 1, 1000 * PAGE);
	fake_stack(10);
	assert_ptr_equal(mremap(to, 1000 * PAGE, 5 * PAGE, 0), to);
	fake_stack(0);
	ASSERT_LIVE(9, 0, 0);
	ASSERT_LIVE(10, 1, 5 * PAGE);
	munmap(to, 5 * PAGE);
	ASSERT_LIVE(10, 0, 0);
}

static void what_fails_changes_nothing(void **state)
{
	char *at = map(11, 10 * PAGE);

	fake_stack(12);
	errno = 0;
	assert_int_equal(munmap(at + 1, PAGE), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(munmap(at, 0), -1);
	assert_ptr_equal(
	    mmap(NULL, (size_t)1 << 62, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), MAP_FAILED);
	assert_int_equal(errno, ENOMEM);
	assert_ptr_equal(mremap(at, 10 * PAGE, (size_t)1 << 62, MREMAP_MAYMOVE), MAP_FAILED);
	assert_ptr_equal(mremap(at, 10 * PAGE, 20 * PAGE, 1 << 20), MAP_FAILED); /* no such flag */
	fake_stack(0);
	ASSERT_LIVE(11, 1, 10 * PAGE);
	assert_int_equal(sums_of(12).alloc_objects, 0);
	munmap(at, 10 * PAGE);
	ASSERT_LIVE(11, 0, 0);
}

static const char *kind_of(uint32_t stack)
{
	static const struct pf_query plain;
	static char kind[16];
	struct pf_profile p;

	kind[0] = '\0';
	pf_profile_init(&p);
	assert_int_equal(pf_heap_collect(&p, &plain, NULL), 0);
	for (size_t i = 0; i < p.sample_count; i++)
		for (uint32_t k = 0; k < p.samples[i].label_count; k++) {
			const struct pf_label *l = &p.labels[p.samples[i].label_first + k];

			if (p.pcs[p.samples[i].pc_first] == 0x10000 + stack && l->str &&
			    strcmp(l->key, "kind") == 0)
				strcpy(kind, l->str);
		}
	pf_profile_finish(&p);
	return kind;
}

static void kinds_are_told_apart(void **state)
{
	int fd = memfd_create("file", MFD_CLOEXEC);
	void *file, *block, *memory = map(13, PAGE);

	assert_int_equal(ftruncate(fd, PAGE), 0);
	fake_stack(14);
	file = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	fake_stack(15);
	block = malloc(PAGE);
	fake_stack(0);
	assert_string_equal(kind_of(13), "mmap");
	assert_string_equal(kind_of(14), "file");
	assert_string_equal(kind_of(15), "malloc");
	munmap(file, PAGE);
	munmap(memory, PAGE);
	free(block);
	close(fd);
}

static void leaks_have_mappings_too(void **state)
{
	static const struct pf_query plain;
	char *at = map(16, 3000 * PAGE);
	struct pf_profile p;

	/* It must have been there for a tenth of the time. */
	pf_profile_init(&p);
	assert_int_equal(pf_heap_leaks_collect(&p, &plain, NULL), 0);
	for (int look = 0; look < 1200 && p.sample_count == 0; look++) {
		usleep(50000);
		pf_profile_finish(&p);
		pf_profile_init(&p);
		assert_int_equal(pf_heap_leaks_collect(&p, &plain, NULL), 0);
	}
	assert_true(p.sample_count > 0);
	assert_int_equal(p.pcs[p.samples[0].pc_first], 0x10000 + 16);
	assert_int_equal(p.samples[0].value[1], 3000 * PAGE);
	pf_profile_finish(&p);
	munmap(at, 3000 * PAGE);
}

static void off_nothing_is_seen_and_what_was_seen_is_forgotten(void **state)
{
	char *before = map(17, 7 * PAGE), *after;

	assert_int_equal(pf_knob_put(PF_KNOB_HEAP_MMAP, 0), 0);
	ASSERT_LIVE(17, 0, 0);
	after = map(18, 8 * PAGE);
	assert_int_equal(sums_of(18).alloc_objects, 0);
	assert_int_equal(pf_knob_put(PF_KNOB_HEAP_MMAP, 1), 0);
	munmap(before, 7 * PAGE); /* older than we are */
	munmap(after, 8 * PAGE);
	ASSERT_LIVE(17, 0, 0);
	after = map(19, 9 * PAGE);
	ASSERT_LIVE(19, 1, 9 * PAGE);
	munmap(after, 9 * PAGE);
}

/* ---- threads that map, pass on and unmap ---- */

enum { THREADS = 4, ROUNDS = 1500, SLOTS = 32 };
static char *shared[SLOTS]; /* atomic */

static void *map_and_pass_on(void *arg)
{
	unsigned id = (unsigned)(uintptr_t)arg;
	uint32_t random = id * 2654435761u + 1;

	fake_stack(20 + id);
	for (int i = 0; i < ROUNDS; i++) {
		char *at = mmap(NULL, 3 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		random = random * 1664525 + 1013904223;
		munmap(at, PAGE);
		at = __atomic_exchange_n(&shared[random >> 8 & (SLOTS - 1)], at, __ATOMIC_ACQ_REL);
		if (at)
			munmap(at + PAGE, 2 * PAGE);
	}
	fake_stack(0);
	return NULL;
}

static void threads_that_unmap_each_others_are_accounted_for(void **state)
{
	pthread_t threads[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, map_and_pass_on, (void *)i);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < SLOTS; i++)
		if (shared[i])
			munmap(shared[i] + PAGE, 2 * PAGE);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(sums_of(20 + i).alloc_bytes, ROUNDS * 3 * PAGE);
		ASSERT_LIVE(20 + i, 0, 0);
	}
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, on, off)
	const struct CMUnitTest tests[] = {
	    TEST(a_mapping_comes_and_goes),
	    TEST(a_mapping_goes_in_pieces),
	    TEST(one_unmapping_takes_several),
	    TEST(a_fixed_mapping_replaces_what_was_there),
	    TEST(a_mapping_that_is_resized_belongs_to_who_did_it),
	    TEST(what_fails_changes_nothing),
	    TEST(kinds_are_told_apart),
	    TEST(leaks_have_mappings_too),
	    TEST(off_nothing_is_seen_and_what_was_seen_is_forgotten),
	    TEST(threads_that_unmap_each_others_are_accounted_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
