#include "odd_frames.h"

#define FUNCTION(name, ...)                                                                        \
	__asm__(".text\n"                                                                          \
		".p2align 4\n"                                                                     \
		".globl " #name "\n"                                                               \
		".hidden " #name "\n"                                                              \
		".type " #name ", @function\n" #name ":\n"                                         \
		".cfi_startproc\n" __VA_ARGS__ "\n.cfi_endproc\n"                                  \
		".size " #name ", . - " #name "\n")

FUNCTION(odd_by_rbx, "push %rbx\n"
		     ".cfi_adjust_cfa_offset 8\n"
		     ".cfi_rel_offset rbx, 0\n"
		     "mov %rsp, %rbx\n"
		     ".cfi_def_cfa_register rbx\n"
		     "sub $100, %rsp\n"
		     "and $-64, %rsp\n"
		     "call *%rdi\n"
		     "mov %rbx, %rsp\n"
		     ".cfi_def_cfa_register rsp\n"
		     "pop %rbx\n"
		     ".cfi_adjust_cfa_offset -8\n"
		     ".cfi_restore rbx\n"
		     "ret");

/* DW_CFA_def_cfa_expression, 4 bytes: breg7 0, deref, plus_uconst 8 */
FUNCTION(odd_by_expression, "mov %rsp, %rax\n"
			    ".cfi_def_cfa_register rax\n"
			    "sub $200, %rsp\n"
			    "and $-64, %rsp\n"
			    "mov %rax, (%rsp)\n"
			    ".cfi_escape 0x0f, 5, 0x77, 0, 0x06, 0x23, 8\n"
			    "call *%rdi\n"
			    "mov (%rsp), %rsp\n"
			    ".cfi_def_cfa rsp, 8\n"
			    "ret");

FUNCTION(odd_return_in_register, "push %r12\n"
				 ".cfi_adjust_cfa_offset 8\n"
				 ".cfi_rel_offset r12, 0\n"
				 "push %rbx\n"
				 ".cfi_adjust_cfa_offset 8\n"
				 ".cfi_rel_offset rbx, 0\n"
				 "mov 16(%rsp), %r12\n"
				 ".cfi_register rip, r12\n"
				 "movq $0, 16(%rsp)\n"
				 "mov %r12, %rbx\n"
				 ".cfi_register rip, rbx\n"
				 "sub $8, %rsp\n"
				 ".cfi_adjust_cfa_offset 8\n"
				 "call *%rdi\n"
				 "add $8, %rsp\n"
				 ".cfi_adjust_cfa_offset -8\n"
				 "mov %rbx, 16(%rsp)\n"
				 ".cfi_offset rip, -8\n"
				 "pop %rbx\n"
				 ".cfi_adjust_cfa_offset -8\n"
				 ".cfi_restore rbx\n"
				 "pop %r12\n"
				 ".cfi_adjust_cfa_offset -8\n"
				 ".cfi_restore r12\n"
				 "ret");

FUNCTION(odd_bp_in_register, "push %r13\n"
			     ".cfi_adjust_cfa_offset 8\n"
			     ".cfi_rel_offset r13, 0\n"
			     "mov %rbp, %r13\n"
			     ".cfi_register rbp, r13\n"
			     "xor %ebp, %ebp\n"
			     "call *%rdi\n"
			     "mov %r13, %rbp\n"
			     ".cfi_same_value rbp\n"
			     "pop %r13\n"
			     ".cfi_adjust_cfa_offset -8\n"
			     ".cfi_restore r13\n"
			     "ret");

/* The slot holds rbp - 5: DW_CFA_val_expression of register 6: the CFA is on the machine's stack;
 * lit16 minus deref lit5 plus. */
FUNCTION(odd_computed, "push %rbp\n"
		       ".cfi_adjust_cfa_offset 8\n"
		       ".cfi_rel_offset rbp, 0\n"
		       "subq $5, (%rsp)\n"
		       ".cfi_escape 0x16, 6, 5, 0x40, 0x1c, 0x06, 0x35, 0x22\n"
		       "xor %ebp, %ebp\n"
		       "call *%rdi\n"
		       "addq $5, (%rsp)\n"
		       ".cfi_rel_offset rbp, 0\n"
		       "pop %rbp\n"
		       ".cfi_adjust_cfa_offset -8\n"
		       ".cfi_restore rbp\n"
		       "ret");

FUNCTION(odd_large, "sub $40008, %rsp\n"
		    ".cfi_adjust_cfa_offset 40008\n"
		    "call *%rdi\n"
		    "add $40008, %rsp\n"
		    ".cfi_adjust_cfa_offset -40008\n"
		    "ret");
