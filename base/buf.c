#include "base/buf.h"
#include "base/memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifdef PF_SMALL
enum { FIRST_BYTES = 1, FIRST_ITEMS = 1 };
#else
enum { FIRST_BYTES = 4096, FIRST_ITEMS = 64 };
#endif

int pf_vec_reserve(void **items, size_t *capacity, size_t size, size_t need)
{
	size_t want = *capacity ? *capacity : FIRST_ITEMS;
	size_t bytes;
	void *grown;

	if (need <= *capacity)
		return 0;
	while (want < need)
		if (__builtin_mul_overflow(want, 2, &want))
			return -ENOMEM;
	if (__builtin_mul_overflow(want, size, &bytes))
		return -ENOMEM;
	grown = pf_memory_resize(*items, *capacity * size, bytes);
	if (!grown)
		return -ENOMEM;
	*items = grown;
	*capacity = want;
	return 0;
}

void pf_vec_free(void *items, size_t capacity, size_t size)
{
	pf_memory_release(items, capacity * size);
}

void pf_buf_finish(struct pf_buf *buf)
{
	pf_memory_release(buf->at, buf->capacity);
	*buf = (struct pf_buf)PF_BUF_INIT;
}

void pf_buf_clear(struct pf_buf *buf)
{
	buf->length = 0;
	buf->error = 0;
}

void pf_buf_fail(struct pf_buf *buf, int error)
{
	if (buf->error == 0)
		buf->error = error;
}

char *pf_buf_room(struct pf_buf *buf, size_t more)
{
	size_t need;
	size_t want = buf->capacity ? buf->capacity : FIRST_BYTES;
	char *grown;

	if (buf->error)
		return NULL;
	if (__builtin_add_overflow(buf->length, more, &need))
		goto no_memory;
	/* Room for nothing is room, too: never NULL without an error. */
	if (buf->at && need <= buf->capacity)
		return buf->at + buf->length;
	while (want < need)
		if (__builtin_mul_overflow(want, 2, &want))
			goto no_memory;
	grown = pf_memory_resize(buf->at, buf->capacity, want);
	if (!grown)
		goto no_memory;
	buf->at = grown;
	buf->capacity = want;
	return buf->at + buf->length;

no_memory:
	pf_buf_fail(buf, -ENOMEM);
	return NULL;
}

void pf_buf_add(struct pf_buf *buf, const void *bytes, size_t length)
{
	char *room;

	if (length == 0)
		return;
	room = pf_buf_room(buf, length);
	if (!room)
		return;
	memcpy(room, bytes, length);
	buf->length += length;
}

void pf_buf_str(struct pf_buf *buf, const char *text)
{
	pf_buf_add(buf, text, strlen(text));
}

void pf_buf_char(struct pf_buf *buf, char c)
{
	pf_buf_add(buf, &c, 1);
}

size_t pf_buf_control(const char *text)
{
	unsigned char first = (unsigned char)text[0];
	unsigned char second = first ? (unsigned char)text[1] : 0;

	if (first == 0xc2 && second >= 0x80 && second < 0xa0)
		return 2;
	return (first && first < 0x20) || (first >= 0x7f && first < 0xa0) ? 1 : 0;
}

size_t pf_buf_character(const char *text)
{
	unsigned char first = (unsigned char)text[0];
	size_t length = first < 0xc2   ? 1
			: first < 0xe0 ? 2
			: first < 0xf0 ? 3
			: first < 0xf5 ? 4
				       : 1;

	for (size_t i = 1; i < length; i++)
		if (((unsigned char)text[i] & 0xc0) != 0x80)
			return 1;
	return length;
}

static void add_plain(struct pf_buf *buf, const char *text, bool only_utf8)
{
	while (*text) {
		size_t length = pf_buf_character(text);
		bool stray = length == 1 && (unsigned char)*text >= 0x80;

		if (pf_buf_control(text) || (only_utf8 && stray))
			pf_buf_char(buf, '?');
		else
			pf_buf_add(buf, text, length);
		text += length;
	}
}

void pf_buf_plain(struct pf_buf *buf, const char *text)
{
	add_plain(buf, text, false);
}

void pf_buf_plain_utf8(struct pf_buf *buf, const char *text)
{
	add_plain(buf, text, true);
}

void pf_buf_vprintf(struct pf_buf *buf, const char *format, va_list args)
{
	va_list again;
	int length;
	char *room;

	va_copy(again, args);
	length = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (length < 0) {
		pf_buf_fail(buf, -EINVAL);
		return;
	}
	room = pf_buf_room(buf, (size_t)length + 1);
	if (!room)
		return;
	vsnprintf(room, (size_t)length + 1, format, args);
	buf->length += (size_t)length;
}

void pf_buf_printf(struct pf_buf *buf, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	pf_buf_vprintf(buf, format, args);
	va_end(args);
}

int pf_buf_write(const struct pf_buf *buf, int fd)
{
	size_t at = 0;

	while (!buf->error && at < buf->length) {
		ssize_t n = write(fd, buf->at + at, buf->length - at);

		if (n < 0 && errno != EINTR)
			return -errno;
		at += n < 0 ? 0 : (size_t)n;
	}
	return buf->error;
}

const char *pf_buf_text(struct pf_buf *buf)
{
	char *room = pf_buf_room(buf, 1);

	if (!room)
		return "";
	*room = '\0';
	return buf->at;
}
