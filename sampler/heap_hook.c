#include "sampler/heap_hook.h"
#include "base/mark.h"
#include "sampler/heap_call.h"
#include "sampler/heap_direct_hook.h"
#include "sampler/patch.h"
#include "sampler/real.h"
#include "sampler/shortcut.h"

#include <stddef.h>

/* PF_CALL_HOT begins on a page, and fits into it. */
__asm__(".pushsection pf_hook, \"ax\"\n\t.balign 4096\n\t.popsection");

/* ---- allocating ---- */

PF_CALL_ALLOCATING(malloc, void *, (size_t size), (size), size)
PF_CALL_ALLOCATING(
    calloc, void *, (size_t count, size_t size), (count, size), pf_call_product(count, size))
PF_CALL_ALLOCATING(aligned_alloc, void *, (size_t align, size_t size), (align, size), size)
PF_CALL_ALLOCATING(memalign, void *, (size_t align, size_t size), (align, size), size)
PF_CALL_ALLOCATING(_aligned_malloc, void *, (size_t align, size_t size), (align, size), size)
PF_CALL_ALLOCATING(valloc, void *, (size_t size), (size), size)
PF_CALL_ALLOCATING(pvalloc, void *, (size_t size), (size), size)
PF_CALL_ALLOCATING(_Znwm, void *, (size_t size), (size), size)
PF_CALL_ALLOCATING(_Znam, void *, (size_t size), (size), size)
PF_CALL_ALLOCATING(_ZnwmRKSt9nothrow_t, void *, (size_t size, const void *tag), (size, tag), size)
PF_CALL_ALLOCATING(_ZnamRKSt9nothrow_t, void *, (size_t size, const void *tag), (size, tag), size)
PF_CALL_ALLOCATING(_ZnwmSt11align_val_t, void *, (size_t size, size_t align), (size, align), size)
PF_CALL_ALLOCATING(_ZnamSt11align_val_t, void *, (size_t size, size_t align), (size, align), size)
PF_CALL_ALLOCATING(_ZnwmSt11align_val_tRKSt9nothrow_t, void *,
    (size_t size, size_t align, const void *tag), (size, align, tag), size)
PF_CALL_ALLOCATING(_ZnamSt11align_val_tRKSt9nothrow_t, void *,
    (size_t size, size_t align, const void *tag), (size, align, tag), size)

static PF_HOOK int take_posix_memalign(uint64_t rate, void **out, size_t align, size_t size)
{
	int rc = pf_real_posix_memalign(out, align, size);

	if (rate && rc == 0)
		pf_call_note(*out, size, rate);
	return rc;
}
PF_CALL_COUNTING(
    posix_memalign, int, (void **out, size_t align, size_t size), (out, align, size), size)

/* ---- freeing ---- */

PF_CALL_FREEING(free, (void *at), (at))
PF_CALL_FREEING(free_sized, (void *at, size_t size), (at, size))
PF_CALL_FREEING(free_aligned_sized, (void *at, size_t align, size_t size), (at, align, size))
PF_CALL_FREEING(cfree, (void *at), (at))
PF_CALL_FREEING(vfree, (void *at), (at))
PF_CALL_FREEING(_ZdlPv, (void *at), (at))
PF_CALL_FREEING(_ZdaPv, (void *at), (at))
PF_CALL_FREEING(_ZdlPvm, (void *at, size_t size), (at, size))
PF_CALL_FREEING(_ZdaPvm, (void *at, size_t size), (at, size))
PF_CALL_FREEING(_ZdlPvRKSt9nothrow_t, (void *at, const void *tag), (at, tag))
PF_CALL_FREEING(_ZdaPvRKSt9nothrow_t, (void *at, const void *tag), (at, tag))
PF_CALL_FREEING(_ZdlPvSt11align_val_t, (void *at, size_t align), (at, align))
PF_CALL_FREEING(_ZdaPvSt11align_val_t, (void *at, size_t align), (at, align))
PF_CALL_FREEING(_ZdlPvmSt11align_val_t, (void *at, size_t size, size_t align), (at, size, align))
PF_CALL_FREEING(_ZdaPvmSt11align_val_t, (void *at, size_t size, size_t align), (at, size, align))
PF_CALL_FREEING(_ZdlPvSt11align_val_tRKSt9nothrow_t, (void *at, size_t align, const void *tag),
    (at, align, tag))
PF_CALL_FREEING(_ZdaPvSt11align_val_tRKSt9nothrow_t, (void *at, size_t align, const void *tag),
    (at, align, tag))

/* ---- changing the size ---- */

static PF_HOOK size_t usable(void *at)
{
	if (!at || !pf_real_pointers[PF_REAL_malloc_usable_size])
		return 0;
	return pf_real_malloc_usable_size(at);
}

PF_CALL_RESIZING(realloc, (void *at, size_t size), (at, size), size, usable)
PF_CALL_RESIZING_OR_FREEING(reallocf, (void *at, size_t size), (at, size), size, usable)
PF_CALL_RESIZING_ARRAY(reallocarr, usable)
/* libc's own calls realloc, through a slot that may lead here: it would be counted twice. So this is
 * realloc, and only what does not fit is left to be refused. */
static PF_HOOK PF_CALL_HOT void *pf_real_after_reallocarray(void *at, size_t count, size_t size)
{
	size_t bytes;

	if (PF_UNLIKELY(__builtin_mul_overflow(count, size, &bytes)))
		return pf_real_reallocarray(at, count, size);
	return pf_real_after_realloc(at, bytes);
}

static PF_HOOK void *every_reallocarray(void *at, size_t count, size_t size)
{
	size_t bytes;

	if (PF_UNLIKELY(__builtin_mul_overflow(count, size, &bytes)))
		return pf_real_reallocarray(at, count, size);
	return every_realloc(at, bytes);
}

/* ---- the tables ---- */

#define HOOKS_ALLOCATING(X)                                                                        \
	X(malloc)                                                                                  \
	X(calloc)                                                                                  \
	X(realloc)                                                                                 \
	X(reallocarray)                                                                            \
	X(reallocf)                                                                                \
	X(reallocarr)                                                                              \
	X(posix_memalign)                                                                          \
	X(aligned_alloc)                                                                           \
	X(_aligned_malloc)                                                                         \
	X(memalign)                                                                                \
	X(valloc)                                                                                  \
	X(pvalloc)

/* The last of the tables: a library's calls of its own operator new are not the program's. */
#define HOOKS_NEW(X)                                                                               \
	X(_Znwm)                                                                                   \
	X(_Znam)                                                                                   \
	X(_ZnwmRKSt9nothrow_t)                                                                     \
	X(_ZnamRKSt9nothrow_t)                                                                     \
	X(_ZnwmSt11align_val_t)                                                                    \
	X(_ZnamSt11align_val_t)                                                                    \
	X(_ZnwmSt11align_val_tRKSt9nothrow_t)                                                      \
	X(_ZnamSt11align_val_tRKSt9nothrow_t)

#define HOOKS_FREEING(X)                                                                           \
	X(free)                                                                                    \
	X(free_sized)                                                                              \
	X(free_aligned_sized)                                                                      \
	X(cfree)                                                                                   \
	X(vfree)                                                                                   \
	X(_ZdlPv)                                                                                  \
	X(_ZdaPv)                                                                                  \
	X(_ZdlPvm)                                                                                 \
	X(_ZdaPvm)                                                                                 \
	X(_ZdlPvRKSt9nothrow_t)                                                                    \
	X(_ZdaPvRKSt9nothrow_t)                                                                    \
	X(_ZdlPvSt11align_val_t)                                                                   \
	X(_ZdaPvSt11align_val_t)                                                                   \
	X(_ZdlPvmSt11align_val_t)                                                                  \
	X(_ZdaPvmSt11align_val_t)                                                                  \
	X(_ZdlPvSt11align_val_tRKSt9nothrow_t)                                                     \
	X(_ZdaPvSt11align_val_tRKSt9nothrow_t)

static const struct pf_patch counting[] = {HOOKS_FREEING(PF_CALL_COUNT_ROW)
	HOOKS_ALLOCATING(PF_CALL_COUNT_ROW) HOOKS_NEW(PF_CALL_COUNT_ROW)};
static const struct pf_patch every[] = {HOOKS_FREEING(PF_CALL_COUNT_ROW)
	HOOKS_ALLOCATING(PF_CALL_EVERY_ROW) HOOKS_NEW(PF_CALL_EVERY_ROW)};

#define ONE(name) +1
enum { NEW_COUNT = HOOKS_NEW(ONE) };

static struct pf_patch_set set = {.patches = counting,
    .count = PF_COUNT(counting),
    .rest = PF_COUNT(counting) - NEW_COUNT,
    .counts_asking = true};

int pf_heap_hook_on(bool every_block)
{
	int rc;

	/* An allocator's calls of itself are not the program's. In libc, strdup's are. */
	if (pf_real_home() == PF_REAL_HOME_LIBRARY)
		set.skip = pf_real_pointers[PF_REAL_malloc];
	set.skip_rest = pf_real_operators();
	set.told = pf_real_runtime();
	pf_shortcut_make(counting, PF_COUNT(counting), &pf_draw_here);
	set.patches = every_block ? every : counting;
	rc = pf_patch_on(&set);
	return rc == 0 ? pf_heap_direct_on(every_block) : rc;
}

int pf_heap_hook_off(void)
{
	pf_heap_direct_off();
	return pf_patch_off(&set);
}
