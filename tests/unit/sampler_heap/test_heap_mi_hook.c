/* The hooks on mimalloc's own functions, at rate 1. Over libmimalloc alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/sampler_heap/rate_1.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WEAK __attribute__((weak))

void *mi_malloc(size_t size) WEAK;
void *mi_zalloc(size_t size) WEAK;
void *mi_calloc(size_t count, size_t size) WEAK;
void *mi_mallocn(size_t count, size_t size) WEAK;
void *mi_malloc_aligned(size_t size, size_t align) WEAK;
void *mi_realloc(void *at, size_t size) WEAK;
void *mi_reallocn(void *at, size_t count, size_t size) WEAK;
int mi_posix_memalign(void **out, size_t align, size_t size) WEAK;
void *mi_new(size_t size) WEAK;
void mi_free(void *at) WEAK;
void mi_free_size(void *at, size_t size) WEAK;
void mi_free_aligned(void *at, size_t align) WEAK;

static void mimallocs_own_functions_are_seen_where_they_are(void **state)
{
	void *at[7];

	assert_non_null(mi_malloc);
	fake_stack(37);
	at[0] = mi_malloc(100);
	at[1] = mi_zalloc(200);
	at[2] = mi_calloc(3, 100);
	at[3] = mi_mallocn(4, 100);
	at[4] = mi_malloc_aligned(500, 64);
	assert_int_equal(mi_posix_memalign(&at[5], 64, 600), 0);
	at[6] = mi_new(700);
	ASSERT_SUMS(37, 7, 2800, 7, 2800);
	at[0] = mi_realloc(at[0], 100000);
	at[1] = mi_reallocn(at[1], 2, 100000);
	fake_stack(0);
	ASSERT_SUMS(37, 9, 302800, 7, 302500);
	mi_free_size(at[0], 100000);
	mi_free_aligned(at[4], 64);
	for (int i = 1; i < 7; i++)
		if (i != 4)
			mi_free(at[i]);
	ASSERT_SUMS(37, 9, 302800, 0, 0);
}

void *mi_heap_new(void) WEAK;
void *mi_heap_get_default(void) WEAK;
void mi_heap_destroy(void *heap) WEAK;
void mi_heap_delete(void *heap) WEAK;
void *mi_heap_malloc(void *heap, size_t size) WEAK;
void *mi_heap_calloc(void *heap, size_t count, size_t size) WEAK;
void *mi_heap_malloc_aligned(void *heap, size_t size, size_t align) WEAK;
void *mi_heap_realloc(void *heap, void *at, size_t size) WEAK;
char *mi_heap_strdup(void *heap, const char *text) WEAK;
char *mi_strdup(const char *text) WEAK;
char *mi_strndup(const char *text, size_t most) WEAK;

static void mimallocs_texts_are_seen(void **state)
{
	char *text[3];

	assert_non_null(mi_strdup);
	fake_stack(38);
	text[0] = mi_strdup("eleven signs");
	text[1] = mi_strndup("eleven signs", 6);
	text[2] = mi_heap_strdup(mi_heap_get_default(), "");
	fake_stack(0);
	assert_string_equal(text[1], "eleven");
	ASSERT_SUMS(38, 3, 13 + 7 + 1, 3, 13 + 7 + 1);
	for (int i = 0; i < 3; i++)
		mi_free(text[i]);
	ASSERT_SUMS(38, 3, 13 + 7 + 1, 0, 0);
}

void *mi_heap_alloc_new(void *heap, size_t size) WEAK;
void *mi_heap_alloc_new_n(void *heap, size_t count, size_t size) WEAK;
void *mi_calloc_aligned_at(size_t count, size_t size, size_t align, size_t offset) WEAK;
void *mi_heap_malloc_aligned_at(void *heap, size_t size, size_t align, size_t offset) WEAK;
void *mi_heap_zalloc_aligned_at(void *heap, size_t size, size_t align, size_t offset) WEAK;
void *mi_heap_calloc_aligned_at(
    void *heap, size_t count, size_t size, size_t align, size_t offset) WEAK;
void *_aligned_malloc(size_t align, size_t size) WEAK;
void vfree(void *at) WEAK;
void cfree(void *at) WEAK;

static void what_mimalloc_allocates_by_rare_names_is_seen(void **state)
{
	void *heap, *at[7];

	assert_non_null(mi_heap_alloc_new);
	heap = mi_heap_get_default();
	fake_stack(43);
	at[0] = mi_heap_alloc_new(heap, 100);
	at[1] = mi_heap_alloc_new_n(heap, 2, 100);
	at[2] = mi_calloc_aligned_at(3, 100, 64, 8);
	at[3] = mi_heap_malloc_aligned_at(heap, 400, 64, 8);
	at[4] = mi_heap_zalloc_aligned_at(heap, 500, 64, 8);
	at[5] = mi_heap_calloc_aligned_at(heap, 6, 100, 64, 8);
	at[6] = _aligned_malloc(64, 700);
	fake_stack(0);
	ASSERT_SUMS(43, 7, 2800, 7, 2800);
	vfree(at[0]);
	cfree(at[1]);
	ASSERT_SUMS(43, 7, 2800, 5, 2500);
	for (int i = 2; i < 7; i++)
		mi_free(at[i]);
	ASSERT_SUMS(43, 7, 2800, 0, 0);
}

void *mi_rezalloc_aligned_at(void *at, size_t size, size_t align, size_t offset) WEAK;
void *mi_recalloc_aligned(void *at, size_t count, size_t size, size_t align) WEAK;
void *mi_recalloc_aligned_at(void *at, size_t count, size_t size, size_t align, size_t offset) WEAK;
void *mi_aligned_recalloc(void *at, size_t count, size_t size, size_t align) WEAK;
void *mi_aligned_offset_recalloc(
    void *at, size_t count, size_t size, size_t align, size_t offset) WEAK;
void *mi_heap_realloc_aligned_at(
    void *heap, void *at, size_t size, size_t align, size_t offset) WEAK;
void *mi_heap_rezalloc_aligned(void *heap, void *at, size_t size, size_t align) WEAK;
void *mi_heap_rezalloc_aligned_at(
    void *heap, void *at, size_t size, size_t align, size_t offset) WEAK;
void *mi_heap_recalloc_aligned(void *heap, void *at, size_t count, size_t size, size_t align) WEAK;
void *mi_heap_recalloc_aligned_at(
    void *heap, void *at, size_t count, size_t size, size_t align, size_t offset) WEAK;
void *reallocf(void *at, size_t size) WEAK;
void *mi_reallocf(void *at, size_t size) WEAK;
int reallocarr(void *place, size_t count, size_t size) WEAK;
int mi_reallocarr(void *place, size_t count, size_t size) WEAK;

/* One block that doubles each time, so that it cannot stay where it is. */
static void what_mimalloc_moves_by_rare_names_is_seen(void **state)
{
	void *heap, *at;
	size_t n = 0, size = 64, came = 0;

	assert_non_null(mi_heap_rezalloc_aligned);
	heap = mi_heap_get_default();
	fake_stack(44);
#define GROWN(call)                                                                                \
	n++;                                                                                       \
	size *= 2;                                                                                 \
	came += size;                                                                              \
	call;                                                                                      \
	ASSERT_SUMS(44, n, came, 1, size)
	GROWN(at = mi_malloc(size));
	GROWN(at = mi_rezalloc_aligned_at(at, size, 64, 8));
	GROWN(at = mi_recalloc_aligned_at(at, size / 2, 2, 64, 8));
	GROWN(at = mi_aligned_offset_recalloc(at, size / 2, 2, 64, 8));
	GROWN(at = mi_heap_realloc_aligned_at(heap, at, size, 64, 8));
	GROWN(at = mi_heap_rezalloc_aligned_at(heap, at, size, 64, 8));
	GROWN(at = mi_heap_recalloc_aligned_at(heap, at, size / 2, 2, 64, 8));
	GROWN(at = mi_recalloc_aligned(at, size / 2, 2, 64));
	GROWN(at = mi_aligned_recalloc(at, size / 2, 2, 64));
	GROWN(at = mi_heap_rezalloc_aligned(heap, at, size, 64));
	GROWN(at = mi_heap_recalloc_aligned(heap, at, size / 2, 2, 64));
	GROWN(at = reallocf(at, size));
	GROWN(assert_int_equal(reallocarr(&at, size / 2, 2), 0));
	GROWN(assert_int_equal(mi_reallocarr(&at, size / 2, 2), 0));
	assert_int_not_equal(mi_reallocarr(&at, SIZE_MAX / 2, 3), 0);
	ASSERT_SUMS(44, n, came, 1, size);
	/* Had for nothing, it is freed. */
	assert_null(mi_reallocf(at, SIZE_MAX / 4));
	fake_stack(0);
	ASSERT_SUMS(44, n, came, 0, 0);
}

char *mi_mbsdup(const char *text) WEAK;
unsigned short *mi_wcsdup(const unsigned short *text) WEAK;
char *mi_realpath(const char *path, char *room) WEAK;
char *mi_heap_realpath(void *heap, const char *path, char *room) WEAK;
int mi_dupenv_s(char **out, size_t *length, const char *name) WEAK;

static void mimallocs_rare_texts_are_seen(void **state)
{
	static const unsigned short wide[] = {'w', 'i', 'd', 'e', 0};
	char room[4096], *text[4];
	unsigned short *copy;
	size_t length, bytes;

	assert_non_null(mi_realpath);
	assert_int_equal(setenv("PROFFS_TEST_TEXT", "seven..", 1), 0);
	fake_stack(45);
	text[0] = mi_mbsdup("four");
	copy = mi_wcsdup(wide);
	text[1] = mi_realpath("/usr/../", NULL);
	text[2] = mi_heap_realpath(mi_heap_get_default(), "/./", NULL);
	assert_int_equal(mi_dupenv_s(&text[3], &length, "PROFFS_TEST_TEXT"), 0);
	assert_ptr_equal(mi_realpath("/", room), room);
	fake_stack(0);
	bytes = 5 + sizeof(wide) + 2 + 2 + 8;
	ASSERT_SUMS(45, 5, bytes, 5, bytes);
	for (int i = 0; i < 4; i++)
		mi_free(text[i]);
	mi_free(copy);
	ASSERT_SUMS(45, 5, bytes, 0, 0);
}

enum { OF_A_HEAP = 20000 };

/* Freed one by one, moved, and gone with their heap; what is in another heap stays. */
static void a_heap_of_mimallocs_takes_its_blocks_with_it(void **state)
{
	void *gone, *kept, *at;

	assert_non_null(mi_heap_new);
	gone = mi_heap_new();
	kept = mi_heap_new();
	fake_stack(39);
	for (size_t i = 0; i < OF_A_HEAP; i++)
		mi_heap_malloc(gone, 1 + i % 3000);
	mi_heap_malloc_aligned(gone, 300, 4096);
	at = mi_heap_malloc(gone, 100);
	mi_free(mi_heap_calloc(gone, 10, 10));
	fake_stack(40);
	mi_heap_realloc(gone, at, 50000000);
	at = mi_heap_malloc(kept, 24);
	fake_stack(0);
	assert_int_equal(sums_of(39).live_objects, OF_A_HEAP + 1);
	ASSERT_SUMS(40, 2, 50000024, 2, 50000024);
	mi_heap_destroy(gone);
	assert_int_equal(sums_of(39).live_objects, 0);
	assert_int_equal(sums_of(39).live_bytes, 0);
	ASSERT_SUMS(40, 2, 50000024, 1, 24);
	mi_heap_delete(kept); /* its blocks live on */
	ASSERT_SUMS(40, 2, 50000024, 1, 24);
	mi_free(at);
	ASSERT_SUMS(40, 2, 50000024, 0, 0);
}

void *mi_heap_get_backing(void) WEAK;

/* Asked to destroy it, mimalloc deletes it: the blocks are there, and somebody may free them. */
static void *destroys_its_own_heap(void *blocks)
{
	void **at = blocks;

	fake_stack(41);
	at[0] = mi_malloc(100);
	at[1] = mi_heap_malloc(mi_heap_get_backing(), 200);
	fake_stack(0);
	mi_heap_destroy(mi_heap_get_backing());
	return NULL;
}

static void a_threads_own_heap_of_mimallocs_leaves_its_blocks(void **state)
{
	pthread_t thread;
	void *at[2];

	assert_non_null(mi_heap_get_backing);
	assert_int_equal(pthread_create(&thread, NULL, destroys_its_own_heap, at), 0);
	pthread_join(thread, NULL);
	ASSERT_SUMS(41, 2, 300, 2, 300);
	mi_free(at[0]);
	mi_free(at[1]);
	ASSERT_SUMS(41, 2, 300, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    AT_RATE_1(mimallocs_own_functions_are_seen_where_they_are),
	    AT_RATE_1(mimallocs_texts_are_seen),
	    AT_RATE_1(what_mimalloc_allocates_by_rare_names_is_seen),
	    AT_RATE_1(what_mimalloc_moves_by_rare_names_is_seen),
	    AT_RATE_1(mimallocs_rare_texts_are_seen),
	    AT_RATE_1(a_heap_of_mimallocs_takes_its_blocks_with_it),
	    AT_RATE_1(a_threads_own_heap_of_mimallocs_leaves_its_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
