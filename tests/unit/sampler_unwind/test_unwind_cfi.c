/* Back end B where things are not as usual: other stacks, no code, no notes, no end. */
#include "base/profile.h"
#include "sampler/unwind.h"
#include "sampling.h"

#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include <cmocka.h>

enum { MAX = 1000, PAGE = 4096 };

static uint64_t pcs[MAX];
static uint32_t count;
static enum pf_unwind_end end;

static void walk(const struct pf_unwind_regs *regs, uint32_t max)
{
	struct pf_unwind_memory memory;

	pf_unwind_bounds(regs->value[PF_REG_SP], &memory);
	count = pf_unwind_cfi(regs, &memory, pcs, max, &end);
}

static __attribute__((noinline)) void walk_here(uint32_t max)
{
	struct pf_unwind_regs regs;

	pf_unwind_from_here(&regs);
	walk(&regs, max);
}

/* libgcc knows functions by their notes; what has none is short. */
static bool is_in(uint64_t pc, const void *function)
{
	const void *start = _Unwind_FindEnclosingFunction((void *)pc);

	return start ? start == function : pc - (uintptr_t)function < 64;
}

static int find(const void *function)
{
	for (uint32_t i = 0; i < count; i++) {
		if (is_in(pcs[i], function))
			return (int)i;
	}
	return -1;
}

/* ---- depth ---- */

static __attribute__((noinline)) uint32_t recurse(uint32_t depth, uint32_t max)
{
	volatile uint32_t keep = depth;

	if (depth > 0)
		return recurse(depth - 1, max) + keep;
	walk_here(max);
	return keep;
}

static void a_stack_that_just_fits_is_complete(void **state)
{
	uint32_t all;

	recurse(100, MAX);
	assert_int_equal(end, PF_UNWIND_ROOT);
	all = count;
	recurse(100, all);
	assert_int_equal(end, PF_UNWIND_ROOT);
	assert_int_equal(count, all);
	recurse(100, all - 1);
	assert_int_equal(end, PF_UNWIND_TRUNCATED);
	assert_int_equal(count, all - 1);
	recurse(100, 0);
	assert_int_equal(end, PF_UNWIND_TRUNCATED);
	assert_int_equal(count, 0);
}

/* ---- jumps to where no code is ---- */

static sigjmp_buf back;

static void on_fault(int number, siginfo_t *info, void *context)
{
	struct pf_unwind_regs regs;

	pf_unwind_from_context(&regs, context);
	walk(&regs, MAX);
	siglongjmp(back, 1);
}

static __attribute__((noinline)) void call_nowhere(void (*volatile nowhere)(void))
{
	nowhere();
	pcs[0] = 0; /* not a tail call */
}

static void catch_fault(int number, void (*volatile nowhere)(void))
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO}, old;

	sigaction(number, &action, &old);
	if (sigsetjmp(back, 1) == 0)
		call_nowhere(nowhere);
	sigaction(number, &old, NULL);
}

static void a_jump_to_null_is_its_caller_s(void **state)
{
	catch_fault(SIGSEGV, NULL);
	assert_int_equal(find(call_nowhere), 0); /* address 0 is no frame */
	assert_true(find(a_jump_to_null_is_its_caller_s) > 0);
	assert_int_equal(end, PF_UNWIND_ROOT);
}

static void a_jump_to_nothing_is_a_frame_and_then_its_caller_s(void **state)
{
	void *gone = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(gone, PAGE);
	catch_fault(SIGSEGV, (void (*)(void))gone);
	assert_true(pcs[0] == (uintptr_t)gone);
	assert_int_equal(find(call_nowhere), 1);
	assert_int_equal(end, PF_UNWIND_ROOT);
}

/* ---- other stacks ---- */

static void on_alternate(int number)
{
	walk_here(MAX);
	pcs[MAX - 1] = 0;
}

static __attribute__((noinline)) void raise_it(void)
{
	raise(SIGUSR1);
	pcs[MAX - 1] = 0;
}

static void from_an_alternate_stack_back_to_the_thread_s_own(void **state)
{
	struct sigaction action = {.sa_handler = on_alternate, .sa_flags = SA_ONSTACK};
	stack_t stack = {.ss_sp = malloc(64 * 1024), .ss_size = 64 * 1024}, old;

	sigaltstack(&stack, &old);
	sigaction(SIGUSR1, &action, NULL);
	raise_it();
	assert_true(find(on_alternate) >= 0);
	assert_true(find(raise_it) > find(on_alternate));
	assert_int_equal(end, PF_UNWIND_ROOT);
	sigaltstack(&old, NULL);
	free(stack.ss_sp);
}

static void on_overflow(int number, siginfo_t *info, void *context)
{
	on_fault(number, info, context);
}

static volatile bool for_ever = true;

static __attribute__((noinline)) int overflow(volatile char *above)
{
	volatile char room[1000];

	room[0] = 1;
	if (!for_ever)
		return 0;
	return overflow(room) + room[0] + above[0];
}

static void *run_overflow(void *arg)
{
	struct sigaction action = {
	    .sa_sigaction = on_overflow, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	stack_t stack = {.ss_sp = malloc(64 * 1024), .ss_size = 64 * 1024}, old_stack;
	struct sigaction old;
	char nothing = 0;

	sigaltstack(&stack, &old_stack);
	sigaction(SIGSEGV, &action, &old);
	if (sigsetjmp(back, 1) == 0)
		overflow(&nothing);
	sigaction(SIGSEGV, &old, NULL);
	sigaltstack(&old_stack, NULL);
	free(stack.ss_sp);
	return NULL;
}

static void an_overflown_stack_is_all_there(void **state)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 * 1024);
	pthread_create(&thread, &attr, run_overflow, NULL);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attr);
	assert_int_equal(end, PF_UNWIND_ROOT);
	assert_true(count > 50);
	assert_true(is_in(pcs[50], overflow));
	assert_true(find(run_overflow) > 50);
}

static ucontext_t here, fiber;

static __attribute__((noinline)) void run_fiber(void)
{
	walk_here(MAX);
	swapcontext(&fiber, &here);
}

static void a_fiber_ends_as_one(void **state)
{
	size_t size = 16 * 1024;
	char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	getcontext(&fiber);
	fiber.uc_stack.ss_sp = stack;
	fiber.uc_stack.ss_size = size;
	makecontext(&fiber, run_fiber, 0);
	swapcontext(&here, &fiber);
	assert_true(find(run_fiber) > 0);
	assert_int_equal(end, PF_UNWIND_FIBER);
	assert_true(pf_unwind_marker(end) == PF_PC_FIBER);
	munmap(stack, size);
}

/* As coroutine libraries do it: a stack with a function's address on it and rubbish above. */
void switch_to(uint64_t **save, uint64_t *to);
__asm__(".text\n"
	".type switch_to, @function\n"
	"switch_to:\n"
	"	.cfi_startproc\n"
	"	push %rbp\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	.cfi_rel_offset rbp, 0\n"
	"	mov %rsp, (%rdi)\n"
	"	mov %rsi, %rsp\n"
	"	pop %rbp\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	.cfi_restore rbp\n"
	"	ret\n"
	"	.cfi_endproc\n");

static uint64_t *main_sp, *coroutine_sp;

static __attribute__((noinline)) void run_coroutine(void)
{
	walk_here(MAX);
	switch_to(&coroutine_sp, main_sp);
}

static void rubbish_above_a_coroutine_is_no_frame(void **state)
{
	static const uint64_t rubbish[] = {0x1234, 0xdeadbeefdeadbeef, 0x7ffffffff000, 5};
	size_t size = 16 * 1024;
	char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t *top = (uint64_t *)(void *)(stack + size);

	for (size_t i = 0; i < PF_COUNT(rubbish); i++) {
		top[-1] = rubbish[i];
		top[-2] = (uintptr_t)run_coroutine;
		top[-3] = rubbish[i];
		switch_to(&main_sp, top - 3);
		assert_true(is_in(pcs[1], run_coroutine));
		assert_int_equal(count, 2);
		assert_int_equal(end, PF_UNWIND_FIBER);
	}
	munmap(stack, size);
}

/* ---- code without notes ---- */

/* push rbp; mov rbp,rsp; sub rsp,16; call *rdi; leave; ret */
static const uint8_t with_pointer[] = {
    0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x10, 0xff, 0xd7, 0xc9, 0xc3};
/* sub rsp,24; call *rdi; add rsp,24; ret */
static const uint8_t without_pointer[] = {
    0x48, 0x83, 0xec, 0x18, 0xff, 0xd7, 0x48, 0x83, 0xc4, 0x18, 0xc3};
/* push rbp; mov rbp,rsp; mov rax,rdi; mov rdi,rsi; call *rax; pop rbp; ret */
static const uint8_t passing_on[] = {
    0x55, 0x48, 0x89, 0xe5, 0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0xff, 0xd0, 0x5d, 0xc3};

static char *make_code(void)
{
	char *code = mmap(
	    NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memcpy(code, with_pointer, sizeof(with_pointer));
	memcpy(code + 64, without_pointer, sizeof(without_pointer));
	memcpy(code + 128, passing_on, sizeof(passing_on));
	return code;
}

static __attribute__((noinline)) void from_code(void)
{
	walk_here(MAX);
	pcs[MAX - 1] = 0;
}

static __attribute__((noinline)) void run_code(const char *code, void (*down)(void))
{
	((void (*)(void (*)(void)))(uintptr_t)code)(down);
	pcs[MAX - 1] = 0;
}

static __attribute__((noinline)) void run_two(char *code, void (*down)(void))
{
	((void (*)(char *, void (*)(void)))(uintptr_t)(code + 128))(code, down);
	pcs[MAX - 1] = 0;
}

static void code_made_at_run_time_is_left_by_its_frame_pointers(void **state)
{
	char *code = make_code();

	run_code(code, from_code);
	assert_int_equal(end, PF_UNWIND_ROOT);
	assert_int_equal(find(code) + 1, find(run_code));
	/* Two of them in a row. */
	run_two(code, from_code);
	assert_int_equal(end, PF_UNWIND_ROOT);
	assert_true(pcs[2] - (uintptr_t)code < 64);
	assert_true(pcs[3] - (uintptr_t)code - 128 < 64);
	assert_int_equal(find(run_two), 4);
	munmap(code, PAGE);
}

static void code_without_either_is_shown_and_marked(void **state)
{
	char *code = make_code();

	run_code(code + 64, from_code);
	assert_int_equal(find(code + 64), 2);
	/* rbp belongs to some frame further up: the frames between are missing, or it is the end. It is
	 * never a frame that is none. */
	assert_true(end == PF_UNWIND_NO_INFO || end == PF_UNWIND_ROOT);
	for (uint32_t i = 3; i < count; i++)
		assert_true(dladdr((void *)pcs[i], &(Dl_info){0}) != 0);
	munmap(code, PAGE);
}

/* lld writes no notes for its PLT. */
static void a_stub_without_notes_belongs_to_the_call_of_it(void **state)
{
	enum { STUB = 256, CALLER = 320 };
	char *code = make_code();
	int32_t distance = STUB - (CALLER + 5);
	uint64_t stack[4] = {(uintptr_t)code + CALLER + 5, 7, 0, 0};
	struct pf_unwind_memory memory = {
	    .low = (uintptr_t)stack, .high = (uintptr_t)stack + sizeof(stack)};
	struct pf_unwind_regs regs = {.known = ~0ull};

	code[CALLER] = (char)0xe8; /* call STUB */
	memcpy(code + CALLER + 1, &distance, sizeof(distance));
	regs.value[PF_REG_SP] = (uintptr_t)stack;
	regs.value[PF_REG_BP] = (uintptr_t)&stack[2];
	regs.value[PF_REG_PC] = (uintptr_t)code + STUB + 6;
	count = pf_unwind_cfi(&regs, &memory, pcs, MAX, &end);
	assert_int_equal(count, 2);
	assert_true(pcs[0] == (uintptr_t)code + STUB + 6);
	assert_true(pcs[1] == (uintptr_t)code + CALLER + 4);
	assert_int_equal(end, PF_UNWIND_ROOT);
	/* Another function's return address on the top is not believed. */
	regs.value[PF_REG_PC] = (uintptr_t)code + STUB + 100;
	count = pf_unwind_cfi(&regs, &memory, pcs, MAX, &end);
	assert_int_equal(count, 1);
	munmap(code, PAGE);
}

extern const char needs_bp[];
__asm__(".text\n"
	".hidden needs_bp\n"
	"needs_bp:\n"
	"	.cfi_startproc\n"
	"	.cfi_def_cfa rbp, 16\n"
	"	nop\n"
	"	.cfi_endproc\n");

static void registers_that_are_not_known_end_the_stack_where_they_are_needed(void **state)
{
	struct pf_unwind_memory memory;
	struct pf_unwind_regs regs;

	pf_unwind_from_here(&regs);
	pf_unwind_bounds(regs.value[PF_REG_SP], &memory);
	count = pf_unwind_cfi(&regs, &memory, pcs, MAX, &end);
	assert_int_equal(end, PF_UNWIND_ROOT);
	regs.value[PF_REG_PC] = (uintptr_t)needs_bp;
	regs.pc_is_return = false;
	regs.known = PF_REG_BIT(PF_REG_PC) | PF_REG_BIT(PF_REG_SP);
	count = pf_unwind_cfi(&regs, &memory, pcs, MAX, &end);
	assert_int_equal(count, 1);
	assert_int_equal(end, PF_UNWIND_UNKNOWN_REGISTER);
}

/* ---- modules that come and go ---- */

static uint32_t in_module(void)
{
	walk_here(MAX);
	return count;
}

static void a_module_that_is_being_closed_ends_the_stack(void **state)
{
	void *module = dlopen(getenv("PF_PLUGIN_MODULE"), RTLD_NOW | RTLD_LOCAL);
	uint32_t (*call)(uint32_t(*)(void)) = dlsym(module, "plugin_call");
	uint32_t all;

	pf_unwind_close_begin();
	call(in_module);
	pf_unwind_close_end();
	assert_int_equal(end, PF_UNWIND_CLOSING);
	assert_true(pcs[count - 1] - (uintptr_t)call < 100); /* that frame is shown */
	all = call(in_module);
	assert_int_equal(end, PF_UNWIND_ROOT);
	assert_true(all > count - 1);
	/* A row in the cache does not count when its module may have gone. */
	pf_unwind_close_begin();
	call(in_module);
	assert_int_equal(end, PF_UNWIND_ROOT); /* not yet closed: the row is right */
	pf_unwind_close_end();
	pf_unwind_close_begin();
	call(in_module);
	pf_unwind_close_end();
	assert_int_equal(end, PF_UNWIND_CLOSING);
	dlclose(module);
}

/* What a dump of another thread sees when that thread has gone on: the copy of its stack leads into a
 * module that is not there any more. */
static char copied_stack[16 * PAGE];
static struct pf_unwind_regs copied_regs;
static struct pf_unwind_memory copied_memory;

static uint32_t copy_in_module(void)
{
	pf_unwind_from_here(&copied_regs);
	pf_unwind_bounds(copied_regs.value[PF_REG_SP], &copied_memory);
	memcpy(copied_stack, (void *)copied_memory.low, copied_memory.high - copied_memory.low);
	copied_memory.copy = copied_stack;
	return 0;
}

static void *make_copy(void *arg)
{
	void *module = dlopen(getenv("PF_PLUGIN_MODULE"), RTLD_NOW | RTLD_LOCAL);
	uint32_t (*call)(uint32_t(*)(void)) = dlsym(module, "plugin_call");

	call(copy_in_module);
	count = pf_unwind_cfi(&copied_regs, &copied_memory, pcs, MAX, &end);
	assert_int_equal(end, PF_UNWIND_ROOT);
	assert_true(pcs[1] - (uintptr_t)call < 100);
	dlclose(module);
	return NULL;
}

static void a_copied_stack_outlives_its_modules(void **state)
{
	pthread_attr_t attr;
	pthread_t thread;
	uint32_t before;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, sizeof(copied_stack));
	pthread_create(&thread, &attr, make_copy, NULL);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attr);
	before = count;
	pf_unwind_flush();
	count = pf_unwind_cfi(&copied_regs, &copied_memory, pcs, MAX, &end);
	assert_int_equal(end, PF_UNWIND_NO_INFO);
	assert_true(count < before);
}

static int set_up(void **state)
{
	sampling_in_thread(pf_unwind_init);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_stack_that_just_fits_is_complete),
	    cmocka_unit_test(a_jump_to_null_is_its_caller_s),
	    cmocka_unit_test(a_jump_to_nothing_is_a_frame_and_then_its_caller_s),
	    cmocka_unit_test(from_an_alternate_stack_back_to_the_thread_s_own),
	    cmocka_unit_test(an_overflown_stack_is_all_there),
	    cmocka_unit_test(a_fiber_ends_as_one),
	    cmocka_unit_test(rubbish_above_a_coroutine_is_no_frame),
	    cmocka_unit_test(code_made_at_run_time_is_left_by_its_frame_pointers),
	    cmocka_unit_test(code_without_either_is_shown_and_marked),
	    cmocka_unit_test(a_stub_without_notes_belongs_to_the_call_of_it),
	    cmocka_unit_test(registers_that_are_not_known_end_the_stack_where_they_are_needed),
	    cmocka_unit_test(a_module_that_is_being_closed_ends_the_stack),
	    cmocka_unit_test(a_copied_stack_outlives_its_modules),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
