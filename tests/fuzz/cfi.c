/* Call frame information of a module: .eh_frame_hdr and what it leads to, then the expressions of
 * the row that was found. The bytes lie between two pages that are not there. */
#include "fuzz.h"
#include "sampler/unwind_expr.h"
#include "sampler/unwind_reader.h"
#include "sampler/unwind_row.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, ROOM = 16 * PAGE };

/* Always at the same addresses, so that an input means the same in every run. */
#define PLACE ((char *)0x7e0000000000ull)

static char *room(void)
{
	static char *at;

	if (at)
		return at;
	at = mmap(PLACE, ROOM + 2 * PAGE, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (at == MAP_FAILED || mprotect(at + PAGE, ROOM, PROT_READ | PROT_WRITE) != 0)
		abort();
	at += PAGE;
	return at;
}

static void run_expression(struct pf_unwind_image *image, uint64_t address)
{
	static uint64_t stack[64];
	struct pf_unwind_memory memory = {
	    .low = (uintptr_t)stack, .high = (uintptr_t)(stack + PF_COUNT(stack))};
	struct pf_unwind_regs regs = {.known = PF_REG_BIT(PF_REG_SP)};
	struct pf_unwind_reader code;
	enum pf_unwind_end why;
	uint64_t size, out;

	regs.value[PF_REG_SP] = (uintptr_t)stack;
	pf_unwind_reader_init(&code, image, address, image->high);
	size = pf_unwind_reader_uleb(&code);
	address = pf_unwind_reader_where(&code);
	if (size > image->high - address)
		return;
	pf_unwind_reader_init(&code, image, address, address + size);
	pf_unwind_expr_run(&code, &regs, &memory, &regs.value[PF_REG_SP], &out, &why);
}

static void run_expressions(struct pf_unwind_image *image, const struct pf_unwind_frame *frame)
{
	if (frame->row.cfa.kind == PF_RULE_AT_EXPRESSION ||
	    frame->row.cfa.kind == PF_RULE_IS_EXPRESSION)
		run_expression(image, frame->base + (uint64_t)(int64_t)frame->row.cfa.value);
	for (int i = 0; i < PF_REG_COUNT; i++)
		if (frame->row.reg[i].kind == PF_RULE_AT_EXPRESSION ||
		    frame->row.reg[i].kind == PF_RULE_IS_EXPRESSION)
			run_expression(
			    image, frame->base + (uint64_t)(int64_t)frame->row.reg[i].value);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct pf_unwind_image image = {.permanent = true};
	struct pf_unwind_frame frame;

	if (size > ROOM || size < 4)
		return 0;
	/* The end of the bytes is the end of what may be read. */
	image.high = image.map_high = (uintptr_t)room() + ROOM;
	image.low = image.map_low = image.table = image.high - size;
	memcpy((char *)(uintptr_t)image.low, bytes, size);
	/* Code addresses around the table, as the table's own functions are. */
	for (uint64_t at = 0; at < 4096; at += 61)
		if (pf_unwind_row_find(&image, image.low - 2048 + at, &frame) == PF_UNWIND_ROW_OK)
			run_expressions(&image, &frame);
	return 0;
}
