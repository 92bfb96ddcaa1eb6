/* What the heap needs of its neighbours, made simple and exact: a "stack" is one number that the
 * test sets before it allocates. */
#include "tests/unit/sampler_heap/fake.h"
#include "base/mark.h"
#include "base/profile.h"
#include "sampler/allocator.h"
#include "sampler/boehm.h"
#include "sampler/guard.h"
#include "sampler/map.h"
#include "sampler/past_look.h"
#include "sampler/residence.h"
#include "sampler/stack.h"
#include "sampler/thread.h"
#include "sampler/unwind.h"

#include <errno.h>
#include <stddef.h>

enum { STACKS = 256, PC_BASE = 0x10000 };

PF_TLS uint32_t pf_guard_depth;
PF_TLS struct pf_thread *pf_thread_self;
struct pf_allocator fake_allocator = {.name = "fake", .in_use_bytes = 1000, .system_bytes = 1200};
int fake_allocator_rc;
struct pf_residence fake_residence;
static PF_TLS uint32_t here;
static uint64_t pcs[STACKS];

uint32_t fake_closes_begun, fake_closes_ended;

PF_HOOK void pf_unwind_close_begin(void)
{
	fake_closes_begun++;
}

PF_HOOK void pf_unwind_close_end(void)
{
	fake_closes_ended++;
}

PF_HOOK void pf_past_close_begin(void)
{
}

PF_HOOK void pf_past_close_end(void)
{
}

int pf_allocator_look(struct pf_allocator *out)
{
	*out = fake_allocator;
	return fake_allocator_rc;
}

int pf_residence_read(struct pf_residence *out)
{
	*out = fake_residence;
	return 0;
}

void fake_stack(uint32_t id)
{
	here = id;
}

PF_SIGSAFE void pf_stack_expect(void)
{
}

PF_SIGSAFE uint32_t pf_stack_capture_here(void)
{
	return here;
}

uint32_t pf_stack_read(uint32_t id, const uint64_t **out)
{
	pcs[id % STACKS] = PC_BASE + id;
	*out = &pcs[id % STACKS];
	return 1;
}

int pf_map_fill(struct pf_profile *p)
{
	pf_profile_add_mapping(p, PC_BASE, PC_BASE + STACKS, 0, "/fake", "");
	return p->error;
}

/* No program here has Boehm's collector. */
int pf_boehm_collect(struct pf_buf *words, struct pf_wait *wait)
{
	return -ENOENT;
}
