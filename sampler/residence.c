#include "sampler/residence.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/mark.h"
#include "base/memory.h"
#include "base/own_file.h"
#include "base/sort.h"
#include "sampler/crew.h"
#include "sampler/gate.h"
#include "sampler/task.h"
#include "sampler/thread.h"

#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STACKS_MAX = 16384, PAGE = 4096 };

/* Above an address on a stack's first frames lies what the thread begins with, and then another
 * mapping, which the kernel may have made one with it. */
enum { STACK_ABOVE_BYTES = 64 * 1024 };

/* Memory whose kind is known from elsewhere. */
struct range {
	uintptr_t start, end;
	enum pf_residence_kind kind;
};

struct reader {
	struct pf_residence *out;
	struct range *ranges;
	size_t range_count, range_capacity;
	uintptr_t *stacks; /* sorted; the lowest bit set: one of ours */
	size_t stack_count;
	enum pf_residence_kind kind; /* of the mapping at hand */
};

/* ---- ranges: ours, and uninitialised data ---- */

static void add_range(struct reader *r, uintptr_t start, uintptr_t end, enum pf_residence_kind kind)
{
	start = (start + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
	end = (end + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
	if (start < end && pf_vec_reserve((void **)&r->ranges, &r->range_capacity,
			       sizeof(*r->ranges), r->range_count + 1) == 0)
		r->ranges[r->range_count++] = (struct range){start, end, kind};
}

static int add_module(struct dl_phdr_info *info, size_t size, void *reader)
{
	enum pf_residence_kind kind = PF_RESIDENCE_FILE;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		uintptr_t at = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;

		if ((uintptr_t)pf_residence_read - at < info->dlpi_phdr[i].p_memsz &&
		    info->dlpi_phdr[i].p_type == PT_LOAD)
			kind = PF_RESIDENCE_OURS;
	}
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t at = info->dlpi_addr + p->p_vaddr;

		if (p->p_type == PT_LOAD)
			add_range(reader, at + p->p_filesz, at + p->p_memsz, kind);
	}
	return 0;
}

static void find_ranges(struct reader *r)
{
	struct pf_arena_mapping *ours = pf_memory_new(PF_ARENA_LISTED, sizeof(*ours));
	size_t count = ours ? pf_arena_mappings(ours, PF_ARENA_LISTED) : 0;

	for (size_t i = 0; i < count; i++)
		add_range(r, ours[i].at, ours[i].at + ours[i].size, PF_RESIDENCE_OURS);
	pf_memory_free(ours);
	pf_gate_enter();
	dl_iterate_phdr(add_module, r);
	pf_gate_leave();
}

/* Anonymous pages of a range that are resident and nobody else's: bit 63 and 56 (Documentation/
 * admin-guide/mm/pagemap.rst). The page of zeros, which is in no count, has neither. */
static int64_t resident_pages(int fd, const struct range *range)
{
	uint64_t words[512];
	int64_t pages = 0;

	for (uintptr_t at = range->start; at < range->end;) {
		size_t want = (range->end - at) / PAGE;
		ssize_t got;

		if (want > PF_COUNT(words))
			want = PF_COUNT(words);
		got = pread(fd, words, want * sizeof(*words), (off_t)(at / PAGE * sizeof(*words)));
		if (got < (ssize_t)sizeof(*words))
			break;
		for (size_t i = 0; i < (size_t)got / sizeof(*words); i++)
			pages += (words[i] >> 63 & 1) && (words[i] >> 56 & 1);
		at += (size_t)got / sizeof(*words) * PAGE;
	}
	return pages;
}

/* They were counted with the anonymous memory around them. */
static void move_ranges(struct reader *r)
{
	int fd = pf_own_file_open("pagemap");

	if (fd < 0)
		return;
	for (size_t i = 0; i < r->range_count; i++) {
		int64_t bytes = resident_pages(fd, &r->ranges[i]) * PAGE;

		r->out->bytes[r->ranges[i].kind] += bytes;
		r->out->bytes[PF_RESIDENCE_ANONYMOUS] -= bytes;
	}
	close(fd);
}

/* ---- stacks ---- */

/* Where a sleeping thread's stack pointer is; 0: it runs, or nobody says. */
static uintptr_t stack_pointer(pid_t tid)
{
	char text[256];
	ssize_t length = pf_task_read(tid, "syscall", text, sizeof(text) - 1);
	char *last, *before;

	if (length <= 0)
		return 0;
	text[length] = '\0';
	last = strrchr(text, ' '); /* the program counter; in front of it what we want */
	if (!last)
		return 0;
	*last = '\0';
	before = strrchr(text, ' ');
	return before ? (uintptr_t)strtoull(before + 1, NULL, 16) : 0;
}

static void add_stack(struct reader *r, uintptr_t at, bool ours)
{
	if (at && r->stack_count < STACKS_MAX)
		r->stacks[r->stack_count++] = (at & ~(uintptr_t)1) | ours;
}

static int by_address(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return x < y ? -1 : x > y;
}

/* A thread that told us where its stack is when it began. */
struct known {
	pid_t tid;
	uintptr_t stack;
};

static int by_tid(const void *a, const void *b)
{
	pid_t x = ((const struct known *)a)->tid, y = ((const struct known *)b)->tid;

	return x < y ? -1 : x > y;
}

/* All of them, sorted; the caller frees. NULL: no memory, or none. */
static struct known *find_known(size_t *count)
{
	uint32_t limit = pf_thread_limit();
	struct known *known = pf_memory_new(limit + 1, sizeof(*known));

	*count = 0;
	for (uint32_t i = 0; known && i < limit; i++) {
		const struct pf_thread *t = pf_thread_at(i);

		if (t && t->stack && pf_thread_is_live(t))
			known[(*count)++] = (struct known){t->tid, t->stack};
	}
	if (*count)
		pf_sort(known, *count, sizeof(*known), by_tid);
	return known;
}

static void find_programs_stacks(struct reader *r, const struct pf_task_list *list)
{
	size_t count;
	struct known *known = find_known(&count);

	for (size_t i = 0; i < list->count; i++) {
		struct known key = {.tid = list->tids[i]};
		struct known *it =
		    count ? bsearch(&key, known, count, sizeof(*known), by_tid) : NULL;
		uintptr_t at = it ? it->stack : stack_pointer(list->tids[i]);

		/* The first thread's stack has a name of its own: known even while it runs. */
		r->out->threads += at != 0 || list->tids[i] == getpid();
		add_stack(r, at, false);
	}
	pf_memory_free(known);
}

static void find_stacks(struct reader *r)
{
	struct pf_task_list list = {.count = 0};
	size_t ours = pf_crew_stacks(r->stacks, STACKS_MAX);

	for (size_t i = 0; i < ours; i++) /* in place */
		add_stack(r, r->stacks[i], true);
	if (pf_task_list(&list) == 0)
		find_programs_stacks(r, &list);
	pf_task_list_finish(&list);
	pf_sort(r->stacks, r->stack_count, sizeof(*r->stacks), by_address);
}

/* The stack that lies in a mapping: its address and whose it is; 0: none does. */
static uintptr_t stack_in(const struct reader *r, uintptr_t start, uintptr_t end)
{
	size_t low = 0, high = r->stack_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (r->stacks[middle] < start)
			low = middle + 1;
		else
			high = middle;
	}
	return low < r->stack_count && r->stacks[low] < end ? r->stacks[low] : 0;
}

/* ---- /proc/self/smaps ---- */

/* Of a mapping with a stack in it; where there is more in it, the stack is a range of its own. */
static enum pf_residence_kind kind_of_stack(
    struct reader *r, uintptr_t start, uintptr_t end, uintptr_t stack)
{
	enum pf_residence_kind kind = stack & 1 ? PF_RESIDENCE_OURS : PF_RESIDENCE_STACK;

	if (end - stack <= STACK_ABOVE_BYTES + PAGE)
		return kind;
	add_range(r, start, stack + STACK_ABOVE_BYTES, kind);
	return PF_RESIDENCE_ANONYMOUS;
}

/* "7f12a000-7f12b000 rw-p 00000000 00:00 0     [heap]" */
static bool read_mapping(struct reader *r, const char *line)
{
	unsigned long start, end;
	uintptr_t stack;
	int path = 0;

	if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %n", &start, &end, &path) != 2 || path == 0)
		return false;
	line += path;
	stack = line[0] == '\0' ? stack_in(r, start, end) : 0;
	r->kind = PF_RESIDENCE_ANONYMOUS;
	if (strcmp(line, "[stack]") == 0)
		r->kind = PF_RESIDENCE_STACK;
	else if (line[0] == '[' && line[1] == 'v')
		r->kind = PF_RESIDENCE_KERNEL;
	else if (line[0] == '/')
		r->kind = PF_RESIDENCE_FILE;
	else if (stack)
		r->kind = kind_of_stack(r, start, end, stack);
	return true;
}

static void read_line(struct reader *r, const char *line)
{
	long long kilobytes;

	if (line[0] >= 'A' && line[0] <= 'Z') {
		if (sscanf(line, "Rss: %lld kB", &kilobytes) == 1)
			r->out->bytes[r->kind] += kilobytes * 1024;
		return;
	}
	read_mapping(r, line);
}

static int each_line(
    struct reader *r, const char *name, void (*line)(struct reader *, const char *))
{
	char text[16384 + 1];
	size_t have = 0;
	int fd = pf_own_file_open(name);

	if (fd < 0)
		return fd;
	for (;;) {
		ssize_t got = read(fd, text + have, sizeof(text) - 1 - have);
		char *at = text, *end;

		if (got <= 0)
			break;
		have += (size_t)got;
		text[have] = '\0';
		for (; (end = strchr(at, '\n')); at = end + 1) {
			*end = '\0';
			line(r, at);
		}
		have = strlen(at);
		if (have == sizeof(text) - 1)
			have = 0; /* no path is so long */
		memmove(text, at, have);
	}
	close(fd);
	return 0;
}

static void read_status(struct reader *r, const char *line)
{
	long long kilobytes;

	if (sscanf(line, "VmRSS: %lld kB", &kilobytes) == 1)
		r->out->total = kilobytes * 1024;
}

int pf_residence_read(struct pf_residence *out)
{
	struct reader *r = pf_memory_new(1, sizeof(*r));
	int rc = -ENOMEM;

	*out = (struct pf_residence){.total = 0};
	if (!r)
		return rc;
	r->out = out;
	r->stacks = pf_memory_new(STACKS_MAX, sizeof(*r->stacks));
	if (r->stacks) {
		find_ranges(r);
		find_stacks(r);
		rc = each_line(r, "smaps", read_line);
		if (rc == 0)
			rc = each_line(r, "status", read_status);
		move_ranges(r);
	}
	pf_vec_free(r->ranges, r->range_capacity, sizeof(*r->ranges));
	pf_memory_free(r->stacks);
	pf_memory_free(r);
	return rc;
}
