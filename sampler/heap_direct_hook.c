#include "sampler/heap_direct_hook.h"
#include "base/mark.h"
#include "sampler/heap_call.h"
#include "sampler/heap_mi_hook.h"
#include "sampler/patch.h"
#include "sampler/real.h"

/* ---- jemalloc ---- */

static PF_HOOK size_t usable_je(void *at)
{
	return at && pf_real_pointers[PF_REAL_sallocx] ? pf_real_sallocx(at, 0) : 0;
}

PF_CALL_ALLOCATING(mallocx, void *, (size_t size, int flags), (size, flags), size)
PF_CALL_FREEING(dallocx, (void *at, int flags), (at, flags))
PF_CALL_FREEING(sdallocx, (void *at, size_t size, int flags), (at, size, flags))
PF_CALL_RESIZING(rallocx, (void *at, size_t size, int flags), (at, size, flags), size, usable_je)

/* Where it is, to `size` bytes and if possible up to `extra` more; what it has then. */
static PF_HOOK size_t take_xallocx(uint64_t rate, void *at, size_t size, size_t extra, int flags)
{
	struct pf_call_resize resize;
	size_t has, asked;

	pf_call_resize_begin(&resize, at, rate, usable_je(at));
	has = pf_real_xallocx(at, size, extra, flags);
	asked = has - size < extra ? has : size + extra;
	if (has < size)
		pf_book_move_undo(&resize.move, at);
	else
		pf_call_resize_end(&resize, at, at, asked, has);
	return has;
}

static PF_HOOK size_t slow_xallocx(void *at, size_t size, size_t extra, int flags)
{
	return take_xallocx(pf_draw_sampled(size), at, size, extra, flags);
}

static PF_HOOK size_t known_xallocx(void *at, size_t size, size_t extra, int flags)
{
	return take_xallocx(0, at, size, extra, flags);
}

static PF_HOOK size_t pf_real_after_xallocx(void *at, size_t size, size_t extra, int flags)
{
	if (PF_UNLIKELY(pf_draw_spend(size)))
		return slow_xallocx(at, size, extra, flags);
	if (PF_UNLIKELY(pf_live_maybe(at)))
		return known_xallocx(at, size, extra, flags);
	return PF_REAL_CALL(xallocx, (at, size, extra, flags));
}

static PF_HOOK size_t every_xallocx(void *at, size_t size, size_t extra, int flags)
{
	return take_xallocx(pf_draw_every(size), at, size, extra, flags);
}

#define JE_FREEING(X)                                                                              \
	X(dallocx)                                                                                 \
	X(sdallocx)
#define JE_ALLOCATING(X)                                                                           \
	X(mallocx)                                                                                 \
	X(rallocx)                                                                                 \
	X(xallocx)

/* ---- tcmalloc ---- */

static PF_HOOK size_t usable_tc(void *at)
{
	return at && pf_real_pointers[PF_REAL_tc_malloc_size] ? pf_real_tc_malloc_size(at) : 0;
}

PF_CALL_ALLOCATING(tc_malloc, void *, (size_t size), (size), size)
PF_CALL_ALLOCATING(tc_malloc_skip_new_handler, void *, (size_t size), (size), size)
PF_CALL_ALLOCATING(
    tc_calloc, void *, (size_t count, size_t size), (count, size), pf_call_product(count, size))
PF_CALL_ALLOCATING(tc_memalign, void *, (size_t align, size_t size), (align, size), size)
PF_CALL_ALLOCATING(tc_valloc, void *, (size_t size), (size), size)
PF_CALL_ALLOCATING(tc_pvalloc, void *, (size_t size), (size), size)
PF_CALL_ALLOCATING(tc_new, void *, (size_t size), (size), size)
PF_CALL_ALLOCATING(tc_newarray, void *, (size_t size), (size), size)
PF_CALL_ALLOCATING(tc_new_nothrow, void *, (size_t size, const void *tag), (size, tag), size)
PF_CALL_ALLOCATING(tc_newarray_nothrow, void *, (size_t size, const void *tag), (size, tag), size)
PF_CALL_ALLOCATING(tc_new_aligned, void *, (size_t size, size_t align), (size, align), size)
PF_CALL_ALLOCATING(tc_newarray_aligned, void *, (size_t size, size_t align), (size, align), size)
PF_CALL_ALLOCATING(tc_new_aligned_nothrow, void *, (size_t size, size_t align, const void *tag),
    (size, align, tag), size)
PF_CALL_ALLOCATING(tc_newarray_aligned_nothrow, void *,
    (size_t size, size_t align, const void *tag), (size, align, tag), size)

static PF_HOOK int take_tc_posix_memalign(uint64_t rate, void **out, size_t align, size_t size)
{
	int rc = pf_real_tc_posix_memalign(out, align, size);

	if (rate && rc == 0)
		pf_call_note(*out, size, rate);
	return rc;
}
PF_CALL_COUNTING(
    tc_posix_memalign, int, (void **out, size_t align, size_t size), (out, align, size), size)

PF_CALL_FREEING(tc_free, (void *at), (at))
PF_CALL_FREEING(tc_cfree, (void *at), (at))
PF_CALL_FREEING(tc_free_sized, (void *at, size_t size), (at, size))
PF_CALL_FREEING(tc_delete, (void *at), (at))
PF_CALL_FREEING(tc_delete_sized, (void *at, size_t size), (at, size))
PF_CALL_FREEING(tc_delete_nothrow, (void *at, const void *tag), (at, tag))
PF_CALL_FREEING(tc_delete_aligned, (void *at, size_t align), (at, align))
PF_CALL_FREEING(tc_delete_sized_aligned, (void *at, size_t size, size_t align), (at, size, align))
PF_CALL_FREEING(
    tc_delete_aligned_nothrow, (void *at, size_t align, const void *tag), (at, align, tag))
PF_CALL_FREEING(tc_deletearray, (void *at), (at))
PF_CALL_FREEING(tc_deletearray_sized, (void *at, size_t size), (at, size))
PF_CALL_FREEING(tc_deletearray_nothrow, (void *at, const void *tag), (at, tag))
PF_CALL_FREEING(tc_deletearray_aligned, (void *at, size_t align), (at, align))
PF_CALL_FREEING(
    tc_deletearray_sized_aligned, (void *at, size_t size, size_t align), (at, size, align))
PF_CALL_FREEING(
    tc_deletearray_aligned_nothrow, (void *at, size_t align, const void *tag), (at, align, tag))
PF_CALL_RESIZING(tc_realloc, (void *at, size_t size), (at, size), size, usable_tc)

#define TC_FREEING(X)                                                                              \
	X(tc_free)                                                                                 \
	X(tc_cfree)                                                                                \
	X(tc_free_sized)                                                                           \
	X(tc_delete)                                                                               \
	X(tc_delete_sized)                                                                         \
	X(tc_delete_nothrow)                                                                       \
	X(tc_delete_aligned)                                                                       \
	X(tc_delete_sized_aligned)                                                                 \
	X(tc_delete_aligned_nothrow)                                                               \
	X(tc_deletearray)                                                                          \
	X(tc_deletearray_sized)                                                                    \
	X(tc_deletearray_nothrow)                                                                  \
	X(tc_deletearray_aligned)                                                                  \
	X(tc_deletearray_sized_aligned)                                                            \
	X(tc_deletearray_aligned_nothrow)
#define TC_ALLOCATING(X)                                                                           \
	X(tc_malloc)                                                                               \
	X(tc_malloc_skip_new_handler)                                                              \
	X(tc_calloc)                                                                               \
	X(tc_memalign)                                                                             \
	X(tc_valloc)                                                                               \
	X(tc_pvalloc)                                                                              \
	X(tc_new)                                                                                  \
	X(tc_newarray)                                                                             \
	X(tc_new_nothrow)                                                                          \
	X(tc_newarray_nothrow)                                                                     \
	X(tc_new_aligned)                                                                          \
	X(tc_newarray_aligned)                                                                     \
	X(tc_new_aligned_nothrow)                                                                  \
	X(tc_newarray_aligned_nothrow)                                                             \
	X(tc_realloc)                                                                              \
	X(tc_posix_memalign)

/* ---- the tables ---- */

static const struct pf_patch je_counting[] = {
    JE_FREEING(PF_CALL_COUNT_ROW) JE_ALLOCATING(PF_CALL_COUNT_ROW)};
static const struct pf_patch je_every[] = {
    JE_FREEING(PF_CALL_COUNT_ROW) JE_ALLOCATING(PF_CALL_EVERY_ROW)};
static const struct pf_patch tc_counting[] = {
    TC_FREEING(PF_CALL_COUNT_ROW) TC_ALLOCATING(PF_CALL_COUNT_ROW)};
static const struct pf_patch tc_every[] = {
    TC_FREEING(PF_CALL_COUNT_ROW) TC_ALLOCATING(PF_CALL_EVERY_ROW)};

static struct direct {
	enum pf_real first;
	const struct pf_patch *counting, *every;
	struct pf_patch_set set;
} directs[] = {
    {PF_REAL_mallocx, je_counting, je_every, {.count = PF_COUNT(je_counting)}},
    {PF_REAL_tc_malloc, tc_counting, tc_every, {.count = PF_COUNT(tc_counting)}},
    {PF_REAL_mi_malloc, pf_heap_mi_counting, pf_heap_mi_every, {.count = PF_HEAP_MI_ROWS}},
};

int pf_heap_direct_on(bool every_block)
{
	int rc = 0;

	for (size_t i = 0; i < PF_COUNT(directs) && rc == 0; i++) {
		struct direct *d = &directs[i];

		if (!pf_real_pointers[d->first])
			continue;
		d->set.skip = pf_real_pointers[d->first];
		d->set.patches = every_block ? d->every : d->counting;
		d->set.counts_asking = true;
		rc = pf_patch_on(&d->set);
	}
	return rc;
}

void pf_heap_direct_off(void)
{
	for (size_t i = 0; i < PF_COUNT(directs); i++)
		pf_patch_off(&directs[i].set);
}
