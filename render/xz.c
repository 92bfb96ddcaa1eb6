#include "render/xz.h"
#include "base/memory.h"

#include <errno.h>
#include <lzma.h>

#ifdef PF_SMALL
enum { STEP_BYTES = 16 };
#else
enum { STEP_BYTES = 64 * 1024 };
#endif

/* What the decoder needs beside the dictionary. */
enum { DECODER_BYTES = 1024 * 1024 };

static void *take(void *unused, size_t count, size_t size)
{
	return pf_memory_new(count, size);
}

static void give(void *unused, void *block)
{
	pf_memory_free(block);
}

static int decode_step(lzma_stream *z, struct pf_buf *out, size_t room_left)
{
	/* One byte more than allowed, so that too much is seen. */
	size_t step = room_left < STEP_BYTES ? room_left + 1 : STEP_BYTES;
	char *room = pf_buf_room(out, step);
	int rc;

	if (!room)
		return LZMA_MEM_ERROR;
	z->next_out = (uint8_t *)room;
	z->avail_out = step;
	rc = lzma_code(z, LZMA_FINISH);
	step -= z->avail_out;
	if (step > room_left)
		return LZMA_MEMLIMIT_ERROR;
	out->length += step;
	return rc;
}

int pf_xz_unpack(struct pf_buf *out, const void *bytes, size_t length, size_t limit)
{
	static const lzma_allocator allocator = {.alloc = take, .free = give};
	lzma_stream z = LZMA_STREAM_INIT;
	size_t start = out->length;
	int rc;

	z.allocator = &allocator;
	rc = lzma_stream_decoder(&z, (uint64_t)limit + DECODER_BYTES, 0);
	z.next_in = bytes;
	z.avail_in = length;
	while (rc == LZMA_OK)
		rc = decode_step(&z, out, limit - (out->length - start));
	lzma_end(&z);
	switch (rc) {
	case LZMA_STREAM_END:
		return 0;
	case LZMA_MEM_ERROR:
		return -ENOMEM;
	case LZMA_MEMLIMIT_ERROR:
		return -EFBIG;
	}
	return -EINVAL;
}
