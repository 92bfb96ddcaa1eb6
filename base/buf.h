/* A growing run of bytes whose errors stick: write without looking, ask once at the end.
 *
 * After the first failure every call does nothing, so a renderer needs no error path of its own.
 * Ordinary threads of ours only (memory.h).
 */
#pragma once
#include "base/mark.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pf_buf {
	char *at;
	size_t length;
	size_t capacity;
	int error; /* 0 or the first -errno */
};

#define PF_BUF_INIT                                                                                \
	{                                                                                          \
		0                                                                                  \
	}

void pf_buf_finish(struct pf_buf *buf); /* frees, zeroes; PF_SCOPED(pf_buf) calls it */
void pf_buf_clear(struct pf_buf *buf);  /* length 0, error forgotten, memory kept */

void pf_buf_add(struct pf_buf *buf, const void *bytes, size_t length);
void pf_buf_str(struct pf_buf *buf, const char *text);
void pf_buf_char(struct pf_buf *buf, char c);
void pf_buf_printf(struct pf_buf *buf, const char *format, ...) PF_PRINTF(2, 3);
void pf_buf_vprintf(struct pf_buf *buf, const char *format, va_list args) PF_PRINTF(2, 0);
/* How long the control character is that `text` begins with: a byte below space or DEL 1, one of the
 * second set (0x80 to 0x9F, CSI among them) 2 in UTF-8 and 1 as a bare byte; 0: none. */
size_t pf_buf_control(const char *text);
/* How long the character is that `text` begins with: a sequence of UTF-8, or 1. Whoever looks for
 * control characters goes by these, for within a sequence such bytes mean nothing. */
size_t pf_buf_character(const char *text);
/* Text from outside (thread names, symbols) for a terminal: control characters become '?'. */
void pf_buf_plain(struct pf_buf *buf, const char *text);
/* And so does every byte that is no UTF-8. */
void pf_buf_plain_utf8(struct pf_buf *buf, const char *text);
void pf_buf_fail(struct pf_buf *buf, int error); /* make -errno stick */

/* Room for `more` bytes behind length, or NULL with the error set. The caller then adds to
 * `length` what it wrote. */
char *pf_buf_room(struct pf_buf *buf, size_t more);

/* All of it into a file: 0 or -errno. */
int pf_buf_write(const struct pf_buf *buf, int fd);

/* The text, ended by a NUL that is not counted; "" after an error. */
const char *pf_buf_text(struct pf_buf *buf);

/* Grow *items (of `size` bytes each) so that `need` fit: 0 or -ENOMEM, nothing changed. */
int pf_vec_reserve(void **items, size_t *capacity, size_t size, size_t need);
void pf_vec_free(void *items, size_t capacity, size_t size);

#define PF_SCOPED(type) __attribute__((cleanup(type##_finish))) struct type
