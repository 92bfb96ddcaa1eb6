#include "sampler/heap_mmap_hook.h"
#include "base/counter.h"
#include "base/mark.h"
#include "sampler/guard.h"
#include "sampler/heap_draw.h"
#include "sampler/heap_region.h"
#include "sampler/patch.h"
#include "sampler/real.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

enum { PAGE = 4096 };

/* SIZE_MAX where it does not fit, which the kernel refuses. */
PF_INLINE size_t whole_pages(size_t size)
{
	return size > SIZE_MAX - PAGE ? SIZE_MAX : (size + PAGE - 1) & ~(size_t)(PAGE - 1);
}

static PF_HOOK void note(const void *at, size_t size, enum pf_site_kind kind)
{
	uint64_t rate = pf_draw_every(size);

	if (rate == 0)
		return;
	if (!pf_guard_enter()) {
		pf_count(PF_COUNTER_HEAP_LOST_NESTED);
		return;
	}
	pf_region_add(at, size, rate, kind);
	pf_guard_leave();
}

/* What lies in a range that will be somebody else's. Not what is ours: that was never put in. */
static PF_HOOK void take(struct pf_region_taken *taken, const void *at, size_t size)
{
	taken->generation = taken->count = 0;
	if ((uintptr_t)at % PAGE != 0 || size == 0 || !pf_guard_enter())
		return;
	pf_region_take(taken, at, whole_pages(size));
	pf_guard_leave();
}

static PF_HOOK void settle(const struct pf_region_taken *taken, bool done)
{
	if (taken->count == 0 || !pf_guard_enter())
		return;
	if (done)
		pf_region_taken_free(taken);
	else
		pf_region_taken_undo(taken);
	pf_guard_leave();
}

static PF_HOOK void *map(void *wish, size_t size, int protection, int flags, int fd, off_t offset)
{
	struct pf_region_taken replaced = {.count = 0};
	bool replaces = (flags & MAP_FIXED) && !(flags & MAP_FIXED_NOREPLACE);
	void *at;

	if (replaces)
		take(&replaced, wish, size);
	at = mmap(wish, size, protection, flags, fd, offset);
	settle(&replaced, at != MAP_FAILED);
	if (at != MAP_FAILED)
		note(at, whole_pages(size), flags & MAP_ANONYMOUS ? PF_SITE_MMAP : PF_SITE_FILE);
	return at;
}

static PF_HOOK int unmap(void *at, size_t size)
{
	struct pf_region_taken taken;
	int rc;

	take(&taken, at, size);
	rc = munmap(at, size);
	settle(&taken, rc == 0);
	return rc;
}

/* Variadic in its header; each argument is a word in a register. */
static PF_HOOK void *remap(void *from, size_t size, size_t new_size, int flags, void *wish)
{
	struct pf_region_taken left = {.count = 0}, replaced = {.count = 0};
	enum pf_site_kind kind;
	void *to;

	if (!(flags & MREMAP_DONTUNMAP))
		take(&left, from, size);
	if (flags & MREMAP_FIXED)
		take(&replaced, wish, new_size);
	to = mremap(from, size, new_size, flags, wish);
	settle(&left, to != MAP_FAILED);
	settle(&replaced, to != MAP_FAILED);
	if (to == MAP_FAILED)
		return to;
	/* Of one that was not sampled nobody knows what it was. */
	kind = left.count ? pf_site_key(pf_live_site(&left.pieces[0].entry)).kind : PF_SITE_MMAP;
	note(to, whole_pages(new_size), kind);
	return to;
}

/* Our own slots are never patched, so these are the functions behind the hooks. */
static void *real_mmap = (void *)mmap;
static void *real_mmap64 = (void *)mmap64;
static void *real_munmap = (void *)munmap;
static void *real_mremap = (void *)mremap;

static const struct pf_patch patches[] = {
    {"munmap", (void *)unmap, &real_munmap, NULL},
    {"mremap", (void *)remap, &real_mremap, NULL},
    {"mmap", (void *)map, &real_mmap, NULL},
    {"mmap64", (void *)map, &real_mmap64, NULL},
};

static struct pf_patch_set set = {.patches = patches, .count = PF_COUNT(patches)};

int pf_heap_mmap_on(void)
{
	int rc = pf_region_init();

	if (rc < 0)
		return rc;
	if (pf_real_home() == PF_REAL_HOME_LIBRARY)
		set.skip = pf_real_pointers[PF_REAL_malloc];
	set.skip_rest = pf_real_operators(); /* a pool's blocks are counted one by one */
	return pf_patch_on(&set);
}

int pf_heap_mmap_off(void)
{
	return pf_patch_off(&set);
}
