/* Every single instruction: prologues, epilogues, stubs, the dynamic loader's trampoline, the vdso,
 * exceptions.
 *
 * The processor's trap flag interrupts a function after each instruction. What is right is known
 * without any unwinder: a shadow stack is kept from what the instructions do. A word pushed that is
 * the address behind the instruction is a call; sp above it again is its return; a pushed address of
 * the kernel's trampoline is a signal. B must show that stack, frame for frame, and then go on to the
 * root; A is asked too, and is never right where B is not.
 *
 * The right answer: B wrong nowhere, but for nine instructions of longjmp and for those of libgcc
 * that overwrite what was saved before they land (uw_install_context): one of two hundred.
 */
#include "odd_frames.h"
#include "sampler/unwind.h"
#include "sampling.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

enum { MAX = 200, SHOWN = 10, CALL_BYTES_MIN = 2, CALL_BYTES_MAX = 7, SYSCALL_BYTES = 2 };

/* Calls the function with the trap flag set. */
void run_stepped(void (*function)(void));
extern const char run_stepped_end[];
__asm__(".text\n"
	".globl run_stepped\n"
	".type run_stepped, @function\n"
	"run_stepped:\n"
	"	.cfi_startproc\n"
	"	subq $8, %rsp\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	pushfq\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	orq $0x100, (%rsp)\n"
	"	popfq\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	call *%rdi\n"
	"	pushfq\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	andq $-257, (%rsp)\n"
	"	popfq\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	addq $8, %rsp\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size run_stepped, . - run_stepped\n"
	"run_stepped_end:\n");

struct call {
	uint64_t sp;   /* where the return address is */
	uint64_t look; /* what a walk must show for it */
};

static struct {
	struct call calls[MAX]; /* the shadow stack, outermost first */
	uint32_t count;
	uint64_t pc, sp; /* one instruction ago */
} shadow;

static struct {
	uint32_t steps, right, rooted, only_a, neither, a_wrong, shown;
	uint64_t wrong_pc[SHOWN];
} tally;

static volatile double sink;

static void push_call(uint64_t sp, uint64_t look)
{
	if (shadow.count == MAX)
		abort();
	shadow.calls[shadow.count++] = (struct call){sp, look};
}

static bool is_trampoline(uint64_t pc)
{
	static const char code[] = {0x48, (char)0xc7, (char)0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};

	return pc > 0x1000 && pc >> 47 == 0 && memcmp((const void *)pc, code, sizeof(code)) == 0;
}

/* What the last instruction did to the stack of calls. */
static void follow(uint64_t pc, uint64_t sp)
{
	uint64_t top = *(const uint64_t *)sp, before = shadow.sp;

	while (shadow.count > 0 && shadow.calls[shadow.count - 1].sp < sp)
		shadow.count--;
	if (shadow.pc == 0) /* the first trap comes behind run_stepped's call */
		push_call(sp, top - 1);
	else if (sp == before - 8 &&
		 top - shadow.pc - CALL_BYTES_MIN <= CALL_BYTES_MAX - CALL_BYTES_MIN && pc != top)
		push_call(sp, top - 1);
	/* A signal, behind the system call that raised it: its frame lies below, the trampoline's
	 * address is at its foot. */
	else if (sp < before - 300 && pc - shadow.pc > 16 && is_trampoline(top)) {
		push_call(before - 1, shadow.pc + SYSCALL_BYTES);
		push_call(sp, top);
	}
	shadow.pc = pc;
	shadow.sp = sp;
}

/* Is it the shadow stack, with run_stepped below it, down to a root? */
static bool is_right(uint64_t pc, const uint64_t *pcs, uint32_t count, enum pf_unwind_end end)
{
	uint64_t low = (uintptr_t)run_stepped, high = (uintptr_t)run_stepped_end;
	uint32_t last = shadow.count;

	if (end != PF_UNWIND_ROOT || count < last + 1 || pcs[0] != pc)
		return false;
	for (uint32_t i = 0; i < last; i++) {
		if (pcs[i + 1] != shadow.calls[last - 1 - i].look)
			return false;
	}
	return pcs[last] >= low && pcs[last] < high;
}

/* At least that: down to a root, through run_stepped. */
static bool is_rooted(const uint64_t *pcs, uint32_t count, enum pf_unwind_end end)
{
	uint64_t low = (uintptr_t)run_stepped, high = (uintptr_t)run_stepped_end;

	for (uint32_t i = 0; i < count && end == PF_UNWIND_ROOT; i++) {
		if (pcs[i] >= low && pcs[i] < high)
			return true;
	}
	return false;
}

static void on_trap(int number, siginfo_t *info, void *context)
{
	static uint64_t a[MAX], b[MAX];
	enum pf_unwind_end a_end, b_end;
	struct pf_unwind_memory memory;
	struct pf_unwind_regs regs;
	uint32_t a_count, b_count;
	bool a_right, b_right;
	uint64_t pc;

	pf_unwind_from_context(&regs, context);
	pc = regs.value[PF_REG_PC];
	follow(pc, regs.value[PF_REG_SP]);
	pf_unwind_bounds(regs.value[PF_REG_SP], &memory);
	b_count = pf_unwind_cfi(&regs, &memory, b, MAX, &b_end);
	a_count = pf_unwind_lib(&regs, &memory, a, MAX, &a_end);
	b_right = is_right(pc, b, b_count, b_end);
	a_right = is_right(pc, a, a_count, a_end);
	tally.steps++;
	tally.right += b_right;
	tally.rooted += is_rooted(b, b_count, b_end);
	tally.a_wrong += b_right && !a_right;
	tally.only_a += a_right && !b_right;
	tally.neither += !a_right && !b_right;
	if (!b_right && tally.shown < SHOWN)
		tally.wrong_pc[tally.shown++] = pc;
}

static void step(const char *name, void (*function)(void))
{
	memset(&tally, 0, sizeof(tally));
	memset(&shadow, 0, sizeof(shadow));
	run_stepped(function);
	print_message(
	    "# %s: %u instructions, %u right; %u wrong in both, %u in A alone, %u in B alone\n",
	    name, tally.steps, tally.right, tally.neither, tally.a_wrong, tally.only_a);
	for (uint32_t i = 0; i < tally.shown; i++) {
		Dl_info at = {0};

		dladdr((void *)tally.wrong_pc[i], &at);
		print_message("#   %#lx = %s + %#lx %s\n", tally.wrong_pc[i], at.dli_fname,
		    tally.wrong_pc[i] - (uintptr_t)at.dli_fbase, at.dli_sname ? at.dli_sname : "");
	}
	assert_int_equal(tally.only_a, 0);
}

static void check(const char *name, void (*function)(void))
{
	step(name, function);
	assert_int_equal(tally.right, tally.steps);
}

static int by_value(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void do_sort(void)
{
	int values[] = {5, 3, 9, 1, 7};

	qsort(values, 5, sizeof(values[0]), by_value);
	sink += values[0];
}

static void do_library(void)
{
	char text[100];
	char *volatile small = malloc(100), *volatile large = malloc(100 * 1000);
	char *volatile mapped = calloc(3, 1 << 20);

	do_sort();
	snprintf(text, sizeof(text), "%d %s %g", 5, "text", 2.5);
	sink += strtod(text, NULL) + (double)strlen(text);
	memset(text, text[0], sizeof(text));
	memcpy(text, text + 50, 50);
	sink += text[10];
	free(small);
	free(large);
	free(mapped);
}

static void library_calls_and_callbacks(void **state)
{
	check("library", do_library);
}

static void do_frames(void)
{
	bool stop = true;

	work_o2(12, &stop);
	work_o0(12, &stop);
	work_os(12, &stop);
	work_fp(12, &stop);
}

static void frames_of_every_shape(void **state)
{
	check("frames", do_frames);
}

static void do_work(void)
{
	bool stop = true;

	work_fp(7, &stop);
}

static void do_odd_by_register(void)
{
	odd_by_rbx(do_work);
}

static void do_odd_by_expression(void)
{
	odd_by_expression(do_odd_by_register);
}

static void do_odd_return(void)
{
	odd_return_in_register(do_odd_by_expression);
}

static void do_odd_bp(void)
{
	odd_bp_in_register(do_odd_return);
}

static void do_odd_computed(void)
{
	odd_computed(do_odd_bp);
}

static void do_odd(void)
{
	odd_large(do_odd_computed);
}

static void frames_that_compilers_seldom_make(void **state)
{
	check("odd", do_odd);
}

/* The return address waits in a register while parent and child share the stack, so the shadow takes
 * it for returned. The child is stepped as well, and counts in the same memory. */
static void do_vfork(void)
{
	pid_t child = vfork();

	if (child == 0)
		_exit(0);
	waitpid(child, NULL, 0);
}

static void a_vfork(void **state)
{
	step("vfork", do_vfork);
	assert_int_equal(tally.rooted, tally.steps);
}

static void do_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	sink += (double)now.tv_nsec;
}

static void the_vdso(void **state)
{
	check("vdso", do_clock);
}

/* The module binds lazily, so its calls go through the dynamic loader the first time. */
static void (*lazy_run)(void);

static void calls_bound_at_first_use(void **state)
{
	check("lazy", lazy_run);
	assert_true(tally.steps > 500);
	check("bound", lazy_run);
}

static void do_jump(void)
{
	jmp_buf back;

	if (setjmp(back) == 0)
		longjmp(back, 1);
}

/* The last instructions of __longjmp have notes that tell of the place it jumps to. */
static void a_long_jump(void **state)
{
	step("longjmp", do_jump);
	assert_true(tally.neither <= 9);
}

/* The kernel clears the flag for a handler: set again before anything else. */
void on_other_signal(int number);
__asm__(".text\n"
	".globl on_other_signal\n"
	".type on_other_signal, @function\n"
	"on_other_signal:\n"
	"	.cfi_startproc\n"
	"	pushfq\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	orq $0x100, (%rsp)\n"
	"	popfq\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	jmp handle_stepped\n"
	"	.cfi_endproc\n"
	".size on_other_signal, . - on_other_signal\n");

__attribute__((used)) void handle_stepped(int number);
void handle_stepped(int number)
{
	do_sort();
	sink += number;
}

static void do_signal(void)
{
	raise(SIGUSR2);
}

static void a_signal_and_its_return(void **state)
{
	check("signal", do_signal);
}

static void an_exception(void **state)
{
	step("throw", work_cxx_once);
	assert_true(tally.steps > 10000);
	assert_true(tally.neither < tally.steps / 200);
}

static ucontext_t here, fiber;

static void run_fiber(void)
{
	swapcontext(&fiber, &here);
}

static void do_fiber(void)
{
	static char stack[64 * 1024];

	getcontext(&fiber);
	fiber.uc_stack.ss_sp = stack;
	fiber.uc_stack.ss_size = sizeof(stack);
	makecontext(&fiber, run_fiber, 0);
	swapcontext(&here, &fiber);
}

/* On a second stack the shadow does not hold, and while swapcontext loads registers nothing does: what
 * counts is that each walk comes to an end, and that it is right before and after. */
static void a_fiber(void **state)
{
	step("fiber", do_fiber);
	assert_true(tally.right >= 130);
}

static int set_up(void **state)
{
	struct sigaction trap = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
	struct sigaction other = {.sa_handler = on_other_signal};
	void *module = dlopen(getenv("PF_LAZY_MODULE"), RTLD_LAZY | RTLD_LOCAL);

	sigaction(SIGTRAP, &trap, NULL);
	sigaction(SIGUSR2, &other, NULL);
	if (module)
		lazy_run = (void (*)(void))dlsym(module, "lazy_run");
	sampling_in_thread(pf_unwind_init);
	return module ? pf_unwind_lib_open() : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(library_calls_and_callbacks),
	    cmocka_unit_test(frames_of_every_shape),
	    cmocka_unit_test(frames_that_compilers_seldom_make),
	    cmocka_unit_test(a_vfork),
	    cmocka_unit_test(the_vdso),
	    cmocka_unit_test(calls_bound_at_first_use),
	    cmocka_unit_test(a_long_jump),
	    cmocka_unit_test(a_signal_and_its_return),
	    cmocka_unit_test(an_exception),
	    cmocka_unit_test(a_fiber),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
