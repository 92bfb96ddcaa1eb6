/* Machine code as compilers write it, byte by byte, and what it returns. */
#include "sampler/throw_message.h"
#include "sampler/throw_what.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#if defined(__x86_64__)

struct shelf {
	uint64_t words[8];
};

static struct shelf shelf = {{10, 11, 12, 13, 14, 15, 16, 17}};

/* The result, or ~0 where it is not known. */
static uint64_t what(const void *code, const void *object)
{
	uint64_t result;

	return pf_throw_what(code, object, &result) ? result : ~0ull;
}

#define CODE(...) ((const uint8_t[]){__VA_ARGS__, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc})

static void members_and_literals_are_read(void **state)
{
	const uint8_t *lea = CODE(0x48, 0x8d, 0x05, 0x04, 0, 0, 0, 0xc3);

	/* mov 0x8(%rdi),%rax; ret; the same behind endbr64; with a wide offset */
	assert_int_equal(what(CODE(0x48, 0x8b, 0x47, 0x08, 0xc3), &shelf), 11);
	assert_int_equal(
	    what(CODE(0xf3, 0x0f, 0x1e, 0xfa, 0x48, 0x8b, 0x47, 0x10, 0xc3), &shelf), 12);
	assert_int_equal(what(CODE(0x48, 0x8b, 0x87, 0x18, 0, 0, 0, 0xc3), &shelf), 13);
	assert_int_equal(what(CODE(0x48, 0x8b, 0x07, 0xc3), &shelf), 10);
	/* lea 0x4(%rip),%rax; mov $0x1234,%eax; lea 0x8(%rdi),%rax */
	assert_int_equal(what(lea, &shelf), (uint64_t)(lea + 7 + 4));
	assert_int_equal(what(CODE(0xb8, 0x34, 0x12, 0, 0, 0xc3), &shelf), 0x1234);
	assert_int_equal(
	    what(CODE(0x48, 0x8d, 0x47, 0x08, 0xc3), &shelf), (uint64_t)&shelf.words[1]);
}

static void code_without_optimisation_is_followed_through_its_frame(void **state)
{
	/* push %rbp; mov %rsp,%rbp; sub $16,%rsp; mov %rdi,-8(%rbp); mov -8(%rbp),%rax;
	 * add $8,%rax; mov %rax,%rdi; call +2; leave; ret; and there: mov (%rdi),%rax; ret */
	assert_int_equal(what(CODE(0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x10, 0x48, 0x89, 0x7d,
				  0xf8, 0x48, 0x8b, 0x45, 0xf8, 0x48, 0x83, 0xc0, 0x08, 0x48, 0x89,
				  0xc7, 0xe8, 2, 0, 0, 0, 0xc9, 0xc3, 0x48, 0x8b, 0x07, 0xc3),
			     &shelf),
	    11);
}

static void thunks_are_followed_to_the_object(void **state)
{
	/* sub $0x10,%rdi; jmp +1; (int3); mov 0x8(%rdi),%rax; ret */
	assert_int_equal(
	    what(CODE(0x48, 0x83, 0xef, 0x10, 0xeb, 1, 0xcc, 0x48, 0x8b, 0x47, 8, 0xc3),
		&shelf.words[3]),
	    12);
}

static void a_pointer_is_followed_only_where_there_is_memory(void **state)
{
	uint64_t behind = 77;
	struct shelf pointing = {{(uint64_t)&behind}};
	const uint8_t *code = CODE(0x48, 0x8b, 0x07, 0x48, 0x8b, 0x00, 0xc3);

	assert_int_equal(what(code, &pointing), 77);
	pointing.words[0] = 0;
	assert_int_equal(what(code, &pointing), ~0ull);
	pointing.words[0] = 0xdead000000000000;
	assert_int_equal(what(code, &pointing), ~0ull);
}

static void whatever_does_more_is_not_known(void **state)
{
	assert_int_equal(what(CODE(0x48, 0x85, 0xff, 0x74, 0x00, 0xc3), &shelf), ~0ull); /* je */
	assert_int_equal(what(CODE(0x0f, 0x05, 0xc3), &shelf), ~0ull);             /* syscall */
	assert_int_equal(what(CODE(0x48, 0x89, 0x47, 0x08, 0xc3), &shelf), ~0ull); /* a store */
	assert_int_equal(what(CODE(0xff, 0xd0, 0xc3), &shelf), ~0ull);             /* call *%rax */
	assert_int_equal(what(CODE(0xc3), &shelf), ~0ull);       /* returns nothing */
	assert_int_equal(what(CODE(0xeb, 0xfe), &shelf), ~0ull); /* for ever */
	assert_int_equal(
	    what(CODE(0xe8, 0xfb, 0xff, 0xff, 0xff), &shelf), ~0ull); /* calls itself */
	assert_int_equal(shelf.words[1], 11);
}

#endif

static void memory_that_is_not_there_cannot_be_read_and_errno_stays(void **state)
{
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(pages, MAP_FAILED);
	assert_int_equal(mprotect(pages + 4096, 4096, PROT_NONE), 0);
	errno = 55;
	assert_true(pf_throw_readable(pages));
	assert_true(pf_throw_readable(pages + 4095));
	assert_false(pf_throw_readable(pages + 4096));
	assert_false(pf_throw_readable(NULL));
	assert_int_equal(errno, 55);
	munmap(pages, 8192);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#if defined(__x86_64__)
		cmocka_unit_test(members_and_literals_are_read),
		cmocka_unit_test(code_without_optimisation_is_followed_through_its_frame),
		cmocka_unit_test(thunks_are_followed_to_the_object),
		cmocka_unit_test(a_pointer_is_followed_only_where_there_is_memory),
		cmocka_unit_test(whatever_does_more_is_not_known),
#endif
		cmocka_unit_test(memory_that_is_not_there_cannot_be_read_and_errno_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
