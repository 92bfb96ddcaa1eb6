#include "split_frames.h"

#if defined(__x86_64__)
#define FUNCTION(name, ...)                                                                        \
	__asm__(".text\n"                                                                          \
		".p2align 4\n"                                                                     \
		".globl " #name "\n"                                                               \
		".hidden " #name "\n"                                                              \
		".globl " #name "_end\n"                                                           \
		".hidden " #name "_end\n"                                                          \
		".type " #name ", @function\n" #name ":\n"                                         \
		".cfi_startproc\n" __VA_ARGS__ "\n.cfi_endproc\n" #name "_end:\n"                  \
		".size " #name ", . - " #name "\n")

#define PUSH_BP                                                                                    \
	"push %rbp\n"                                                                              \
	".cfi_def_cfa_offset 16\n"                                                                 \
	".cfi_offset rbp, -16\n"                                                                   \
	"mov %rsp, %rbp\n"                                                                         \
	".cfi_def_cfa_register rbp\n"
#define LEAVE                                                                                      \
	"leave\n"                                                                                  \
	".cfi_def_cfa rsp, 8\n"                                                                    \
	".cfi_restore rbp\n"                                                                       \
	"ret"

/* Called through a register, as the call that is left over is the likelier one by its kind. */
FUNCTION(split_leaf, PUSH_BP LEAVE);
FUNCTION(split_litter, PUSH_BP "sub $64, %rsp\n"
			       "lea split_leaf(%rip), %rax\n"
			       "call *%rax\n" LEAVE);

/* mov $34: pause(). The jump is the long one, as between sections. */
FUNCTION(split_part, ".cfi_def_cfa rbp, 16\n"
		     ".cfi_offset rbp, -16\n"
		     "1: mov $34, %eax\n"
		     "syscall\n"
		     "jmp 1b\n");
FUNCTION(split_entry, PUSH_BP "sub $4096, %rsp\n"
			      "and $-64, %rsp\n"
			      ".byte 0xe9\n"
			      ".long split_part - . - 4\n");

FUNCTION(split_caller, "sub $8, %rsp\n"
		       ".cfi_def_cfa_offset 16\n"
		       "call split_litter\n"
		       "call split_entry\n"
		       "add $8, %rsp\n"
		       ".cfi_def_cfa_offset 8\n"
		       "ret");

FUNCTION(split_nap, "push %rbp\n"
		    ".cfi_def_cfa_offset 16\n"
		    ".cfi_offset rbp, -16\n"
		    "xor %ebp, %ebp\n"
		    "1: mov $34, %eax\n"
		    "syscall\n"
		    "jmp 1b\n");

/* The system call is in a function of its own, as libc's are, which leaves the frame pointer alone. */
FUNCTION(split_pause, "1: mov $34, %eax\n"
		      "syscall\n"
		      "jmp 1b\n");
FUNCTION(split_doze, PUSH_BP "sub $32, %rsp\n"
			     "call split_pause\n" LEAVE);

void split_caller_function(void) __asm__("split_caller");

__attribute__((noinline)) void split_stand(void)
{
	split_caller_function();
	__asm__ volatile("");
}
#endif
