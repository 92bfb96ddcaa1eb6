/* What is the same on every machine: reading code through the kernel, and where functions begin. */
#include "sampler/callsite.h"
#include "sampler/callsite_function.h"
#include "sampler/callsite_memo.h"
#include "sampler/find_object.h"
#include "sampler/own_memory.h"
#include "sampler/unwind_image.h"
#include "sampler/unwind_row.h"

#include <dlfcn.h>

bool pf_callsite_peek(uint64_t at, void *out, size_t size)
{
	return pf_own_memory_read(out, (const void *)at, size) == (ssize_t)size;
}

/* Read through the kernel, some twenty times: remembered. */
static uint64_t function_in_copied(struct pf_unwind_image *image, uint64_t pc)
{
	struct pf_callsite_memo memo = pf_callsite_memo_of(PF_CALLSITE_FUNCTION, pc, 0);
	int64_t distance;
	uint64_t start;

	if (pf_callsite_memo_get(memo, &distance))
		return pc - (uint64_t)distance;
	start = pf_unwind_row_function(image, pc);
	if (start)
		pf_callsite_memo_set(memo, (int64_t)(pc - start));
	return start;
}

uint64_t pf_callsite_function(uint64_t pc)
{
	struct pf_unwind_image image;
	uint64_t start;

	if (pf_unwind_image_open(&image, pc, true) != PF_UNWIND_IMAGE_OK)
		return 0;
	start = image.copied ? function_in_copied(&image, pc) : pf_unwind_row_function(&image, pc);
	pf_unwind_image_close(&image);
	return start;
}

bool pf_callsite_is_code(uint64_t address)
{
	struct dl_find_object object;

	return pf_find_object(address, &object);
}
