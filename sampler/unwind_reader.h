/* Unwind reader: a run of bytes of a module, front to back.
 *
 * Past the end everything reads as 0 and `failed` says so: loops end, and one look at the end is
 * enough. Inside the unwinder only; all of it PF_SIGSAFE.
 */
#pragma once
#include "sampler/unwind_image.h"

struct pf_unwind_reader {
	struct pf_unwind_image *image;
	const uint8_t *at, *end; /* the bytes at hand */
	uint64_t next, limit;    /* address of what comes after `end`; of the end of the run */
	bool failed;
};

/* [address, limit), which must lie in one segment; else `failed` at once. */
void pf_unwind_reader_init(struct pf_unwind_reader *reader, struct pf_unwind_image *image,
    uint64_t address, uint64_t limit);
/* More bytes at hand? */
bool pf_unwind_reader_refill(struct pf_unwind_reader *reader);

/* Address of the next byte. */
PF_INLINE uint64_t pf_unwind_reader_where(const struct pf_unwind_reader *reader)
{
	return reader->next - (uint64_t)(reader->end - reader->at);
}

PF_INLINE bool pf_unwind_reader_more(struct pf_unwind_reader *reader)
{
	return !reader->failed && (reader->at < reader->end || reader->next < reader->limit);
}

PF_INLINE uint8_t pf_unwind_reader_u8(struct pf_unwind_reader *reader)
{
	if (PF_UNLIKELY(reader->at == reader->end) && !pf_unwind_reader_refill(reader))
		return 0;
	return *reader->at++;
}

/* `size` bytes, little endian. */
uint64_t pf_unwind_reader_fixed(struct pf_unwind_reader *reader, unsigned size);
uint64_t pf_unwind_reader_uleb(struct pf_unwind_reader *reader);
int64_t pf_unwind_reader_sleb(struct pf_unwind_reader *reader);
void pf_unwind_reader_skip(struct pf_unwind_reader *reader, uint64_t size);

/* A pointer in one of the DW_EH_PE encodings; `failed` for those nobody uses. */
uint64_t pf_unwind_reader_pointer(struct pf_unwind_reader *reader, uint8_t encoding);
