/* Every 7th PC of libc, libstdc++ and libsqlite3: do both back ends read the same notes there?
 *
 * The stack is made up so that the answer shows in the return addresses. Its addresses are those of
 * `region`, a function of nothing but nops whose CFA is bp + 16; each word of it holds the address of
 * another place in the region, no two the same. So
 *
 *   the 1st return address   names the word it was read from: that tells the CFA
 *   the 2nd                  was read at bp + 8 of the caller: that tells how bp was restored
 *
 * The right answer: 0 differences. One thing is explained: from the kernel's trampoline (__restore_rt)
 * a made-up stack leads to a made-up sp, and where that lies above the frame B sees no progress and
 * stops; A does not look. At most two of the PCs are in the trampoline.
 */
#include "sampler/unwind.h"
#include "sampling.h"

#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifdef PF_SMALL /* few modules are remembered as permanent: the others are read by system calls */
enum { STEP = 701 };
#else
enum { STEP = 7 };
#endif
enum { REGION_BYTES = 1 << 20, WORDS = REGION_BYTES / 8, FRAMES = 3, SHOWN = 10 };

__asm__(".text\n"
	".p2align 12\n"
	".type region, @function\n"
	"region:\n"
	"	.cfi_startproc\n"
	"	.cfi_def_cfa %rbp, 16\n"
	"	.cfi_offset %rbp, -16\n"
	"	.fill 1048576, 1, 0x90\n"
	"	.cfi_endproc\n"
	".size region, . - region\n");
extern const char region[];

static uint64_t stack_words[WORDS];
static struct pf_unwind_regs regs;
static struct pf_unwind_memory memory;

/* The low half is read by the first step, and points to the high half; which is a permutation of
 * itself. */
static uint64_t word_at(uint32_t i)
{
	return (uintptr_t)region + REGION_BYTES / 2 + 8 * ((i * 40503u) % (WORDS / 2));
}

static void make_stack(void)
{
	for (uint32_t i = 0; i < WORDS; i++)
		stack_words[i] = word_at(i);
	memory.low = (uintptr_t)region;
	memory.high = memory.low + REGION_BYTES;
	memory.copy = (const char *)stack_words;
	for (uint32_t reg = 0; reg < PF_REG_COUNT; reg++)
		regs.value[reg] = memory.low + 64 * 1024 + reg * 2056;
	regs.value[PF_REG_SP] = memory.low + 32 * 1024;
	regs.known = PF_REG_BIT(PF_REG_COUNT) - 1;
}

struct tally {
	const char *module;
	uint32_t pcs, covered, same, roots, without, backwards, refused, differ;
};

/* How many of the PCs the module's notes speak about, counted without either back end: each entry of
 * the sorted table leads to an FDE of {length, CIE, start and size relative to themselves}. */
static uint32_t count_covered(const char *table, uint64_t low, uint64_t high)
{
	uint32_t count, covered = 0;
	int32_t entry[2], at[2];

	memcpy(&count, table + 8, sizeof(count));
	for (uint32_t i = 0; i < count; i++) {
		memcpy(entry, table + 12 + 8 * i, sizeof(entry));
		memcpy(at, table + entry[1] + 8, sizeof(at));

		uint64_t start = (uintptr_t)table + 8 + (uint64_t)((int64_t)entry[1] + at[0]);

		for (uint64_t pc = start; pc < start + (uint32_t)at[1]; pc++)
			covered += pc >= low && pc < high && (pc - low) % STEP == 0;
	}
	return covered;
}

static void compare(struct tally *t, uint64_t pc)
{
	uint64_t a[FRAMES], b[FRAMES];
	enum pf_unwind_end a_end, b_end;
	uint32_t a_count, b_count;

	regs.value[PF_REG_PC] = pc;
	b_count = pf_unwind_cfi(&regs, &memory, b, FRAMES, &b_end);
	a_count = pf_unwind_lib(&regs, &memory, a, FRAMES, &a_end);
	t->pcs++;
	if (b_end == PF_UNWIND_NO_INFO && b_count == 1) {
		t->without++;
	} else if (b_end == PF_UNWIND_LOOP && b_count == 2 && a_count > 2 && a[1] == b[1]) {
		t->backwards++;
	} else if (b_end == PF_UNWIND_REFUSED) {
		t->refused++;
	} else if (b_count == a_count && memcmp(a, b, a_count * sizeof(*a)) == 0) {
		t->roots += b_end == PF_UNWIND_ROOT;
		t->same++;
	} else if (t->differ++ < SHOWN) {
		print_message("#   %#lx: B %u frames (end %d) %lx %lx, A %u (end %d) %lx %lx\n", pc,
		    b_count, b_end, b_count > 1 ? b[1] : 0, b_count > 2 ? b[2] : 0, a_count, a_end,
		    a_count > 1 ? a[1] : 0, a_count > 2 ? a[2] : 0);
	}
}

static int compare_module(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct tally *t = arg;
	const char *table = NULL;

	if (!strstr(info->dlpi_name, t->module))
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		if (info->dlpi_phdr[i].p_type == PT_GNU_EH_FRAME)
			table = (const char *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
	}
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *phdr = &info->dlpi_phdr[i];

		if (phdr->p_type != PT_LOAD || !(phdr->p_flags & PF_X))
			continue;
		uint64_t low = info->dlpi_addr + phdr->p_vaddr;

		for (uint64_t pc = low; pc < low + phdr->p_memsz; pc += STEP)
			compare(t, pc);
		t->covered += count_covered(table, low, low + phdr->p_memsz);
	}
	return 1;
}

static void check(const char *module, uint32_t backwards_max)
{
	struct tally t = {.module = module};

	dl_iterate_phdr(compare_module, &t);
	print_message("# %s: %u PCs, %u the same (%u roots), %u without notes, %u backwards, "
		      "%u refused, %u differ\n",
	    module, t.pcs, t.same, t.roots, t.without, t.backwards, t.refused, t.differ);
	assert_true(t.backwards <= backwards_max);
	assert_int_equal(t.differ, 0);
	assert_int_equal(t.refused, 0);
	assert_true(t.pcs > 350 * 1000 / STEP);
	assert_int_equal(t.without, t.pcs - t.covered); /* padding, constants */
}

static void libc_reads_the_same(void **state)
{
	check("libc.so", 2);
}

static void libstdcxx_reads_the_same(void **state)
{
	check("libstdc++.so", 0);
}

static void libsqlite3_reads_the_same(void **state)
{
	check("libsqlite3.so", 0);
}

/* Any other: PF_TEST_MODULE=libcrypto.so, with that library in LD_PRELOAD. Hand-written assembly that
 * keeps the old sp on the stack goes backwards often, in a made-up stack. */
static void a_module_by_name_reads_the_same(void **state)
{
	const char *module = getenv("PF_TEST_MODULE");

	if (module)
		check(module, UINT32_MAX);
}

static int set_up(void **state)
{
	make_stack();
	sampling_in_thread(pf_unwind_init);
	return pf_unwind_lib_open();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(libc_reads_the_same),
	    cmocka_unit_test(libstdcxx_reads_the_same),
	    cmocka_unit_test(libsqlite3_reads_the_same),
	    cmocka_unit_test(a_module_by_name_reads_the_same),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
