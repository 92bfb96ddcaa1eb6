#include "sampler/unwind_reader.h"

PF_SIGSAFE void pf_unwind_reader_init(struct pf_unwind_reader *reader,
    struct pf_unwind_image *image, uint64_t address, uint64_t limit)
{
	reader->image = image;
	reader->failed = limit < address || !pf_unwind_image_reach(image, address, limit - address);
	reader->limit = reader->failed ? address : limit;
	reader->next = address;
	reader->at = reader->end = NULL;
	if (reader->failed || image->copied)
		return;
	reader->at = (const uint8_t *)(uintptr_t)address;
	reader->end = (const uint8_t *)(uintptr_t)limit;
	reader->next = limit;
}

PF_SIGSAFE bool pf_unwind_reader_refill(struct pf_unwind_reader *reader)
{
	uint64_t size = reader->limit - reader->next;

	if (size > PF_UNWIND_WINDOW)
		size = PF_UNWIND_WINDOW;
	if (reader->failed || size == 0 ||
	    !pf_unwind_image_view(reader->image, reader->next, reader->image->window, size)) {
		reader->failed = true;
		return false;
	}
	reader->at = reader->image->window;
	reader->end = reader->at + size;
	reader->next += size;
	return true;
}

PF_SIGSAFE uint64_t pf_unwind_reader_fixed(struct pf_unwind_reader *reader, unsigned size)
{
	uint64_t value = 0;

	if (size == 4 && reader->end - reader->at >= 4) { /* nearly always */
		uint32_t word;

		__builtin_memcpy(&word, reader->at, sizeof(word));
		reader->at += sizeof(word);
		return word;
	}
	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)pf_unwind_reader_u8(reader) << (8 * i);
	return value;
}

PF_SIGSAFE uint64_t pf_unwind_reader_uleb(struct pf_unwind_reader *reader)
{
	uint64_t value = 0;

	for (unsigned shift = 0; pf_unwind_reader_more(reader); shift += 7) {
		uint8_t byte = pf_unwind_reader_u8(reader);

		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
	}
	reader->failed = true;
	return value;
}

PF_SIGSAFE int64_t pf_unwind_reader_sleb(struct pf_unwind_reader *reader)
{
	uint64_t value = 0;

	for (unsigned shift = 0; pf_unwind_reader_more(reader);) {
		uint8_t byte = pf_unwind_reader_u8(reader);

		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
		if (byte & 0x80)
			continue;
		if (shift < 64 && (byte & 0x40))
			value |= ~0ull << shift;
		return (int64_t)value;
	}
	reader->failed = true;
	return (int64_t)value;
}

PF_SIGSAFE void pf_unwind_reader_skip(struct pf_unwind_reader *reader, uint64_t size)
{
	uint64_t at_hand = (uint64_t)(reader->end - reader->at);

	if (size <= at_hand) {
		reader->at += size;
		return;
	}
	size -= at_hand;
	reader->at = reader->end;
	if (size > reader->limit - reader->next)
		reader->failed = true;
	else
		reader->next += size;
}

enum { /* DW_EH_PE_*: how a pointer is written, and what it is relative to */
	ENCODED_ABSOLUTE = 0x00,
	ENCODED_ULEB = 0x01,
	ENCODED_U2 = 0x02,
	ENCODED_U4 = 0x03,
	ENCODED_U8 = 0x04,
	ENCODED_SLEB = 0x09,
	ENCODED_S2 = 0x0a,
	ENCODED_S4 = 0x0b,
	ENCODED_S8 = 0x0c,
	ENCODED_RELATIVE = 0x70,
	ENCODED_TO_ITSELF = 0x10,
};

PF_SIGSAFE uint64_t pf_unwind_reader_pointer(struct pf_unwind_reader *reader, uint8_t encoding)
{
	uint64_t base = 0, format = encoding & 0x0f;

	if ((encoding & ENCODED_RELATIVE) == ENCODED_TO_ITSELF)
		base = pf_unwind_reader_where(reader);
	else if ((encoding & ENCODED_RELATIVE) != 0)
		reader->failed = true; /* to text, data or function: not used where we run */
	if (format == ENCODED_S4)
		return base + (uint64_t)(int64_t)(int32_t)pf_unwind_reader_fixed(reader, 4);
	if (format == ENCODED_ABSOLUTE || format == ENCODED_U8 || format == ENCODED_S8)
		return base + pf_unwind_reader_fixed(reader, 8);
	if (format == ENCODED_U4)
		return base + pf_unwind_reader_fixed(reader, 4);
	if (format == ENCODED_U2)
		return base + pf_unwind_reader_fixed(reader, 2);
	if (format == ENCODED_S2)
		return base + (uint64_t)(int64_t)(int16_t)pf_unwind_reader_fixed(reader, 2);
	if (format == ENCODED_ULEB)
		return base + pf_unwind_reader_uleb(reader);
	if (format == ENCODED_SLEB)
		return base + (uint64_t)pf_unwind_reader_sleb(reader);
	reader->failed = true;
	return 0;
}
