/* What is the same on every machine: reading code through the kernel, and where functions begin. */
#include "sampler/callsite.h"
#include "sampler/callsite_function.h"
#include "sampler/callsite_memo.h"
#include "sampler/find_object.h"
#include "sampler/own_memory.h"

#include <dlfcn.h>
#include <string.h>

enum { TABLE_READ = 256 };

bool pf_callsite_peek(uint64_t at, void *out, size_t size)
{
	return pf_own_memory_read(out, (const void *)at, size) == (ssize_t)size;
}

/* The binary search table of .eh_frame_hdr, in the one encoding that linkers write. */
struct table_entry {
	int32_t function; /* both relative to the header */
	int32_t fde;
};

struct table_header {
	uint8_t version, frame_encoding, count_encoding, table_encoding;
	int32_t frame;
	uint32_t count;
};

enum { VERSION = 1, PCREL_SDATA4 = 0x1b, UDATA4 = 0x03, DATAREL_SDATA4 = 0x3b };

static bool read_header(uint64_t at, struct table_header *header)
{
	return pf_callsite_peek(at, header, sizeof(*header)) && header->version == VERSION &&
	       header->frame_encoding == PCREL_SDATA4 && header->count_encoding == UDATA4 &&
	       header->table_encoding == DATAREL_SDATA4 && header->count > 0;
}

/* `base` is the header's address. */
static uint64_t search(uint64_t base, uint64_t pc)
{
	struct table_entry entries[TABLE_READ];
	struct table_header header;
	uint64_t table;
	uint32_t low = 0, high;
	int32_t wanted;

	if (!read_header(base, &header))
		return 0;
	table = base + sizeof(header);
	wanted = (int32_t)(pc - base);
	high = header.count;
	while (high - low > TABLE_READ) {
		uint32_t middle = low + (high - low) / 2;

		if (!pf_callsite_peek(table + middle * sizeof(*entries), entries, sizeof(*entries)))
			return 0;
		if (entries[0].function <= wanted)
			low = middle;
		else
			high = middle;
	}
	if (!pf_callsite_peek(
		table + low * sizeof(*entries), entries, (high - low) * sizeof(*entries)))
		return 0;
	for (uint32_t i = high - low; i-- > 0;)
		if (entries[i].function <= wanted)
			return base + (uint64_t)(int64_t)entries[i].function;
	return 0;
}

uint64_t pf_callsite_function(uint64_t pc)
{
	struct pf_callsite_memo memo = pf_callsite_memo_of(PF_CALLSITE_FUNCTION, pc, 0);
	struct dl_find_object object;
	uint64_t start;
	int64_t distance;

	if (!pf_find_object(pc, &object) || !object.dlfo_eh_frame)
		return 0;
	if (pf_callsite_memo_get(memo, &distance))
		return pc - (uint64_t)distance;
	start = search((uint64_t)object.dlfo_eh_frame, pc);
	if (start)
		pf_callsite_memo_set(memo, (int64_t)(pc - start));
	return start;
}

bool pf_callsite_is_code(uint64_t address)
{
	struct dl_find_object object;

	return pf_find_object(address, &object);
}
