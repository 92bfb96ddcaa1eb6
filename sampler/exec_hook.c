#include "sampler/exec_hook.h"
#include "base/birth.h"
#include "base/mark.h"
#include "sampler/gate.h"
#include "sampler/patch.h"
#include "sampler/real.h"

#include <stddef.h>

#define EXECS(X)                                                                                   \
	X(execve) X(execv) X(execvp) X(execvpe) X(execl) X(execle) X(execlp) X(fexecve) X(execveat)

/* Each keeps the registers that arguments are passed in, and jumps: so it need not know them. */
/* clang-format off */
#if defined(__x86_64__)
#define WAIT_THEN_JUMP(name)                                                                       \
	"pushq %rax\n.cfi_adjust_cfa_offset 8\n"                                                   \
	"pushq %rdi\n.cfi_adjust_cfa_offset 8\n"                                                   \
	"pushq %rsi\n.cfi_adjust_cfa_offset 8\n"                                                   \
	"pushq %rdx\n.cfi_adjust_cfa_offset 8\n"                                                   \
	"pushq %rcx\n.cfi_adjust_cfa_offset 8\n"                                                   \
	"pushq %r8\n.cfi_adjust_cfa_offset 8\n"                                                    \
	"pushq %r9\n.cfi_adjust_cfa_offset 8\n"                                                    \
	"call pf_birth_exec_comes\n"                                                               \
	"popq %r9\n.cfi_adjust_cfa_offset -8\n"                                                    \
	"popq %r8\n.cfi_adjust_cfa_offset -8\n"                                                    \
	"popq %rcx\n.cfi_adjust_cfa_offset -8\n"                                                   \
	"popq %rdx\n.cfi_adjust_cfa_offset -8\n"                                                   \
	"popq %rsi\n.cfi_adjust_cfa_offset -8\n"                                                   \
	"popq %rdi\n.cfi_adjust_cfa_offset -8\n"                                                   \
	"popq %rax\n.cfi_adjust_cfa_offset -8\n"                                                   \
	"jmp *pf_exec_hook_" #name "(%rip)\n"
#elif defined(__aarch64__)
#define WAIT_THEN_JUMP(name)                                                                       \
	"stp x0, x1, [sp, #-80]!\n.cfi_adjust_cfa_offset 80\n"                                     \
	"stp x2, x3, [sp, #16]\n"                                                                  \
	"stp x4, x5, [sp, #32]\n"                                                                  \
	"stp x6, x7, [sp, #48]\n"                                                                  \
	"stp x8, x30, [sp, #64]\n.cfi_rel_offset x30, 72\n"                                        \
	"bl pf_birth_exec_comes\n"                                                                 \
	"ldp x8, x30, [sp, #64]\n.cfi_restore x30\n"                                               \
	"ldp x6, x7, [sp, #48]\n"                                                                  \
	"ldp x4, x5, [sp, #32]\n"                                                                  \
	"ldp x2, x3, [sp, #16]\n"                                                                  \
	"ldp x0, x1, [sp], #80\n.cfi_adjust_cfa_offset -80\n"                                      \
	"adrp x16, pf_exec_hook_" #name "\n"                                                       \
	"ldr x16, [x16, #:lo12:pf_exec_hook_" #name "]\n"                                          \
	"br x16\n"
#endif
/* clang-format on */

/* The pointers and functions are named in the assembler text. */
#define DEFINE(name)                                                                               \
	PF_HIDDEN void *pf_exec_hook_##name;                                                       \
	void pf_real_after_births_##name(void);                                                    \
	__asm__(".pushsection pf_hook, \"ax\", @progbits\n"                                        \
		".globl pf_real_after_births_" #name "\n"                                          \
		".hidden pf_real_after_births_" #name "\n"                                         \
		".type pf_real_after_births_" #name ", @function\n"                                \
		"pf_real_after_births_" #name ":\n"                                                \
		".cfi_startproc\n" WAIT_THEN_JUMP(name) ".cfi_endproc\n"                           \
							".size pf_real_after_births_" #name        \
							", .-pf_real_after_births_" #name "\n"     \
							".popsection\n");

EXECS(DEFINE)

#define PATCH(name) {#name, (void *)pf_real_after_births_##name, &pf_exec_hook_##name, NULL},

static const struct pf_patch patches[] = {EXECS(PATCH)};

static struct pf_patch_set set = {.patches = patches, .count = PF_COUNT(patches)};

void pf_exec_hook_start(void)
{
	static bool done;

	if (!done) {
		pf_gate_enter();
#define FIND(name) pf_exec_hook_##name = pf_real_find(#name);
		EXECS(FIND)
		pf_gate_leave();
		done = true;
		pf_patch_on(&set);
	}
	pf_birth_start();
}
