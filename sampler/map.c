/* One pass over /proc/self/maps for the lines, one look at each module's ELF header for its build
 * id. The header is read through the kernel (own_memory.h): a module that is closed between the two
 * is an error there, and would be a fault here.
 */
#include "sampler/map.h"
#include "base/buf.h"
#include "base/lock.h"
#include "base/own_file.h"
#include "base/profile.h"
#include "sampler/gate.h"
#include "sampler/map_build_id.h"
#include "sampler/map_past.h"
#include "sampler/past.h"
#include "sampler/past_look.h"
#include "sampler/stack.h"

#include <errno.h>
#include <inttypes.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

enum { READ_BYTES = 64 * 1024 };

struct line {
	uint64_t start, limit, offset, inode;
	bool executable;
	const char *path; /* in the text, without " (deleted)" */
};

struct maps {
	struct pf_buf text;
	struct line *lines;
	size_t count, capacity;
};

/* Build ids found before: a profile every second need not read every header. Replaced by the next
 * profile's list, so it never holds what is gone. */
struct remembered {
	uint64_t start, inode;
	char *path;
	char build_id[PF_BUILD_ID_TEXT];
};

struct memory {
	struct remembered *items;
	size_t count, capacity;
};

static struct pf_lock lock = PF_LOCK_INIT(PF_LOCK_MAP);
static struct memory known; /* guarded by lock */

static int read_text(struct pf_buf *text)
{
	int fd = pf_own_file_open("maps"), rc = 0;
	ssize_t got = 1;
	char *room;

	if (fd < 0)
		return fd;
	while (got > 0 && (room = pf_buf_room(text, READ_BYTES)) != NULL) {
		got = read(fd, room, READ_BYTES);
		if (got > 0)
			text->length += (size_t)got;
	}
	if (got < 0)
		rc = -errno;
	close(fd);
	return rc < 0 ? rc : text->error;
}

/* "start-limit perms offset major:minor inode    path" */
static bool parse_line(char *text, struct line *line)
{
	static const char deleted[] = " (deleted)";
	char permissions[5];
	int path_at = 0;
	size_t length;

	if (sscanf(text, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*x:%*x %" SCNu64 " %n",
		&line->start, &line->limit, permissions, &line->offset, &line->inode,
		&path_at) < 5 ||
	    path_at == 0)
		return false;
	line->executable = permissions[2] == 'x';
	line->path = text + path_at;
	length = strlen(line->path);
	if (length >= sizeof(deleted) &&
	    strcmp(line->path + length - (sizeof(deleted) - 1), deleted) == 0)
		text[path_at + length - (sizeof(deleted) - 1)] = '\0';
	return true;
}

static int parse_text(struct maps *maps)
{
	char *text = (char *)pf_buf_text(&maps->text), *end;
	int rc;

	for (; *text != '\0'; text = end + 1) {
		end = strchr(text, '\n');
		if (!end)
			break; /* cut off by an error: the rest is not there */
		*end = '\0';
		rc = pf_vec_reserve(
		    (void **)&maps->lines, &maps->capacity, sizeof(*maps->lines), maps->count + 1);
		if (rc < 0)
			return rc;
		if (parse_line(text, &maps->lines[maps->count]))
			maps->count++;
	}
	return 0;
}

static bool same_file(const struct line *a, const struct line *b)
{
	return a->inode == b->inode && strcmp(a->path, b->path) == 0;
}

/* Rule R8: what is executable and has a name; memory without a file has none. */
static bool is_wanted(const struct line *line)
{
	return line->executable && (line->inode != 0 || line->path[0] != '\0');
}

/* One executable segment that somebody cut in pieces (mprotect, huge pages) is one mapping. */
static void join_pieces(struct maps *maps)
{
	struct line *last = NULL;
	size_t kept = 0;

	for (size_t i = 0; i < maps->count; i++) {
		struct line *line = &maps->lines[i];

		if (last && last->executable && line->executable && last->limit == line->start &&
		    last->inode != 0 && same_file(last, line) &&
		    last->offset + (last->limit - last->start) == line->offset) {
			last->limit = line->limit;
			continue;
		}
		maps->lines[kept] = *line;
		last = &maps->lines[kept++];
	}
	maps->count = kept;
}

/* A line of the main program, also where that is the loader's argument: glibc then says so in the vector. */
static const struct line *find_main(const struct maps *maps)
{
	uint64_t address = getauxval(AT_PHDR);

	for (size_t i = 0; i < maps->count; i++) {
		if (address >= maps->lines[i].start && address < maps->lines[i].limit)
			return &maps->lines[i];
	}
	return NULL;
}

/* Where the ELF header of a module is in memory: the nearest mapping of its file from 0. */
static uint64_t find_header(const struct maps *maps, const struct line *line)
{
	for (const struct line *at = line; at >= maps->lines; at--) {
		if (at->offset == 0 && same_file(at, line))
			return at->start;
	}
	return 0;
}

/* The build id of a line, out of memory or read; into the list of the next time. */
static const char *build_id_of(const struct maps *maps, const struct line *line,
    const struct memory *before, struct memory *next)
{
	struct remembered *now;

	if (pf_vec_reserve(
		(void **)&next->items, &next->capacity, sizeof(*next->items), next->count + 1) < 0)
		return "";
	now = &next->items[next->count];
	now->start = line->start;
	now->inode = line->inode;
	now->path = strdup(line->path);
	if (!now->path)
		return "";
	next->count++;
	for (size_t i = 0; i < before->count; i++) {
		const struct remembered *old = &before->items[i];

		if (old->start == line->start && old->inode == line->inode &&
		    strcmp(old->path, line->path) == 0) {
			strcpy(now->build_id, old->build_id);
			return now->build_id;
		}
	}
	pf_map_build_id(find_header(maps, line), line->path, line->inode, now->build_id);
	return now->build_id;
}

static void memory_finish(struct memory *memory)
{
	for (size_t i = 0; i < memory->count; i++)
		free(memory->items[i].path);
	pf_vec_free(memory->items, memory->capacity, sizeof(*memory->items));
	*memory = (struct memory){0};
}

/* Takes the list away while it is read, so that nobody waits for a file. A second profile at the
 * same moment finds none and reads for itself. */
static struct memory memory_take(void)
{
	struct memory taken;

	pf_lock_take(&lock);
	taken = known;
	known = (struct memory){0};
	pf_lock_give(&lock);
	return taken;
}

static void memory_give(struct memory *memory)
{
	struct memory old;

	pf_lock_take(&lock);
	old = known;
	known = *memory;
	pf_lock_give(&lock);
	memory_finish(&old);
}

static void add_lines(struct pf_profile *p, const struct maps *maps)
{
	const struct line *main_line = find_main(maps);
	struct memory before = memory_take(), next = {0};

	for (int pass = 0; pass < 2; pass++) { /* the main program, then the others */
		for (size_t i = 0; i < maps->count; i++) {
			const struct line *line = &maps->lines[i];
			bool is_main = main_line && same_file(line, main_line);

			if (!is_wanted(line) || is_main == (pass == 1))
				continue;
			pf_profile_add_mapping(p, line->start, line->limit, line->offset,
			    line->path, build_id_of(maps, line, &before, &next));
		}
	}
	memory_finish(&before);
	memory_give(&next);
}

/* To be finished in every case. */
static int maps_init(struct maps *maps)
{
	int rc;

	*maps = (struct maps){0};
	rc = read_text(&maps->text);
	if (rc == 0)
		rc = parse_text(maps);
	if (rc == 0)
		join_pieces(maps);
	return rc;
}

static void maps_finish(struct maps *maps)
{
	pf_vec_free(maps->lines, maps->capacity, sizeof(*maps->lines));
	pf_buf_finish(&maps->text);
}

void pf_map_look(void)
{
	struct maps maps;

	if (pf_gate_try()) {
		pf_past_look();
		pf_gate_leave();
	}
	if (!pf_past_wants_paths())
		return;
	if (maps_init(&maps) == 0)
		for (size_t i = 0; i < maps.count; i++)
			if (is_wanted(&maps.lines[i]))
				pf_past_learn_path(maps.lines[i].start, maps.lines[i].path);
	maps_finish(&maps);
}

/* Held in the parent at that moment: the list may be half written. */
void pf_map_fork_child(void)
{
	if (__atomic_load_n(&lock.word, __ATOMIC_RELAXED) != 0)
		known = (struct memory){0};
	pf_lock_reset(&lock);
}

int pf_map_fill(struct pf_profile *p)
{
	uint32_t since = pf_stack_reads_since();
	struct maps maps;
	int rc = maps_init(&maps);

	/* After the lines were read: what has gone since is in both, and then the past is right. */
	pf_map_look();
	if (rc == 0) {
		add_lines(p, &maps);
		pf_map_past_fill(p, since);
		rc = p->error;
	}
	maps_finish(&maps);
	return rc;
}
