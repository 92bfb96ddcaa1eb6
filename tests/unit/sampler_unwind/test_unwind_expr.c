/* Each operation of the expression machine once, and what it refuses. */
#include "sampler/unwind_expr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static uint64_t stack_words[4] = {11, 0x1122334455667788, 33, 44};
static struct pf_unwind_regs regs;
static struct pf_unwind_memory memory;
static uint64_t result;
static enum pf_unwind_end why;

static bool run(const uint8_t *code, size_t size, const uint64_t *first)
{
	struct pf_unwind_image image = {
	    .low = (uintptr_t)code, .high = (uintptr_t)code + size + 1, .permanent = true};
	struct pf_unwind_reader reader;

	regs.known = PF_REG_BIT(PF_REG_SP) | PF_REG_BIT(PF_REG_BP);
	regs.value[PF_REG_SP] = memory.low = (uintptr_t)stack_words;
	memory.high = memory.low + sizeof(stack_words);
	regs.value[PF_REG_BP] = 1000;
	pf_unwind_reader_init(&reader, &image, image.low, image.low + size);
	return pf_unwind_expr_run(&reader, &regs, &memory, first, &result, &why);
}

#define RUN(...) run((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), NULL)
#define GIVES(value, ...)                                                                          \
	do {                                                                                       \
		assert_true(RUN(__VA_ARGS__));                                                     \
		assert_true(result == (uint64_t)(value));                                          \
	} while (0)
#define FAILS(reason, ...)                                                                         \
	do {                                                                                       \
		assert_false(RUN(__VA_ARGS__));                                                    \
		assert_int_equal(why, reason);                                                     \
	} while (0)

static void constants(void **state)
{
	GIVES(0, 0x30);
	GIVES(31, 0x4f);
	GIVES(0xfe, 0x08, 0xfe);
	GIVES(-2, 0x09, 0xfe);
	GIVES(0xfffe, 0x0a, 0xfe, 0xff);
	GIVES(-2, 0x0b, 0xfe, 0xff);
	GIVES(0x80000001, 0x0c, 1, 0, 0, 0x80);
	GIVES(-0x7fffffffll, 0x0d, 1, 0, 0, 0x80);
	GIVES(0x8000000000000001, 0x0e, 1, 0, 0, 0, 0, 0, 0, 0x80);
	GIVES(0x8000000000000001, 0x0f, 1, 0, 0, 0, 0, 0, 0, 0x80);
	GIVES(0x0807060504030201, 0x03, 1, 2, 3, 4, 5, 6, 7, 8);
	GIVES(300, 0x10, 0xac, 0x02);
	GIVES(-128, 0x11, 0x80, 0x7f);
}

static void registers_and_memory(void **state)
{
	GIVES(1000 - 8, 0x76, 0x78);
	GIVES(1000 + 5, 0x92, 6, 5);
	GIVES(11, 0x77, 0, 0x06);
	GIVES(44, 0x77, 24, 0x06);
	GIVES(0x88, 0x77, 8, 0x94, 1);
	GIVES(0x5566, 0x77, 10, 0x94, 2);
	GIVES(0x11223344, 0x77, 12, 0x94, 4);
	GIVES(0x1122334455667788, 0x77, 8, 0x94, 8);
	FAILS(PF_UNWIND_UNKNOWN_REGISTER, 0x70, 0);
	FAILS(PF_UNWIND_UNKNOWN_REGISTER, 0x92, 40, 0);
	FAILS(PF_UNWIND_BAD_MEMORY, 0x77, 32, 0x06);
	FAILS(PF_UNWIND_BAD_MEMORY, 0x30, 0x06);
	FAILS(PF_UNWIND_REFUSED, 0x77, 0, 0x94, 3);
	FAILS(PF_UNWIND_REFUSED, 0x77, 6, 0x94, 4);
}

static void shuffles(void **state)
{
	GIVES(6, 0x33, 0x12, 0x22);                   /* dup */
	GIVES(1, 0x31, 0x32, 0x13);                   /* drop */
	GIVES(1, 0x31, 0x32, 0x14);                   /* over */
	GIVES(3, 0x33, 0x32, 0x31, 0x15, 2);          /* pick */
	GIVES(1, 0x31, 0x32, 0x16, 0x13, 0x13, 0x31); /* swap */
	GIVES((uint64_t)-1, 0x32, 0x31, 0x16, 0x1c);  /* 1 - 2 */
	GIVES(2, 0x31, 0x32, 0x33, 0x17);             /* 3 1 2 */
	GIVES(1, 0x31, 0x32, 0x33, 0x17, 0x13);       /* ... */
	GIVES(3, 0x31, 0x32, 0x33, 0x17, 0x13, 0x13); /* ... */
	FAILS(PF_UNWIND_REFUSED, 0x12);
	FAILS(PF_UNWIND_REFUSED, 0x31, 0x14);
	FAILS(PF_UNWIND_REFUSED, 0x31, 0x15, 1);
	FAILS(PF_UNWIND_REFUSED, 0x13);
}

static void arithmetic(void **state)
{
	GIVES(5, 0x11, 0x7b, 0x19);             /* abs -5 */
	GIVES(-5, 0x35, 0x1f);                  /* neg */
	GIVES(~5ull, 0x35, 0x20);               /* not */
	GIVES(4, 0x36, 0x3c, 0x1a);             /* 6 and 12 */
	GIVES(14, 0x36, 0x3c, 0x21);            /* or */
	GIVES(10, 0x36, 0x3c, 0x27);            /* xor */
	GIVES(18, 0x36, 0x3c, 0x22);            /* plus */
	GIVES(-6, 0x36, 0x3c, 0x1c);            /* minus */
	GIVES(72, 0x36, 0x3c, 0x1e);            /* mul */
	GIVES(-2, 0x11, 0x7b, 0x32, 0x1b);      /* -5 / 2 */
	GIVES(5, 0x11, 0x7b, 0x11, 0x7f, 0x1b); /* -5 / -1 */
	GIVES(3, 0x4b, 0x34, 0x1d);             /* 27 % 4 */
	GIVES(306, 0x36, 0x23, 0xac, 0x02);     /* plus_uconst */
	GIVES(24, 0x33, 0x33, 0x24);            /* shl */
	GIVES(0, 0x33, 0x08, 64, 0x24);         /* too far */
	GIVES(1ull << 60, 0x11, 0x7f, 0x33, 0x25, 0x08, 60, 0x25, 0x08, 60, 0x24);
	GIVES(-1, 0x11, 0x7b, 0x08, 99, 0x26);      /* shra */
	FAILS(PF_UNWIND_REFUSED, 0x31, 0x30, 0x1b); /* by zero */
	FAILS(PF_UNWIND_REFUSED, 0x31, 0x30, 0x1d);
}

static void comparisons(void **state)
{
	GIVES(1, 0x35, 0x35, 0x29);
	GIVES(0, 0x35, 0x35, 0x2e);
	GIVES(1, 0x35, 0x11, 0x7f, 0x2a); /* 5 >= -1 */
	GIVES(1, 0x35, 0x11, 0x7f, 0x2b);
	GIVES(0, 0x35, 0x11, 0x7f, 0x2c);
	GIVES(0, 0x35, 0x11, 0x7f, 0x2d);
}

static void branches(void **state)
{
	GIVES(7, 0x37, 0x2f, 1, 0, 0x31);           /* skip over lit1 */
	GIVES(7, 0x37, 0x31, 0x28, 1, 0, 0x31);     /* bra taken */
	GIVES(1, 0x37, 0x30, 0x28, 1, 0, 0x31);     /* and not */
	GIVES(7, 0x37, 0x96);                       /* nop */
	FAILS(PF_UNWIND_REFUSED, 0x37, 0x2f, 9, 0); /* out of the code */
	FAILS(PF_UNWIND_REFUSED, 0x2f, 0xfc, 0xff); /* in front of it */
	FAILS(PF_UNWIND_REFUSED, 0x2f, 0xfd, 0xff); /* for ever */
}

static void limits(void **state)
{
	uint8_t many[17];
	uint64_t cfa = 5000;

	memset(many, 0x31, sizeof(many));
	assert_true(run(many, 16, NULL));
	assert_false(run(many, 17, NULL));
	assert_int_equal(why, PF_UNWIND_REFUSED);
	assert_false(run(many, 16, &cfa));
	assert_true(run((const uint8_t[]){0x23, 8}, 2, &cfa));
	assert_true(result == 5008);
	assert_false(run(many, 0, NULL)); /* nothing on the stack at the end */
	FAILS(PF_UNWIND_REFUSED, 0x50);   /* a register's name is no value */
	FAILS(PF_UNWIND_REFUSED, 0x0c, 1);
	FAILS(PF_UNWIND_REFUSED, 0xff);
}

/* The PLT's: sp + 8, and 8 more once the stub has pushed. */
static void the_plt_s_own(void **state)
{
	static const uint8_t plt[] = {
	    0x77, 8, 0x92, 16, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22};
	struct pf_unwind_image image = {.low = (uintptr_t)plt, .high = (uintptr_t)plt + 100};
	struct pf_unwind_reader reader;

	for (uint64_t pc = 0x1000; pc < 0x1010; pc++) {
		regs.known = PF_REG_BIT(PF_REG_SP) | PF_REG_BIT(PF_REG_PC);
		regs.value[PF_REG_SP] = 0x500;
		regs.value[PF_REG_PC] = pc;
		pf_unwind_reader_init(&reader, &image, image.low, image.low + sizeof(plt));
		assert_true(pf_unwind_expr_run(&reader, &regs, &memory, NULL, &result, &why));
		assert_true(result == (pc < 0x100b ? 0x508 : 0x510));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(constants),
	    cmocka_unit_test(registers_and_memory),
	    cmocka_unit_test(shuffles),
	    cmocka_unit_test(arithmetic),
	    cmocka_unit_test(comparisons),
	    cmocka_unit_test(branches),
	    cmocka_unit_test(limits),
	    cmocka_unit_test(the_plt_s_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
