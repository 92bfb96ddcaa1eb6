#include "render/gzip.h"
#include "base/memory.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <zlib.h>

/* 15: the full window; +16: a gzip header and trailer instead of zlib's. */
enum { GZIP_WINDOW = 15 + 16, MEMORY_LEVEL = 8 };

#ifdef PF_SMALL
enum { STEP_BYTES = 16 };
#else
enum { STEP_BYTES = 64 * 1024 };
#endif

struct pf_gzip {
	z_stream stream;
	struct pf_buf *out;
};

static void *take(void *unused, unsigned count, unsigned size)
{
	return pf_memory_new(count, size);
}

static void give(void *unused, void *block)
{
	pf_memory_free(block);
}

struct pf_gzip *pf_gzip_start(struct pf_buf *out)
{
	struct pf_gzip *gzip = calloc(1, sizeof(*gzip));

	if (gzip)
		gzip->stream = (z_stream){.zalloc = take, .zfree = give};
	if (!gzip || deflateInit2(&gzip->stream, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW,
			 MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
		free(gzip);
		pf_buf_fail(out, -ENOMEM);
		return NULL;
	}
	gzip->out = out;
	return gzip;
}

/* Runs deflate until it has eaten its input or, with Z_FINISH, written its end. */
static void deflate_into(struct pf_gzip *gzip, int flush)
{
	z_stream *z = &gzip->stream;
	int rc;

	do {
		char *room = pf_buf_room(gzip->out, STEP_BYTES);

		if (!room)
			return;
		z->next_out = (unsigned char *)room;
		z->avail_out = STEP_BYTES;
		rc = deflate(z, flush);
		gzip->out->length += STEP_BYTES - z->avail_out;
	} while (rc == Z_OK && (flush == Z_FINISH || z->avail_in > 0));
}

void pf_gzip_add(struct pf_gzip *gzip, const void *bytes, size_t length)
{
	const unsigned char *at = bytes;

	while (gzip && length > 0) {
		size_t step = length < INT_MAX ? length : INT_MAX;

		/* zlib does not write through it. */
		gzip->stream.next_in = (unsigned char *)(uintptr_t)at;
		gzip->stream.avail_in = (unsigned)step;
		deflate_into(gzip, Z_NO_FLUSH);
		at += step;
		length -= step;
	}
}

void pf_gzip_end(struct pf_gzip *gzip)
{
	if (!gzip)
		return;
	gzip->stream.avail_in = 0;
	deflate_into(gzip, Z_FINISH);
	deflateEnd(&gzip->stream);
	free(gzip);
}

/* One step of inflate, at most to the limit: zlib's answer, or a -errno. */
static int inflate_step(z_stream *z, struct pf_buf *out, size_t room_left)
{
	/* One byte more than allowed, so that too much is seen. */
	size_t step = room_left < STEP_BYTES ? room_left + 1 : STEP_BYTES;
	char *room = pf_buf_room(out, step);
	int rc;

	if (!room)
		return out->error;
	z->next_out = (unsigned char *)room;
	z->avail_out = (unsigned)step;
	rc = inflate(z, Z_NO_FLUSH);
	step -= z->avail_out;
	if (step > room_left)
		return -EFBIG;
	out->length += step;
	return rc;
}

int pf_gzip_unpack(struct pf_buf *out, const void *bytes, size_t length, size_t limit)
{
	z_stream z = {
	    .next_in = (unsigned char *)(uintptr_t)bytes,
	    .avail_in = (unsigned)length,
	    .zalloc = take,
	    .zfree = give,
	};
	size_t start = out->length;
	int rc;

	if (length > UINT_MAX)
		return -EFBIG;
	if (inflateInit2(&z, GZIP_WINDOW) != Z_OK)
		return -ENOMEM;
	do {
		rc = inflate_step(&z, out, limit - (out->length - start));
		/* Members may follow each other; the end of the last one is the end. */
		if (rc == Z_STREAM_END && z.avail_in > 0 && inflateReset(&z) == Z_OK)
			rc = Z_OK;
	} while (rc == Z_OK);
	inflateEnd(&z);
	if (rc == Z_STREAM_END)
		return 0;
	if (rc == Z_MEM_ERROR)
		return -ENOMEM;
	/* zlib's other codes lie in -6..2; -EFBIG and -ENOMEM are ours. */
	return rc == -EFBIG || rc == -ENOMEM ? rc : -EINVAL;
}

uint32_t pf_gzip_crc(uint32_t crc, const void *bytes, size_t length)
{
	return (uint32_t)crc32_z(crc, bytes, length);
}
