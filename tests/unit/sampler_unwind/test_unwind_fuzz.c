/* Damaged stacks and registers: a walk ends, shows no frame below the markers, and touches nothing
 * that is not there. A fault ends the test.
 *
 * The right answer: 0 faults of 500,000 walks: 100,000 each with registers that are anything, with one
 * to four words of the stack overwritten, with both, and with damaged copies of
 * a stack, with their own registers and with any.
 */
#include "base/profile.h"
#include "sampler/unwind.h"
#include "sampling.h"

#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { WALKS = 100000, MAX = 500, WORDS_MAX = 600, PAGE = 4096 };
enum { REGISTERS = 1, STACK = 2, COPY = 4 };

static uint64_t seed = 88172645463325252ull;
static char *closed_page,
    *half_page; /* not readable; the first page of two, the second not there */
static uint64_t stack_high;
static uint32_t ends[PF_UNWIND_FIBER + 1], walks;

static uint64_t draw(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static uint64_t somewhere(uint64_t now, uint64_t sp)
{
	static void *(*const code[])(void *, const void *, size_t) = {memcpy, memmove};
	uint64_t size = stack_high - sp;

	switch (draw() % 13) {
	case 0:
		return draw();
	case 1:
		return 0;
	case 2:
		return (uintptr_t)closed_page + draw() % PAGE;
	case 3:
		return (uintptr_t)half_page + draw() % (2 * PAGE);
	case 4:
		return sp + draw() % size;
	case 5:
		return sp + (draw() % size & ~7ull);
	case 6: /* code: of libc, around something */
		return (uintptr_t)code[draw() % 2] + draw() % 65536 - 32768;
	case 7: /* code: of this program */
		return (uintptr_t)somewhere + draw() % 8192 - 4096;
	case 8:
		return now + draw() % 4096 - 2048;
	case 9:
		return stack_high - 8 * (draw() % 16);
	case 10:
		return stack_high + (draw() & 0xffff);
	case 11:
		return 0xffffffffff600000 + (draw() & 0xff);
	default:
		return draw() & 0xffffffff;
	}
}

static void damage_registers(struct pf_unwind_regs *regs)
{
	static const uint32_t which[] = {PF_REG_SP, PF_REG_BP, PF_REG_PC};
	uint64_t sp = regs->value[PF_REG_SP], set = 1 + draw() % 7;

	for (int i = 0; i < 3; i++) {
		if (set & (1ull << i))
			regs->value[which[i]] = somewhere(regs->value[which[i]], sp);
	}
	for (uint32_t reg = 0; reg < PF_REG_COUNT; reg++) {
		if (draw() % 8 == 0)
			regs->value[reg] = somewhere(regs->value[reg], sp);
	}
	if (draw() % 4 == 0)
		regs->known = draw() | PF_REG_BIT(PF_REG_PC) | PF_REG_BIT(PF_REG_SP);
	regs->pc_is_return = draw() % 4 == 0;
}

/* The live stack is not for a sanitizer to judge. */
static __attribute__((noinline, no_sanitize("address"))) void copy_words(
    volatile uint64_t *to, const volatile uint64_t *from, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		to[i] = from[i];
}

static __attribute__((no_sanitize("address"))) void damage_words(
    uint64_t *words, uint64_t count, uint64_t sp)
{
	for (uint64_t n = 1 + draw() % 4; n > 0; n--) {
		uint64_t *word = &words[draw() % count];

		*word = somewhere(*word, sp);
	}
}

static void walk(const ucontext_t *context, int how)
{
	static uint64_t saved[WORDS_MAX], copy[WORDS_MAX], pcs[MAX];
	struct pf_unwind_memory memory;
	struct pf_unwind_regs regs;
	enum pf_unwind_end end;
	uint64_t sp, count;
	uint32_t got;

	pf_unwind_from_context(&regs, context);
	sp = regs.value[PF_REG_SP] & ~7ull;
	count = (stack_high - sp) / 8;
	if (count > WORDS_MAX)
		count = WORDS_MAX;
	copy_words(saved, (uint64_t *)sp, count);
	if (how & STACK)
		damage_words((uint64_t *)sp, count, sp);
	copy_words(copy, (uint64_t *)sp, count);
	if (how & REGISTERS)
		damage_registers(&regs);
	pf_unwind_bounds(regs.value[PF_REG_SP], &memory);
	if (how & COPY)
		memory = (struct pf_unwind_memory){sp, sp + count * 8, (char *)copy, false};
	if (draw() % 16 == 0)
		pf_unwind_flush();
	got = pf_unwind_cfi(&regs, &memory, pcs, MAX, &end);
	copy_words((uint64_t *)sp, saved, count);
	ends[end]++;
	walks++;
	for (uint32_t i = 0; i < got; i++) {
		if (pcs[i] < PF_PC_MARKER_END)
			raise(SIGABRT);
	}
}

static int how_now;

static void on_signal(int number, siginfo_t *info, void *context)
{
	for (int i = 0; i < WALKS; i++)
		walk(context, how_now);
}

static __attribute__((noinline)) int descend(int depth)
{
	volatile int keep = depth;

	if (depth == 0)
		raise(SIGUSR1);
	else
		keep += descend(depth - 1);
	return keep;
}

static void *run(void *arg)
{
	uint64_t here = 0;

	/* Up to this frame and a little of what called it. */
	stack_high = (uintptr_t)&here + 512;
	return descend(20) ? NULL : arg;
}

static void check(int how)
{
	pthread_t thread;

	memset(ends, 0, sizeof(ends));
	walks = 0;
	how_now = how;
	pthread_create(&thread, NULL, run, NULL);
	pthread_join(thread, NULL);
	print_message("# %u walks; ends:", walks);
	for (int i = 0; i <= PF_UNWIND_FIBER; i++)
		print_message(" %u", ends[i]);
	print_message("\n");
	assert_int_equal(walks, WALKS);
}

static void registers_may_be_anything(void **state)
{
	check(REGISTERS);
}

static void words_of_the_stack_may_be_anything(void **state)
{
	check(STACK);
	assert_true(ends[PF_UNWIND_ROOT] > 0 && ends[PF_UNWIND_ROOT] < WALKS);
}

static void both_may_be(void **state)
{
	check(REGISTERS | STACK);
}

static void so_may_a_copy(void **state)
{
	check(STACK | COPY);
	check(STACK | COPY | REGISTERS);
}

static int set_up(void **state)
{
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};

	closed_page = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	half_page =
	    mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(half_page + PAGE, PAGE);
	sigaction(SIGUSR1, &action, NULL);
	sampling_in_thread(pf_unwind_init);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(registers_may_be_anything),
	    cmocka_unit_test(words_of_the_stack_may_be_anything),
	    cmocka_unit_test(both_may_be),
	    cmocka_unit_test(so_may_a_copy),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
