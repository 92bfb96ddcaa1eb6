#include "render/jit.h"
#include "base/buf.h"
#include "base/sort.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A large node or java program writes some 100,000 lines, 10 MB. */
#ifdef PF_SMALL
enum { FILE_BYTES_MAX = 4096, PIECE_BYTES = 16, ENTRIES_MAX = 64 };
#else
enum { FILE_BYTES_MAX = 64 << 20, PIECE_BYTES = 256 * 1024, ENTRIES_MAX = 1 << 20 };
#endif
enum { NAME_BYTES_MAX = 4096, NESTED_MAX = 64 };

struct entry {
	uint64_t start, size;
	uint32_t order; /* in the file: later ones replace earlier ones */
	uint32_t name;  /* into names */
};

struct pf_jit {
	char *path;
	struct stat id; /* of the file that was read */
	off_t read_to;
	struct pf_buf rest;    /* a line whose end is not there yet */
	struct entry *entries; /* sorted by start, then by order */
	size_t count, capacity;
	struct pf_buf names; /* each ended by a NUL */
};

struct pf_jit *pf_jit_create(const char *path)
{
	struct pf_jit *jit = calloc(1, sizeof(*jit));

	if (!jit)
		return NULL;
	jit->path = strdup(path);
	if (jit->path)
		return jit;
	free(jit);
	return NULL;
}

static void forget(struct pf_jit *jit)
{
	pf_buf_clear(&jit->rest);
	pf_buf_clear(&jit->names);
	jit->count = 0;
	jit->read_to = 0;
}

void pf_jit_destroy(struct pf_jit *jit)
{
	if (!jit)
		return;
	pf_buf_finish(&jit->rest);
	pf_buf_finish(&jit->names);
	pf_vec_free(jit->entries, jit->capacity, sizeof(*jit->entries));
	free(jit->path);
	free(jit);
}

/* ---- reading ---- */

/* A hexadecimal number, with or without 0x, and the blanks behind it. */
static bool take_number(const char **text, uint64_t *out)
{
	char *end;

	if (!isxdigit((unsigned char)**text))
		return false;
	errno = 0;
	*out = strtoull(*text, &end, 16);
	if (end == *text || errno || !isblank((unsigned char)*end))
		return false;
	*text = end + strspn(end, " \t");
	return true;
}

/* One line without its end. Without memory it is left out. */
static void add_line(struct pf_jit *jit, const char *line)
{
	struct entry entry = {.order = (uint32_t)jit->count, .name = (uint32_t)jit->names.length};

	if (jit->count == ENTRIES_MAX || !take_number(&line, &entry.start) ||
	    !take_number(&line, &entry.size) || !*line || entry.size == 0 ||
	    entry.start + entry.size < entry.start)
		return;
	if (pf_vec_reserve(
		(void **)&jit->entries, &jit->capacity, sizeof(*jit->entries), jit->count + 1) < 0)
		return;
	pf_buf_add(&jit->names, line, strnlen(line, NAME_BYTES_MAX));
	pf_buf_char(&jit->names, '\0');
	if (jit->names.error) {
		jit->names.error = 0;
		jit->names.length = entry.name;
		return;
	}
	jit->entries[jit->count++] = entry;
}

/* Whole lines out of jit->rest. */
static void take_lines(struct pf_jit *jit)
{
	char *at = jit->rest.at, *end = at + jit->rest.length, *newline;

	while (at < end && (newline = memchr(at, '\n', (size_t)(end - at)))) {
		*newline = '\0';
		add_line(jit, at);
		at = newline + 1;
	}
	jit->rest.length = (size_t)(end - at);
	memmove(jit->rest.at, at, jit->rest.length);
	/* A line without an end is no line. */
	if (jit->rest.length > 2 * NAME_BYTES_MAX)
		pf_buf_clear(&jit->rest);
}

static void read_on(struct pf_jit *jit, int fd)
{
	while (jit->read_to < FILE_BYTES_MAX) {
		char *room = pf_buf_room(&jit->rest, PIECE_BYTES);
		ssize_t got = room ? pread(fd, room, PIECE_BYTES, jit->read_to) : -1;

		if (got <= 0)
			break;
		jit->rest.length += (size_t)got;
		jit->read_to += got;
		take_lines(jit);
	}
	if (jit->rest.error) {
		pf_buf_finish(&jit->rest);
		jit->rest = (struct pf_buf)PF_BUF_INIT;
	}
}

static int by_start(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* Nobody else's words: /tmp is everybody's. */
static bool is_ours(const struct stat *st)
{
	return S_ISREG(st->st_mode) && (st->st_uid == geteuid() || st->st_uid == 0);
}

void pf_jit_refresh(struct pf_jit *jit)
{
	int fd = open(jit->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	size_t before = jit->count;
	struct stat st;

	if (fd < 0)
		return; /* what was read stays true: runtimes remove it at their end */
	if (fstat(fd, &st) == 0 && is_ours(&st)) {
		if (st.st_dev != jit->id.st_dev || st.st_ino != jit->id.st_ino ||
		    st.st_size < jit->read_to) {
			forget(jit);
			before = 0;
		}
		jit->id = st;
		read_on(jit, fd);
	}
	close(fd);
	if (jit->count != before)
		pf_sort(jit->entries, jit->count, sizeof(*jit->entries), by_start);
}

/* ---- finding ---- */

const char *pf_jit_find(const struct pf_jit *jit, uint64_t address)
{
	const struct entry *best = NULL;
	size_t low = 0, high = jit->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (jit->entries[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	/* Code is thrown away and its place used again: of those that reach here, the last one said. */
	for (size_t at = low; at-- > 0 && low - at <= NESTED_MAX;) {
		const struct entry *e = &jit->entries[at];

		if (address - e->start < e->size && (!best || e->order > best->order))
			best = e;
	}
	return best ? jit->names.at + best->name : NULL;
}

size_t pf_jit_bytes(const struct pf_jit *jit)
{
	return sizeof(*jit) + jit->names.capacity + jit->capacity * sizeof(*jit->entries);
}
