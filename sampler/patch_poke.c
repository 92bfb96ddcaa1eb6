#include "sampler/patch_poke.h"
#include "base/lock.h"
#include "base/mark.h"
#include "sampler/gate.h"
#include "sampler/past_look.h"
#include "sampler/real.h"
#include "sampler/unwind.h"

#include <limits.h>

uint32_t pf_patch_poke;

/* Named in the assembler text below. */
PF_HIDDEN void *pf_patch_poke_dlopen, *pf_patch_poke_dlmopen, *pf_patch_poke_dlclose;
PF_HIDDEN void pf_patch_poke_now(void);
void pf_real_after_poke_dlopen(void);
void pf_real_after_poke_dlmopen(void);
int pf_real_around_dlclose(void *handle);

__attribute__((used)) PF_HOOK void pf_patch_poke_now(void)
{
	__atomic_fetch_add(&pf_patch_poke, 1, __ATOMIC_RELEASE);
	pf_futex_wake(&pf_patch_poke, INT_MAX);
}

/* Keeps the (at most three) arguments, says it, and jumps. */
#if defined(__x86_64__)
#define POKE_THEN_JUMP(name)                                                                       \
	__asm__(".pushsection pf_hook, \"ax\", @progbits\n"                                        \
		".globl pf_real_after_poke_" #name "\n"                                            \
		".hidden pf_real_after_poke_" #name "\n"                                           \
		".type pf_real_after_poke_" #name ", @function\n"                                  \
		"pf_real_after_poke_" #name ":\n"                                                  \
		".cfi_startproc\n"                                                                 \
		"pushq %rdi\n.cfi_adjust_cfa_offset 8\n"                                           \
		"pushq %rsi\n.cfi_adjust_cfa_offset 8\n"                                           \
		"pushq %rdx\n.cfi_adjust_cfa_offset 8\n"                                           \
		"call pf_patch_poke_now\n"                                                         \
		"popq %rdx\n.cfi_adjust_cfa_offset -8\n"                                           \
		"popq %rsi\n.cfi_adjust_cfa_offset -8\n"                                           \
		"popq %rdi\n.cfi_adjust_cfa_offset -8\n"                                           \
		"jmp *pf_patch_poke_" #name "(%rip)\n"                                             \
		".cfi_endproc\n"                                                                   \
		".size pf_real_after_poke_" #name ", .-pf_real_after_poke_" #name "\n"             \
		".popsection\n")
#elif defined(__aarch64__)
#define POKE_THEN_JUMP(name)                                                                       \
	__asm__(".pushsection pf_hook, \"ax\", @progbits\n"                                        \
		".globl pf_real_after_poke_" #name "\n"                                            \
		".hidden pf_real_after_poke_" #name "\n"                                           \
		".type pf_real_after_poke_" #name ", @function\n"                                  \
		"pf_real_after_poke_" #name ":\n"                                                  \
		".cfi_startproc\n"                                                                 \
		"stp x0, x1, [sp, #-32]!\n.cfi_adjust_cfa_offset 32\n"                             \
		"stp x2, x30, [sp, #16]\n.cfi_rel_offset x30, 24\n"                                \
		"bl pf_patch_poke_now\n"                                                           \
		"ldp x2, x30, [sp, #16]\n.cfi_restore x30\n"                                       \
		"ldp x0, x1, [sp], #32\n.cfi_adjust_cfa_offset -32\n"                              \
		"adrp x16, pf_patch_poke_" #name "\n"                                              \
		"ldr x16, [x16, #:lo12:pf_patch_poke_" #name "]\n"                                 \
		"br x16\n"                                                                         \
		".cfi_endproc\n"                                                                   \
		".size pf_real_after_poke_" #name ", .-pf_real_after_poke_" #name "\n"             \
		".popsection\n")
#endif

POKE_THEN_JUMP(dlopen);
POKE_THEN_JUMP(dlmopen);

/* dlclose looks at no caller, so it may be wrapped: the unwinder stands aside while a module goes,
 * and what it was is remembered. */
PF_HOOK int pf_real_around_dlclose(void *handle)
{
	int rc;

	pf_patch_poke_now();
	pf_past_close_begin();
	pf_unwind_close_begin();
	rc = ((int (*)(void *))pf_patch_poke_dlclose)(handle);
	pf_unwind_close_end();
	pf_past_close_end();
	return rc;
}

static const struct pf_patch patches[] = {
    {"dlopen", (void *)pf_real_after_poke_dlopen, &pf_patch_poke_dlopen, NULL},
    {"dlmopen", (void *)pf_real_after_poke_dlmopen, &pf_patch_poke_dlmopen, NULL},
    {"dlclose", (void *)pf_real_around_dlclose, &pf_patch_poke_dlclose, NULL},
};

struct pf_patch_set pf_patch_poke_set = {.patches = patches, .count = PF_COUNT(patches)};

void pf_patch_poke_resolve(void)
{
	static int done; /* atomic */

	if (__atomic_load_n(&done, __ATOMIC_ACQUIRE))
		return;
	pf_gate_enter();
	pf_patch_poke_dlopen = pf_real_find("dlopen");
	pf_patch_poke_dlmopen = pf_real_find("dlmopen");
	pf_patch_poke_dlclose = pf_real_find("dlclose");
	pf_gate_leave();
	__atomic_store_n(&done, 1, __ATOMIC_RELEASE);
}
