#include "sampler/map.h"
#include "sampler/patch.h"
#include "sampler/stack.h"
#include "sampler/unwind.h"

#include <errno.h>
#include <string.h>

enum { PLACES = 65536, DEEPEST = 64 };

static struct {
	uint64_t key; /* atomic: the first pc */
	uint32_t count;
	uint64_t pcs[DEEPEST];
} places[PLACES];

uint32_t pf_stack_intern(const uint64_t *pcs, uint32_t count)
{
	uint32_t at = 1 + (uint32_t)(pcs[0] * 0x9e3779b97f4a7c15ull >> 49);

	for (;; at++) {
		uint64_t none = 0;

		if (__atomic_compare_exchange_n(&places[at].key, &none, pcs[0], false,
			__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
			for (uint32_t i = 0; i < count && i < DEEPEST; i++)
				places[at].pcs[i] = pcs[i];
			__atomic_store_n(&places[at].count, count, __ATOMIC_RELEASE);
			return at;
		}
		while (!__atomic_load_n(&places[at].count, __ATOMIC_ACQUIRE))
			;
		if (places[at].count == count &&
		    memcmp(places[at].pcs, pcs, count * sizeof(*pcs)) == 0)
			return at;
	}
}

uint32_t pf_stack_read(uint32_t id, const uint64_t **pcs)
{
	*pcs = places[id].pcs;
	return places[id].count;
}

uint32_t pf_stack_capture_here(void)
{
	uint64_t pc = (uint64_t)__builtin_return_address(0) - 1;

	return pf_stack_intern(&pc, 1);
}

uint32_t pf_stack_capture_context(const ucontext_t *context)
{
	uint64_t pc = (uint64_t)context->uc_mcontext.gregs[REG_RIP];

	return pf_stack_intern(&pc, 1);
}

uint32_t pf_unwind_cfi(const struct pf_unwind_regs *regs, const struct pf_unwind_memory *memory,
    uint64_t *out, uint32_t max, enum pf_unwind_end *end)
{
	out[0] = regs->value[PF_REG_PC];
	*end = PF_UNWIND_ROOT;
	return 1;
}

int pf_unwind_lib_open(void)
{
	return -EOPNOTSUPP;
}

uint32_t pf_unwind_lib(const struct pf_unwind_regs *regs, const struct pf_unwind_memory *memory,
    uint64_t *out, uint32_t max, enum pf_unwind_end *end)
{
	return 0;
}

uint64_t pf_unwind_marker(enum pf_unwind_end end)
{
	return 0;
}

int pf_map_fill(struct pf_profile *p)
{
	return 0;
}

int pf_patch_on(struct pf_patch_set *set)
{
	return 0;
}

int pf_patch_off(struct pf_patch_set *set)
{
	return 0;
}
