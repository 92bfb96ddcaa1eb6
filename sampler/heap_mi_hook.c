#include "sampler/heap_mi_hook.h"
#include "base/mark.h"
#include "sampler/guard.h"
#include "sampler/heap_call.h"
#include "sampler/patch.h"
#include "sampler/real.h"

static PF_HOOK size_t usable_mi(void *at)
{
	return at && pf_real_pointers[PF_REAL_mi_usable_size] ? pf_real_mi_usable_size(at) : 0;
}

PF_CALL_ALLOCATING(mi_malloc, void *, (size_t size), (size), size)
PF_CALL_ALLOCATING(mi_zalloc, void *, (size_t size), (size), size)
PF_CALL_ALLOCATING(mi_malloc_small, void *, (size_t size), (size), size)
PF_CALL_ALLOCATING(mi_zalloc_small, void *, (size_t size), (size), size)
PF_CALL_ALLOCATING(mi_valloc, void *, (size_t size), (size), size)
PF_CALL_ALLOCATING(mi_pvalloc, void *, (size_t size), (size), size)
PF_CALL_ALLOCATING(mi_new, void *, (size_t size), (size), size)
PF_CALL_ALLOCATING(mi_new_nothrow, void *, (size_t size), (size), size)
PF_CALL_ALLOCATING(
    mi_calloc, void *, (size_t count, size_t size), (count, size), pf_call_product(count, size))
PF_CALL_ALLOCATING(
    mi_mallocn, void *, (size_t count, size_t size), (count, size), pf_call_product(count, size))
PF_CALL_ALLOCATING(
    mi_new_n, void *, (size_t count, size_t size), (count, size), pf_call_product(count, size))
PF_CALL_ALLOCATING(mi_malloc_aligned, void *, (size_t size, size_t align), (size, align), size)
PF_CALL_ALLOCATING(mi_zalloc_aligned, void *, (size_t size, size_t align), (size, align), size)
PF_CALL_ALLOCATING(mi_new_aligned, void *, (size_t size, size_t align), (size, align), size)
PF_CALL_ALLOCATING(mi_new_aligned_nothrow, void *, (size_t size, size_t align), (size, align), size)
PF_CALL_ALLOCATING(mi_memalign, void *, (size_t align, size_t size), (align, size), size)
PF_CALL_ALLOCATING(mi_aligned_alloc, void *, (size_t align, size_t size), (align, size), size)
PF_CALL_ALLOCATING(mi_calloc_aligned, void *, (size_t count, size_t size, size_t align),
    (count, size, align), pf_call_product(count, size))

static PF_HOOK int take_mi_posix_memalign(uint64_t rate, void **out, size_t align, size_t size)
{
	int rc = pf_real_mi_posix_memalign(out, align, size);

	if (rate && rc == 0)
		pf_call_note(*out, size, rate);
	return rc;
}
PF_CALL_COUNTING(
    mi_posix_memalign, int, (void **out, size_t align, size_t size), (out, align, size), size)

PF_CALL_FREEING(mi_free, (void *at), (at))
PF_CALL_FREEING(mi_free_size, (void *at, size_t size), (at, size))
PF_CALL_FREEING(mi_free_aligned, (void *at, size_t align), (at, align))
PF_CALL_FREEING(mi_free_size_aligned, (void *at, size_t size, size_t align), (at, size, align))
PF_CALL_RESIZING(mi_realloc, (void *at, size_t size), (at, size), size, usable_mi)
PF_CALL_RESIZING(mi_rezalloc, (void *at, size_t size), (at, size), size, usable_mi)
PF_CALL_RESIZING(mi_new_realloc, (void *at, size_t size), (at, size), size, usable_mi)
PF_CALL_RESIZING(mi_reallocn, (void *at, size_t count, size_t size), (at, count, size),
    pf_call_product(count, size), usable_mi)
PF_CALL_RESIZING(mi_reallocarray, (void *at, size_t count, size_t size), (at, count, size),
    pf_call_product(count, size), usable_mi)
PF_CALL_RESIZING(mi_recalloc, (void *at, size_t count, size_t size), (at, count, size),
    pf_call_product(count, size), usable_mi)
PF_CALL_RESIZING(mi_new_reallocn, (void *at, size_t count, size_t size), (at, count, size),
    pf_call_product(count, size), usable_mi)
PF_CALL_RESIZING(
    mi_realloc_aligned, (void *at, size_t size, size_t align), (at, size, align), size, usable_mi)
PF_CALL_FREEING(mi_cfree, (void *at), (at))
PF_CALL_ALLOCATING(mi_malloc_aligned_at, void *, (size_t size, size_t align, size_t offset),
    (size, align, offset), size)
PF_CALL_ALLOCATING(mi_zalloc_aligned_at, void *, (size_t size, size_t align, size_t offset),
    (size, align, offset), size)
PF_CALL_RESIZING(mi_realloc_aligned_at, (void *at, size_t size, size_t align, size_t offset),
    (at, size, align, offset), size, usable_mi)
PF_CALL_RESIZING(
    mi_rezalloc_aligned, (void *at, size_t size, size_t align), (at, size, align), size, usable_mi)
PF_CALL_RESIZING_OR_FREEING(mi_reallocf, (void *at, size_t size), (at, size), size, usable_mi)
PF_CALL_RESIZING(mi_expand, (void *at, size_t size), (at, size), size, usable_mi)
PF_CALL_ALLOCATING(mi_calloc_aligned_at, void *,
    (size_t count, size_t size, size_t align, size_t offset), (count, size, align, offset),
    pf_call_product(count, size))
PF_CALL_RESIZING(mi_rezalloc_aligned_at, (void *at, size_t size, size_t align, size_t offset),
    (at, size, align, offset), size, usable_mi)
PF_CALL_RESIZING(mi_recalloc_aligned, (void *at, size_t count, size_t size, size_t align),
    (at, count, size, align), pf_call_product(count, size), usable_mi)
PF_CALL_RESIZING(mi_recalloc_aligned_at,
    (void *at, size_t count, size_t size, size_t align, size_t offset),
    (at, count, size, align, offset), pf_call_product(count, size), usable_mi)
PF_CALL_RESIZING(mi_aligned_recalloc, (void *at, size_t count, size_t size, size_t align),
    (at, count, size, align), pf_call_product(count, size), usable_mi)
PF_CALL_RESIZING(mi_aligned_offset_recalloc,
    (void *at, size_t count, size_t size, size_t align, size_t offset),
    (at, count, size, align, offset), pf_call_product(count, size), usable_mi)
PF_CALL_RESIZING(mi__expand, (void *at, size_t size), (at, size), size, usable_mi)
PF_CALL_RESIZING_ARRAY(mi_reallocarr, usable_mi)

/* ---- texts: their size is known when they are there ---- */

static PF_HOOK size_t bytes_of(const char *text)
{
	size_t n = 0;

	while (text[n])
		n++;
	return n + 1;
}

static PF_HOOK size_t bytes_of_wide(const unsigned short *text)
{
	size_t n = 0;

	while (text[n])
		n++;
	return (n + 1) * sizeof(*text);
}

static PF_HOOK void count_text(const void *at, size_t size)
{
	uint64_t rate = pf_draw_spend(size) ? pf_draw_sampled(size) : 0;

	if (rate)
		pf_call_note(at, size, rate);
}

static PF_HOOK void every_text(const void *at, size_t size)
{
	uint64_t rate = pf_draw_every(size);

	if (rate)
		pf_call_note(at, size, rate);
}

#define TEXT(name, params, args, bytes)                                                            \
	static PF_HOOK void *pf_real_after_##name params                                           \
	{                                                                                          \
		void *at = pf_real_##name args;                                                    \
                                                                                                   \
		if (at)                                                                            \
			count_text(at, bytes(at));                                                 \
		return at;                                                                         \
	}                                                                                          \
	static PF_HOOK void *every_##name params                                                   \
	{                                                                                          \
		void *at = pf_real_##name args;                                                    \
                                                                                                   \
		if (at)                                                                            \
			every_text(at, bytes(at));                                                 \
		return at;                                                                         \
	}

TEXT(mi_strdup, (const char *text), (text), bytes_of)
TEXT(mi_strndup, (const char *text, size_t most), (text, most), bytes_of)
TEXT(mi_heap_strdup, (void *heap, const char *text), (heap, text), bytes_of)
TEXT(mi_heap_strndup, (void *heap, const char *text, size_t most), (heap, text, most), bytes_of)
TEXT(mi_mbsdup, (const char *text), (text), bytes_of)
TEXT(mi_wcsdup, (const unsigned short *text), (text), bytes_of_wide)

/* In the caller's own room nothing is allocated. What libc allocates for them by malloc, mimalloc
 * frees inside itself, where we do not look: so that is not counted. */
#define PATH(name, params, args)                                                                   \
	static PF_HOOK char *ask_##name params                                                     \
	{                                                                                          \
		bool entered = pf_guard_enter();                                                   \
		char *at = pf_real_##name args;                                                    \
                                                                                                   \
		if (entered)                                                                       \
			pf_guard_leave();                                                          \
		return at;                                                                         \
	}                                                                                          \
	static PF_HOOK void *pf_real_after_##name params                                           \
	{                                                                                          \
		char *at = ask_##name args;                                                        \
                                                                                                   \
		if (at && !room)                                                                   \
			count_text(at, bytes_of(at));                                              \
		return at;                                                                         \
	}                                                                                          \
	static PF_HOOK void *every_##name params                                                   \
	{                                                                                          \
		char *at = ask_##name args;                                                        \
                                                                                                   \
		if (at && !room)                                                                   \
			every_text(at, bytes_of(at));                                              \
		return at;                                                                         \
	}

PATH(mi_realpath, (const char *path, char *room), (path, room))
PATH(mi_heap_realpath, (void *heap, const char *path, char *room), (heap, path, room))

static PF_HOOK int pf_real_after_mi_dupenv_s(char **out, size_t *length, const char *name)
{
	int rc = pf_real_mi_dupenv_s(out, length, name);

	if (rc == 0 && *out)
		count_text(*out, bytes_of(*out));
	return rc;
}

static PF_HOOK int every_mi_dupenv_s(char **out, size_t *length, const char *name)
{
	int rc = pf_real_mi_dupenv_s(out, length, name);

	if (rc == 0 && *out)
		every_text(*out, bytes_of(*out));
	return rc;
}

/* ---- heaps of the program's own, which may be destroyed as a whole ---- */

PF_CALL_ALLOCATING(mi_heap_malloc, void *, (void *heap, size_t size), (heap, size), size)
PF_CALL_ALLOCATING(mi_heap_zalloc, void *, (void *heap, size_t size), (heap, size), size)
PF_CALL_ALLOCATING(mi_heap_malloc_small, void *, (void *heap, size_t size), (heap, size), size)
PF_CALL_ALLOCATING(mi_heap_calloc, void *, (void *heap, size_t count, size_t size),
    (heap, count, size), pf_call_product(count, size))
PF_CALL_ALLOCATING(mi_heap_mallocn, void *, (void *heap, size_t count, size_t size),
    (heap, count, size), pf_call_product(count, size))
PF_CALL_ALLOCATING(mi_heap_malloc_aligned, void *, (void *heap, size_t size, size_t align),
    (heap, size, align), size)
PF_CALL_ALLOCATING(mi_heap_zalloc_aligned, void *, (void *heap, size_t size, size_t align),
    (heap, size, align), size)
PF_CALL_ALLOCATING(mi_heap_calloc_aligned, void *,
    (void *heap, size_t count, size_t size, size_t align), (heap, count, size, align),
    pf_call_product(count, size))
PF_CALL_RESIZING(
    mi_heap_realloc, (void *heap, void *at, size_t size), (heap, at, size), size, usable_mi)
PF_CALL_RESIZING_OR_FREEING(
    mi_heap_reallocf, (void *heap, void *at, size_t size), (heap, at, size), size, usable_mi)
PF_CALL_RESIZING(
    mi_heap_rezalloc, (void *heap, void *at, size_t size), (heap, at, size), size, usable_mi)
PF_CALL_RESIZING(mi_heap_reallocn, (void *heap, void *at, size_t count, size_t size),
    (heap, at, count, size), pf_call_product(count, size), usable_mi)
PF_CALL_RESIZING(mi_heap_recalloc, (void *heap, void *at, size_t count, size_t size),
    (heap, at, count, size), pf_call_product(count, size), usable_mi)
PF_CALL_RESIZING(mi_heap_realloc_aligned, (void *heap, void *at, size_t size, size_t align),
    (heap, at, size, align), size, usable_mi)

PF_CALL_ALLOCATING(mi_heap_alloc_new, void *, (void *heap, size_t size), (heap, size), size)
PF_CALL_ALLOCATING(mi_heap_alloc_new_n, void *, (void *heap, size_t count, size_t size),
    (heap, count, size), pf_call_product(count, size))
PF_CALL_ALLOCATING(mi_heap_malloc_aligned_at, void *,
    (void *heap, size_t size, size_t align, size_t offset), (heap, size, align, offset), size)
PF_CALL_ALLOCATING(mi_heap_zalloc_aligned_at, void *,
    (void *heap, size_t size, size_t align, size_t offset), (heap, size, align, offset), size)
PF_CALL_ALLOCATING(mi_heap_calloc_aligned_at, void *,
    (void *heap, size_t count, size_t size, size_t align, size_t offset),
    (heap, count, size, align, offset), pf_call_product(count, size))
PF_CALL_RESIZING(mi_heap_realloc_aligned_at,
    (void *heap, void *at, size_t size, size_t align, size_t offset),
    (heap, at, size, align, offset), size, usable_mi)
PF_CALL_RESIZING(mi_heap_rezalloc_aligned, (void *heap, void *at, size_t size, size_t align),
    (heap, at, size, align), size, usable_mi)
PF_CALL_RESIZING(mi_heap_rezalloc_aligned_at,
    (void *heap, void *at, size_t size, size_t align, size_t offset),
    (heap, at, size, align, offset), size, usable_mi)
PF_CALL_RESIZING(mi_heap_recalloc_aligned,
    (void *heap, void *at, size_t count, size_t size, size_t align), (heap, at, count, size, align),
    pf_call_product(count, size), usable_mi)
PF_CALL_RESIZING(mi_heap_recalloc_aligned_at,
    (void *heap, void *at, size_t count, size_t size, size_t align, size_t offset),
    (heap, at, count, size, align, offset), pf_call_product(count, size), usable_mi)

/* The beginning of mi_heap_area_t, the same in all versions. */
struct area {
	char *blocks;
	size_t bytes;
};

enum { PAGE = 1 << PF_LIVE_PAGE_SHIFT, ALIGN_MIN = 8 };

/* Blocks lie anywhere in an area, aligned ones within another: so look at every place of a page
 * that has a sampled block, which is one in a hundred. */
static PF_HOOK void drop_page(const char *from, const char *end)
{
	for (const char *at = from; at < end; at += ALIGN_MIN)
		pf_book_drop(at);
}

static PF_HOOK bool drop_area(
    const void *heap, const void *arg, void *block, size_t block_size, void *unused)
{
	const struct area *area = arg;
	const char *end = area->blocks + area->bytes, *next;

	for (const char *at = area->blocks; at < end; at = next) {
		next = (const char *)(((uintptr_t)at | (PAGE - 1)) + 1);
		if (PF_UNLIKELY(pf_live_maybe(at)))
			drop_page(at, next < end ? next : end);
	}
	return true;
}

/* A thread's own first heap is only deleted, whatever is asked: its blocks live on. */
static PF_HOOK bool is_backing(const void *heap)
{
	return pf_real_pointers[PF_REAL_mi_heap_get_backing] &&
	       heap == pf_real_mi_heap_get_backing();
}

static PF_HOOK void pf_real_after_mi_heap_destroy(void *heap)
{
	if (pf_real_pointers[PF_REAL_mi_heap_visit_blocks] && !is_backing(heap))
		pf_real_mi_heap_visit_blocks(heap, false, drop_area, NULL);
	PF_REAL_CALL(mi_heap_destroy, (heap));
}

/* ---- the tables ---- */

#define FREEING(X)                                                                                 \
	X(mi_free)                                                                                 \
	X(mi_free_size)                                                                            \
	X(mi_free_aligned)                                                                         \
	X(mi_free_size_aligned)                                                                    \
	X(mi_cfree)                                                                                \
	X(mi_heap_destroy)

#define ALLOCATING(X)                                                                              \
	X(mi_malloc)                                                                               \
	X(mi_zalloc)                                                                               \
	X(mi_malloc_small)                                                                         \
	X(mi_zalloc_small)                                                                         \
	X(mi_valloc)                                                                               \
	X(mi_pvalloc)                                                                              \
	X(mi_new)                                                                                  \
	X(mi_new_nothrow)                                                                          \
	X(mi_calloc)                                                                               \
	X(mi_mallocn)                                                                              \
	X(mi_new_n)                                                                                \
	X(mi_malloc_aligned)                                                                       \
	X(mi_zalloc_aligned)                                                                       \
	X(mi_new_aligned)                                                                          \
	X(mi_new_aligned_nothrow)                                                                  \
	X(mi_memalign)                                                                             \
	X(mi_aligned_alloc)                                                                        \
	X(mi_calloc_aligned)                                                                       \
	X(mi_realloc)                                                                              \
	X(mi_rezalloc)                                                                             \
	X(mi_new_realloc)                                                                          \
	X(mi_reallocn)                                                                             \
	X(mi_reallocarray)                                                                         \
	X(mi_recalloc)                                                                             \
	X(mi_new_reallocn)                                                                         \
	X(mi_realloc_aligned)                                                                      \
	X(mi_posix_memalign)                                                                       \
	X(mi_malloc_aligned_at)                                                                    \
	X(mi_zalloc_aligned_at)                                                                    \
	X(mi_realloc_aligned_at)                                                                   \
	X(mi_rezalloc_aligned)                                                                     \
	X(mi_reallocf)                                                                             \
	X(mi_expand)                                                                               \
	X(mi_strdup)                                                                               \
	X(mi_strndup)                                                                              \
	X(mi_heap_strdup)                                                                          \
	X(mi_heap_strndup)                                                                         \
	X(mi_heap_malloc)                                                                          \
	X(mi_heap_zalloc)                                                                          \
	X(mi_heap_malloc_small)                                                                    \
	X(mi_heap_calloc)                                                                          \
	X(mi_heap_mallocn)                                                                         \
	X(mi_heap_malloc_aligned)                                                                  \
	X(mi_heap_zalloc_aligned)                                                                  \
	X(mi_heap_calloc_aligned)                                                                  \
	X(mi_heap_realloc)                                                                         \
	X(mi_heap_reallocf)                                                                        \
	X(mi_heap_rezalloc)                                                                        \
	X(mi_heap_reallocn)                                                                        \
	X(mi_heap_recalloc)                                                                        \
	X(mi_heap_realloc_aligned)                                                                 \
	X(mi_heap_alloc_new)                                                                       \
	X(mi_heap_alloc_new_n)                                                                     \
	X(mi_calloc_aligned_at)                                                                    \
	X(mi_heap_malloc_aligned_at)                                                               \
	X(mi_heap_zalloc_aligned_at)                                                               \
	X(mi_heap_calloc_aligned_at)                                                               \
	X(mi_rezalloc_aligned_at)                                                                  \
	X(mi_recalloc_aligned)                                                                     \
	X(mi_recalloc_aligned_at)                                                                  \
	X(mi_aligned_recalloc)                                                                     \
	X(mi_aligned_offset_recalloc)                                                              \
	X(mi_heap_realloc_aligned_at)                                                              \
	X(mi_heap_rezalloc_aligned)                                                                \
	X(mi_heap_rezalloc_aligned_at)                                                             \
	X(mi_heap_recalloc_aligned)                                                                \
	X(mi_heap_recalloc_aligned_at)                                                             \
	X(mi__expand)                                                                              \
	X(mi_reallocarr)                                                                           \
	X(mi_wcsdup)                                                                               \
	X(mi_mbsdup)                                                                               \
	X(mi_dupenv_s)                                                                             \
	X(mi_realpath)                                                                             \
	X(mi_heap_realpath)

#define ONE(name) +1
_Static_assert(PF_HEAP_MI_ROWS == FREEING(ONE) ALLOCATING(ONE), "every row is counted");

const struct pf_patch pf_heap_mi_counting[PF_HEAP_MI_ROWS] = {
    FREEING(PF_CALL_COUNT_ROW) ALLOCATING(PF_CALL_COUNT_ROW)};
const struct pf_patch pf_heap_mi_every[PF_HEAP_MI_ROWS] = {
    FREEING(PF_CALL_COUNT_ROW) ALLOCATING(PF_CALL_EVERY_ROW)};
