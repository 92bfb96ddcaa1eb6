/* Call frame information, read right and read broken.
 *
 * Right is tested by test_unwind_rows.c on half a million PCs of others; here are the rows nobody
 * writes, and 300,000 damaged copies of this program's own: none may lead a read out of the segment
 * (the copy ends at a page that is not there).
 */
#include "sampler/unwind_reader.h"
#include "sampler/unwind_row.h"

#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { PAGE = 4096, DAMAGED = 300 * 1000 };

/* Each label's row is checked. */
extern const char row_start[], row_defined[], row_remembered[], row_restored[], row_end[];
__asm__(".text\n"
	".hidden row_start, row_defined, row_remembered, row_restored, row_end\n"
	"row_start:\n"
	"	.cfi_startproc\n"
	"	nop\n"
	"row_defined:\n"
	"	.cfi_def_cfa rbx, 24\n"
	"	.cfi_offset rbp, -4000\n"
	"	.cfi_register r12, rdi\n"
	"	.cfi_undefined r13\n"
	"	.cfi_escape 0x14, 7, 2\n"           /* rsp is CFA - 16 */
	"	.cfi_escape 0x10, 14, 2, 0x76, 8\n" /* r14 at bp + 8 */
	"	.cfi_escape 0x2f, 15, 2\n"          /* r15: the old GNU way, CFA + 16 */
	"	.cfi_escape 0x05, 70, 1\n"          /* a register we have never heard of */
	"	.fill 600, 1, 0x90\n"               /* advance_loc2 */
	"row_remembered:\n"
	"	.cfi_remember_state\n"
	"	.cfi_def_cfa_offset 64\n"
	"	.cfi_same_value r13\n"
	"	.cfi_restore rbp\n"
	"	.fill 100, 1, 0x90\n" /* advance_loc1 */
	"row_restored:\n"
	"	.cfi_restore_state\n"
	"	.fill 70000, 1, 0x90\n" /* advance_loc4 */
	"	.cfi_def_cfa_offset 8\n"
	"	nop\n"
	"row_end:\n"
	"	.cfi_endproc\n"
	"	nop\n");

static struct pf_unwind_frame frame;

static enum pf_unwind_row_found look_up(const char *label, int behind)
{
	uint64_t at = (uintptr_t)label + (uint64_t)(int64_t)behind;
	struct pf_unwind_image image;
	enum pf_unwind_row_found found;

	if (pf_unwind_image_open(&image, at, false) != PF_UNWIND_IMAGE_OK)
		return PF_UNWIND_ROW_NONE;
	found = pf_unwind_row_find(&image, at, &frame);
	pf_unwind_image_close(&image);
	return found;
}

static void expect(uint32_t reg, enum pf_unwind_rule kind, int32_t value)
{
	assert_int_equal(frame.row.reg[reg].kind, kind);
	assert_int_equal(frame.row.reg[reg].value, value);
}

static void expect_cfa(uint32_t reg, int32_t offset)
{
	assert_int_equal(frame.row.cfa.kind, PF_RULE_IS_CFA);
	assert_int_equal(frame.row.cfa_register, reg);
	assert_int_equal(frame.row.cfa.value, offset);
}

static void expect_defined(void)
{
	expect_cfa(3, 24);
	expect(6, PF_RULE_AT_CFA, -4000);
	expect(12, PF_RULE_REGISTER, 5);
	expect(13, PF_RULE_UNDEFINED, 0);
	expect(7, PF_RULE_IS_CFA, -16);
	assert_int_equal(frame.row.reg[14].kind, PF_RULE_AT_EXPRESSION);
	expect(15, PF_RULE_AT_CFA, 16);
	expect(16, PF_RULE_AT_CFA, -8);
}

static void a_row_holds_from_its_instruction_to_the_next(void **state)
{
	assert_int_equal(look_up(row_start, 0), PF_UNWIND_ROW_OK);
	expect_cfa(7, 8);
	expect(6, PF_RULE_SAME, 0);
	expect(16, PF_RULE_AT_CFA, -8);
	assert_int_equal(frame.return_column, 16);
	assert_false(frame.signal);
	assert_int_equal(look_up(row_defined, 0), PF_UNWIND_ROW_OK);
	expect_defined();
	assert_int_equal(look_up(row_remembered, -1), PF_UNWIND_ROW_OK);
	expect_defined();
}

static void a_remembered_row_comes_back(void **state)
{
	assert_int_equal(look_up(row_remembered, 0), PF_UNWIND_ROW_OK);
	expect_cfa(3, 64);
	expect(13, PF_RULE_SAME, 0);
	expect(6, PF_RULE_SAME, 0);
	assert_int_equal(look_up(row_restored, -1), PF_UNWIND_ROW_OK);
	expect_cfa(3, 64);
	assert_int_equal(look_up(row_restored, 0), PF_UNWIND_ROW_OK);
	expect_defined();
	assert_int_equal(look_up(row_end, -2), PF_UNWIND_ROW_OK);
	expect_defined();
	assert_int_equal(look_up(row_end, -1), PF_UNWIND_ROW_OK);
	expect_cfa(3, 8);
}

static void between_functions_there_is_no_row(void **state)
{
	assert_int_equal(look_up(row_end, 0), PF_UNWIND_ROW_NONE);
	assert_int_equal(look_up(NULL, 8), PF_UNWIND_ROW_NONE);
}

static void a_reader_stops_at_its_end(void **state)
{
	static const uint8_t bytes[] = {0x80, 0x80, 0x01, 0x7f, 0xff, 0xff};
	struct pf_unwind_image image = {
	    .low = (uintptr_t)bytes, .high = (uintptr_t)bytes + sizeof(bytes)};
	struct pf_unwind_reader reader;

	pf_unwind_reader_init(&reader, &image, image.low, image.high);
	assert_true(pf_unwind_reader_uleb(&reader) == 1 << 14);
	assert_true(pf_unwind_reader_sleb(&reader) == -1);
	assert_false(reader.failed);
	assert_true(pf_unwind_reader_where(&reader) == image.low + 4);
	pf_unwind_reader_uleb(&reader); /* never ends */
	assert_true(reader.failed);
	assert_false(pf_unwind_reader_more(&reader));
	assert_int_equal(pf_unwind_reader_u8(&reader), 0);
	pf_unwind_reader_init(&reader, &image, image.low, image.high);
	pf_unwind_reader_skip(&reader, 7);
	assert_true(reader.failed);
	pf_unwind_reader_init(&reader, &image, image.low, image.high + 1);
	assert_true(reader.failed);
}

/* This program's own table and notes, copied so that they end where the copy does. */
struct copy {
	uint8_t *at;
	uint64_t size, table;
	const uint8_t *original;
};

static int find_notes(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct copy *copy = arg;
	uint64_t table = 0;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		if (info->dlpi_phdr[i].p_type == PT_GNU_EH_FRAME)
			table = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
	}
	for (int i = 0; i < info->dlpi_phnum; i++) {
		uint64_t low = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;

		if (info->dlpi_phdr[i].p_type == PT_LOAD && table >= low &&
		    table < low + info->dlpi_phdr[i].p_memsz) {
			copy->original = (const uint8_t *)table;
			copy->size = low + info->dlpi_phdr[i].p_memsz - table;
		}
	}
	return 1;
}

static void damage(uint8_t *at, uint64_t size, uint64_t *seed)
{
	for (int i = 0; i < 4; i++) {
		*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
		at[(*seed >> 20) % size] = (uint8_t)(*seed >> 56);
	}
}

static void damaged_notes_are_refused_or_read_but_never_left(void **state)
{
	struct copy copy = {0};
	struct pf_unwind_image image;
	uint64_t seed = 1, found[3] = {0};
	uint32_t count;

	dl_iterate_phdr(find_notes, &copy);
	assert_true(copy.size > 100);
	copy.at = mmap(
	    NULL, copy.size + 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *limit =
	    (uint8_t *)(((uintptr_t)copy.at + copy.size + PAGE) & ~(uintptr_t)(PAGE - 1));

	mprotect(limit, PAGE, PROT_NONE);
	uint8_t *table = (uint8_t *)((uintptr_t)(limit - copy.size) & ~(uintptr_t)7);

	memcpy(&count, copy.original + 8, sizeof(count));
	for (int i = 0; i < DAMAGED; i++) {
		if (i % 50 == 0)
			memcpy(table, copy.original, copy.size);
		damage(table + 12, copy.size - 12, &seed);
		image = (struct pf_unwind_image){.table = (uintptr_t)table,
		    .low = (uintptr_t)table,
		    .high = (uintptr_t)table + copy.size,
		    .map_low = (uintptr_t)table,
		    .map_high = (uintptr_t)table + copy.size,
		    .permanent = true};
		/* The code lies as far from the copied table as it did from the original. */
		int32_t distance;

		memcpy(&distance, table + 12 + 8 * ((seed >> 33) % count), sizeof(distance));
		uint64_t code = (uintptr_t)table + (uint64_t)(int64_t)distance;

		found[pf_unwind_row_find(&image, code + (seed >> 58), &frame)]++;
	}
	print_message("# none %lu, a row %lu, refused %lu\n", found[0], found[1], found[2]);
	assert_true(found[1] > DAMAGED / 10 && found[2] > DAMAGED / 100);
	munmap(copy.at, copy.size + 2 * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_row_holds_from_its_instruction_to_the_next),
	    cmocka_unit_test(a_remembered_row_comes_back),
	    cmocka_unit_test(between_functions_there_is_no_row),
	    cmocka_unit_test(a_reader_stops_at_its_end),
	    cmocka_unit_test(damaged_notes_are_refused_or_read_but_never_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
