/* The heap's profiles, from the books as they are at this moment. */
#include "sampler/heap_profile.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/knob.h"
#include "base/lock.h"
#include "base/loss.h"
#include "sampler/heap.h"
#include "sampler/heap_balance.h"
#include "sampler/heap_book.h"
#include "sampler/heap_name.h"
#include "sampler/heap_site.h"
#include "sampler/map.h"
#include "sampler/release.h"
#include "sampler/stack.h"

#include <errno.h>

/* ---- what all of them have ---- */

static void add_comments(struct pf_profile *out)
{
	static const enum pf_counter losses[] = {PF_COUNTER_HEAP_LOST_TABLE,
	    PF_COUNTER_HEAP_SITES_FULL, PF_COUNTER_HEAP_MISSED_FREES, PF_COUNTER_HEAP_FETCHED,
	    PF_COUNTER_MODULES_LATE, PF_COUNTER_MODULES_UNASKED, PF_COUNTER_PATCH_FOREIGN,
	    PF_COUNTER_PATCH_REFUSED, PF_COUNTER_STACK_OVERFLOW};

	pf_profile_comment(out, "heap_sample_bytes %lld", (long long)out->period);
	pf_loss_comment(out, losses, PF_COUNT(losses));
}

/* ---- when it was looked at: what a block of heap_leaks,captures=N must have outlived ---- */

enum { CAPTURES_KEPT = 64, ONE_CAPTURE_US = 1000000 };

static struct pf_lock lock = PF_LOCK_INIT(PF_LOCK_LEAF);
static uint64_t captured_us[CAPTURES_KEPT]; /* pf_book_clock(); a ring; guarded by lock */
static uint64_t capture_count;              /* ever; guarded by lock */
static int64_t captures_of_ns;              /* the book that they are of; guarded by lock */

/* What is read within a second is one capture: tools open a file twice. */
static void note_capture(void)
{
	uint64_t now_us = pf_book_clock();

	pf_lock_take(&lock);
	if (captures_of_ns != pf_book_opened_ns())
		capture_count = 0;
	captures_of_ns = pf_book_opened_ns();
	if (capture_count == 0 ||
	    now_us > captured_us[(capture_count - 1) % CAPTURES_KEPT] + ONE_CAPTURE_US)
		captured_us[capture_count++ % CAPTURES_KEPT] = now_us;
	pf_lock_give(&lock);
}

int pf_heap_captured_before(int64_t captures, uint64_t *time_us)
{
	int rc = -ENODATA;

	if (captures > CAPTURES_KEPT)
		return -EINVAL;
	pf_lock_take(&lock);
	if (captures_of_ns == pf_book_opened_ns() && (uint64_t)captures <= capture_count) {
		*time_us = captured_us[(capture_count - (uint64_t)captures) % CAPTURES_KEPT];
		rc = 0;
	}
	pf_lock_give(&lock);
	return rc;
}

void pf_heap_profile_fork_child(void)
{
	capture_count = 0;
	pf_lock_reset(&lock);
}

/* ---- begin and end ---- */

/* Who allocates is of interest, not by what: "operator new" would be first in every C++ program.
 * The names of C, C++ (with its allocators, where they are not inlined) and Rust (with what makes its
 * vectors larger); wrappers of a library's or the program's own are not ours to hide. */
static const char allocators[] =
    "(__libc_|je_|mi_|tc_)?(malloc|calloc|realloc|reallocarray|memalign|aligned_alloc|"
    "posix_memalign|valloc|pvalloc)|"
    "operator new(\\[\\])?|"
    "(std::(__1::)?(allocator|allocator_traits|__new_allocator)|__gnu_cxx::new_allocator)<.*>::"
    "allocate|"
    "(__rustc(\\[[0-9a-f]+\\])?::)?__(rust|rdl|rg)_(alloc|alloc_zeroed|realloc)|"
    "alloc::alloc::(alloc|alloc_zeroed|realloc|exchange_malloc|Global::.*)|"
    "<?alloc::raw_vec::.*|"
    "<alloc::alloc::Global( as .*)?>::.*";

int pf_heap_profile_begin(struct pf_profile *out)
{
	if (!pf_heap_enabled())
		return -ENODATA;
	pf_heap_look_for_builtin();
	note_capture();
	out->time_ns = pf_clock_real_ns();
	out->leaf_is_return = true;
	out->drop_frames = allocators;
	pf_profile_set_period(out, "space", "bytes", pf_knob_get(PF_KNOB_HEAP_SAMPLE_BYTES));
	return 0;
}

int pf_heap_profile_end(struct pf_profile *out)
{
	int rc;

	add_comments(out);
	rc = pf_map_fill(out);
	return rc < 0 ? rc : out->error;
}

void pf_heap_profile_add(struct pf_profile *out, uint32_t stack, const int64_t *values)
{
	const uint64_t *pcs;
	uint32_t count = pf_stack_read(stack, &pcs);

	pf_profile_add_sample(out, pcs, count, values);
}

static void add_row(struct pf_profile *out, const struct pf_site_view *view, const int64_t *values)
{
	static const char *const kinds[] = {
	    [PF_SITE_MALLOC] = "malloc", [PF_SITE_MMAP] = "mmap", [PF_SITE_FILE] = "file"};
	const char *thread = pf_name_text(view->key.name);

	pf_heap_profile_add(out, view->key.stack, values);
	if (view->key.class != 0)
		pf_profile_label_num(
		    out, "bytes", (int64_t)pf_site_class_bytes(view->key.class), NULL);
	pf_profile_label_str(out, "kind", kinds[view->key.kind]);
	if (thread)
		pf_profile_label_str(out, "thread", thread);
}

/* ---- heap and allocs ---- */

static void add_site(void *out, const struct pf_site_view *view)
{
	add_row(out, view, view->values);
}

int pf_heap_collect(struct pf_profile *out, const struct pf_query *query, struct pf_wait *wait)
{
	int rc = pf_heap_profile_begin(out);

	if (rc < 0)
		return rc;
	if (query->gc)
		pf_release_memory(true, NULL, wait);
	pf_profile_add_type(out, "alloc_objects", "count");
	pf_profile_add_type(out, "alloc_space", "bytes");
	pf_profile_add_type(out, "inuse_objects", "count");
	pf_profile_add_type(out, "inuse_space", "bytes");
	pf_site_for_each(add_site, out);
	if (query->balance)
		pf_heap_balance(out);
	return pf_heap_profile_end(out);
}

/* ---- heap_peak ---- */

static void add_site_at_peak(void *out, const struct pf_site_view *view)
{
	if (view->values[2])
		add_row(out, view, view->values + 2);
}

int pf_heap_peak_collect(struct pf_profile *out, const struct pf_query *query, struct pf_wait *wait)
{
	int rc = pf_heap_profile_begin(out);

	if (rc < 0)
		return rc;
	if (pf_site_peak_ns() != 0)
		out->time_ns = pf_site_peak_ns();
	pf_profile_add_type(out, "inuse_objects", "count");
	pf_profile_add_type(out, "inuse_space", "bytes");
	pf_site_for_each_at_peak(add_site_at_peak, out);
	return pf_heap_profile_end(out);
}
