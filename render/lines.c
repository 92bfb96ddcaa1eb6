/* Lines, the asking side: a profile with file:line and inlined functions, from one that has names.
 *
 *     location --module, offset--> book: what was answered before    (bounded: full, begun anew)
 *                             \--> asked, all at once ---answer---> book
 *
 * The last frame of a location is the function itself: it keeps the name that the symbol table
 * gave it, so that a function is called the same with lines and without.
 */
#include "render/lines.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/memory.h"
#include "render/index.h"
#include "render/render.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef PF_SMALL
enum { BOOK_ENTRIES_MAX = 8, BOOK_BYTES_MAX = 4096 };
#else
enum { BOOK_ENTRIES_MAX = 100000, BOOK_BYTES_MAX = 16 << 20 };
#endif

/* After so long a module without debug information, or with too much, is asked about again. */
static const int64_t NONE_FOR_NS = 60ll * PF_NS_PER_SECOND;

static const char debug_root[] = "/usr/lib/debug";

struct module {
	const char *path, *build_id; /* the book's strings */
	bool nameless;               /* no build id: the file may be another one tomorrow */
	bool gone;                   /* another file is in its place */
	int64_t none_until_ns;       /* 0: it may have debug information */
};

struct entry { /* what is known of an address; nothing: line_count 0 */
	uint64_t offset;
	uint32_t module;
	uint32_t line_first, line_count; /* into book.lines */
	bool unsure;                     /* not answered because of a failure: ask again */
};

struct pf_lines {
	pf_lines_ask_fn *ask;
	void *with;
	pid_t process;          /* whose mappings these are; 0: unknown */
	struct pf_profile book; /* owner of strings and lines */
	size_t book_bytes;
	struct module *modules;
	size_t module_count, module_capacity;
	struct entry *entries;
	size_t entry_capacity;
	struct pf_index index; /* its count is that of `entries` */
};

const char *pf_lines_next(struct pf_lines_texts *texts)
{
	const char *text = texts->at;
	const char *end = texts->left ? memchr(text, '\0', texts->left) : NULL;

	if (!end)
		return NULL;
	texts->left -= (size_t)(end + 1 - text);
	texts->at = end + 1;
	return text;
}

/* ---- the book ---- */

struct pf_lines *pf_lines_create(pf_lines_ask_fn *ask, void *with)
{
	struct pf_lines *lines = calloc(1, sizeof(*lines));

	if (!lines)
		return NULL;
	lines->ask = ask;
	lines->with = with;
	pf_profile_init(&lines->book);
	return lines;
}

void pf_lines_set_process(struct pf_lines *lines, pid_t pid)
{
	lines->process = pid;
}

static void forget(struct pf_lines *l)
{
	pf_profile_finish(&l->book);
	pf_profile_init(&l->book);
	pf_index_finish(&l->index);
	l->module_count = 0;
	l->book_bytes = 0;
}

void pf_lines_destroy(struct pf_lines *l)
{
	if (!l)
		return;
	forget(l);
	pf_profile_finish(&l->book);
	pf_vec_free(l->modules, l->module_capacity, sizeof(*l->modules));
	pf_vec_free(l->entries, l->entry_capacity, sizeof(*l->entries));
	free(l);
}

static bool same_entry(const void *items, uint32_t number, const void *key)
{
	const struct entry *a = (const struct entry *)items + number, *b = key;

	return a->module == b->module && a->offset == b->offset;
}

static uint64_t hash_entry(const struct entry *e)
{
	return pf_hash_number(e->offset * 31 + e->module);
}

static const struct entry *find_entry(const struct pf_lines *l, uint32_t module, uint64_t offset)
{
	struct entry key = {.module = module, .offset = offset};
	uint32_t number = pf_index_get(&l->index, hash_entry(&key), same_entry, l->entries, &key);

	return number == PF_INDEX_FULL ? NULL : &l->entries[number];
}

/* The mapping's module, or -ENOMEM. One without a build id is another one for each profile. */
static ssize_t find_module(struct pf_lines *l, const struct pf_mapping *mapping, size_t first_new)
{
	for (size_t i = 0; i < l->module_count; i++)
		if ((!l->modules[i].nameless || i >= first_new) &&
		    strcmp(l->modules[i].path, mapping->path) == 0 &&
		    strcmp(l->modules[i].build_id, mapping->build_id) == 0)
			return (ssize_t)i;
	if (pf_vec_reserve((void **)&l->modules, &l->module_capacity, sizeof(*l->modules),
		l->module_count + 1) < 0)
		return -ENOMEM;
	l->modules[l->module_count] = (struct module){
	    .path = pf_profile_string(&l->book, mapping->path),
	    .build_id = pf_profile_string(&l->book, mapping->build_id),
	    .nameless = !mapping->build_id[0],
	};
	return (ssize_t)l->module_count++;
}

/* ---- asking ---- */

struct asking {
	struct pf_lines *l;
	const struct pf_profile *in;
	size_t first_new;     /* modules from here on are new */
	uint32_t *modules;    /* of each mapping: number + 1; 0 none */
	struct pf_buf text;   /* what is asked */
	struct pf_buf asked;  /* a struct entry for each address asked about */
	struct pf_buf groups; /* uint32_t: each module asked about */
};

static uint64_t offset_of(const struct pf_profile *in, const struct pf_location *location)
{
	const struct pf_mapping *m = &in->mappings[location->mapping - 1];

	return location->address - m->start + m->offset;
}

static bool is_file(const struct pf_mapping *m)
{
	return m->path[0] == '/';
}

static void number_modules(struct asking *a)
{
	for (size_t i = 0; i < a->in->mapping_count; i++) {
		const struct pf_mapping *m = &a->in->mappings[i];
		ssize_t number = is_file(m) ? find_module(a->l, m, a->first_new) : -1;

		a->modules[i] = number < 0 ? 0 : (uint32_t)number + 1;
	}
}

static void ask_about_module(struct asking *a, uint32_t module, const struct pf_mapping *mapping)
{
	struct module *m = &a->l->modules[module];

	m->gone = false; /* until it is said again */
	pf_buf_char(&a->text, 'm');
	pf_buf_add(&a->text, m->build_id, strlen(m->build_id) + 1);
	pf_buf_add(&a->text, m->path, strlen(m->path) + 1);
	pf_buf_add(&a->groups, &module, sizeof(module));
	if (!a->l->process)
		return;
	pf_buf_printf(&a->text, "o/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)a->l->process,
	    mapping->start, mapping->limit);
	pf_buf_char(&a->text, '\0');
	pf_buf_printf(&a->text, "o/proc/%d/exe", (int)a->l->process);
	pf_buf_char(&a->text, '\0');
}

/* Locations come by address, so those of a mapping come in a row. */
static void ask_about(
    struct asking *a, uint32_t module, const struct pf_location *location, bool first)
{
	uint64_t offset = offset_of(a->in, location);
	struct entry entry = {.module = module, .offset = offset};

	if (first)
		ask_about_module(a, module, &a->in->mappings[location->mapping - 1]);
	pf_buf_printf(&a->text, "a%" PRIx64, offset);
	pf_buf_char(&a->text, '\0');
	pf_buf_add(&a->asked, &entry, sizeof(entry));
}

static void collect(struct asking *a)
{
	int64_t now_ns = pf_clock_now_ns();
	uint32_t last = UINT32_MAX;

	pf_buf_add(&a->text, debug_root, sizeof(debug_root));
	for (size_t i = 0; i < a->in->location_count; i++) {
		const struct pf_location *location = &a->in->locations[i];
		uint32_t number = location->mapping ? a->modules[location->mapping - 1] : 0;
		const struct entry *entry;

		if (number == 0 || a->l->modules[number - 1].none_until_ns > now_ns)
			continue;
		entry = find_entry(a->l, number - 1, offset_of(a->in, location));
		if (entry && !entry->unsure)
			continue;
		ask_about(a, number - 1, location, number != last);
		last = number;
	}
}

/* What was asked is known from now on, be it that nothing is known. 0 or -ENOMEM. */
static int note(struct asking *a, bool unsure)
{
	const struct entry *asked = (const struct entry *)(const void *)a->asked.at;

	for (size_t i = 0; i < a->asked.length / sizeof(*asked); i++) {
		uint32_t before = a->l->index.count;
		uint32_t number;

		/* Its room first: the book lives on, and the index must not count what is not there. */
		if (pf_vec_reserve((void **)&a->l->entries, &a->l->entry_capacity,
			sizeof(*a->l->entries), (size_t)before + 1) < 0)
			return -ENOMEM;
		number = pf_index_put(
		    &a->l->index, hash_entry(&asked[i]), same_entry, a->l->entries, &asked[i]);
		if (number == PF_INDEX_FULL)
			return -ENOMEM;
		if (number == before)
			a->l->entries[number] = asked[i];
		a->l->entries[number].unsure = unsure;
	}
	return 0;
}

/* "f12", its "l" and their texts: into the entry of the 12th address asked about. */
static void read_frames(
    struct asking *a, const char *number, struct pf_lines_texts *texts, const char **next)
{
	const struct entry *asked = (const struct entry *)(const void *)a->asked.at;
	unsigned long at = strtoul(number, NULL, 10);
	struct entry *entry = NULL;
	struct pf_location location = {0};

	if (at < a->asked.length / sizeof(*asked))
		entry = (struct entry *)find_entry(a->l, asked[at].module, asked[at].offset);
	while ((*next = pf_lines_next(texts)) && **next == 'l') {
		int64_t line = 0, start_line = 0;
		const char *function = pf_lines_next(texts);
		const char *system = pf_lines_next(texts);
		const char *file = pf_lines_next(texts);

		if (!file || sscanf(*next + 1, "%" SCNd64 " %" SCNd64, &line, &start_line) != 2)
			break; /* cut off here */
		pf_profile_add_line(
		    &a->l->book, &location, function, system, file, line, start_line);
		/* At most: some of these are known already. */
		a->l->book_bytes += strlen(function) + strlen(system) + strlen(file) + 100;
	}
	if (!entry || a->l->book.error || (*next && **next == 'l'))
		return;
	entry->unsure = false;
	entry->line_first = location.line_first;
	entry->line_count = location.line_count;
}

static void read_none(struct asking *a, const char *number, bool gone)
{
	const uint32_t *groups = (const uint32_t *)(const void *)a->groups.at;
	unsigned long at = strtoul(number, NULL, 10);

	if (at >= a->groups.length / sizeof(*groups))
		return;
	a->l->modules[groups[at]].none_until_ns = pf_clock_now_ns() + NONE_FOR_NS;
	a->l->modules[groups[at]].gone = gone;
}

static void read_answer(struct asking *a, const struct pf_buf *answer)
{
	struct pf_lines_texts texts = {answer->at, answer->length};
	const char *text = pf_lines_next(&texts);

	while (text) {
		const char *next = NULL;

		if (text[0] == 'f')
			read_frames(a, text + 1, &texts, &next);
		else if (strncmp(text, "none", 4) == 0 || strncmp(text, "gone", 4) == 0)
			read_none(a, text + 4, text[0] == 'g');
		text = next ? next : pf_lines_next(&texts);
	}
}

/* After a failure: modules that were not got through are left alone for a while. */
static void rest(struct asking *a)
{
	const struct entry *asked = (const struct entry *)(const void *)a->asked.at;

	for (size_t i = 0; i < a->asked.length / sizeof(*asked); i++) {
		const struct entry *entry = find_entry(a->l, asked[i].module, asked[i].offset);

		if (entry && entry->unsure)
			a->l->modules[asked[i].module].none_until_ns =
			    pf_clock_now_ns() + NONE_FOR_NS;
	}
}

/* Asks about everything in `in` that the book does not know. 0, or why some of it stays unknown. */
static int learn(struct asking *a)
{
	PF_SCOPED(pf_buf) answer = PF_BUF_INIT;
	int rc;

	number_modules(a);
	collect(a);
	rc = a->text.error ? a->text.error : a->asked.error ? a->asked.error : a->groups.error;
	if (rc < 0 || a->asked.length == 0)
		return rc;
	rc = a->l->ask(a->l->with, &a->text, &answer);
	if (note(a, rc < 0) < 0)
		return -ENOMEM;
	read_answer(a, &answer);
	if (rc < 0)
		rest(a);
	return rc ? rc : a->l->book.error;
}

/* ---- the profile with lines ---- */

static bool is_stand_in(const struct pf_line *line)
{
	return line->function[0] == '[';
}

/* What `in` says of a location: its names. */
static void copy_names(struct pf_profile *out, struct pf_location *to, const struct pf_profile *in,
    const struct pf_location *from)
{
	for (uint32_t i = 0; i < from->line_count; i++) {
		const struct pf_line *line = &in->lines[from->line_first + i];

		pf_profile_add_line(out, to, line->function, line->system_name, line->file,
		    line->line, line->start_line);
	}
}

static void add_frames(struct pf_profile *out, struct pf_location *to, const struct pf_lines *l,
    const struct entry *entry, const struct pf_line *named)
{
	struct pf_mapping *mapping = &out->mappings[to->mapping - 1];

	for (uint32_t i = 0; i < entry->line_count; i++) {
		struct pf_line line = l->book.lines[entry->line_first + i];
		bool itself = i + 1 == entry->line_count;

		if (itself && (!is_stand_in(named) || !line.function[0])) {
			line.function = named->function;
			line.system_name = named->system_name;
		}
		pf_profile_add_line(out, to, line.function, line.system_name, line.file, line.line,
		    line.start_line);
		mapping->has_functions |= !is_stand_in(&line);
		mapping->has_filenames |= line.file[0] != '\0';
		mapping->has_line_numbers |= line.line > 0;
		mapping->has_inline_frames |= i > 0;
	}
}

/* How many addresses stay without a line. */
static uint64_t draw(const struct asking *a, struct pf_profile *out)
{
	uint64_t unknown = 0;

	for (size_t i = 0; i < a->in->location_count; i++) {
		const struct pf_location *from = &a->in->locations[i];
		struct pf_location *to = &out->locations[i];
		uint32_t module = from->mapping ? a->modules[from->mapping - 1] : 0;
		const struct entry *entry =
		    module ? find_entry(a->l, module - 1, offset_of(a->in, from)) : NULL;

		to->line_first = to->line_count = 0;
		if (entry && entry->line_count && from->line_count) {
			add_frames(out, to, a->l, entry,
			    &a->in->lines[from->line_first + from->line_count - 1]);
			continue;
		}
		copy_names(out, to, a->in, from);
		unknown += pf_pc_marker_name(from->address) == NULL;
	}
	return unknown;
}

/* `in` with locations, mappings, lines, comments and strings of its own. */
static int fork_profile(struct pf_profile *out, const struct pf_profile *in)
{
	*out = *in;
	out->strings = NULL;
	out->lines = NULL;
	out->locations = NULL;
	out->mappings = NULL;
	out->comments = NULL;
	out->line_count = out->line_capacity = 0;
	out->location_capacity = out->mapping_capacity = out->comment_capacity = 0;
	if (pf_vec_reserve((void **)&out->locations, &out->location_capacity,
		sizeof(*out->locations), in->location_count) < 0 ||
	    pf_vec_reserve((void **)&out->mappings, &out->mapping_capacity, sizeof(*out->mappings),
		in->mapping_count) < 0 ||
	    pf_vec_reserve((void **)&out->comments, &out->comment_capacity, sizeof(*out->comments),
		in->comment_count + 1) < 0)
		return -ENOMEM;
	if (in->location_count)
		memcpy(out->locations, in->locations, in->location_count * sizeof(*in->locations));
	if (in->mapping_count)
		memcpy(out->mappings, in->mappings, in->mapping_count * sizeof(*in->mappings));
	if (in->comment_count)
		memcpy(out->comments, in->comments, in->comment_count * sizeof(*in->comments));
	return 0;
}

/* Whose lines nobody can know any more. */
static void say_gone(const struct asking *a, struct pf_profile *out)
{
	for (size_t i = 0; i < a->in->mapping_count; i++) {
		const struct module *m = a->modules[i] ? &a->l->modules[a->modules[i] - 1] : NULL;
		bool said = false;

		for (size_t k = 0; k < i; k++)
			said |= a->modules[k] == a->modules[i];
		if (m && m->gone && !said)
			pf_profile_comment(out,
			    "lines: %s is no longer the file that was loaded, or cannot be read",
			    m->path);
	}
}

static void finish(struct asking *a)
{
	pf_memory_free(a->modules);
	pf_buf_finish(&a->text);
	pf_buf_finish(&a->asked);
	pf_buf_finish(&a->groups);
}

int pf_lines_take(struct pf_lines *l, const struct pf_profile *in, struct pf_profile *out)
{
	struct asking a = {.l = l, .in = in};
	uint64_t unknown;
	int rc = fork_profile(out, in);

	if (l->index.count > BOOK_ENTRIES_MAX || l->book_bytes > BOOK_BYTES_MAX || l->book.error)
		forget(l);
	a.first_new = l->module_count;
	a.modules = pf_memory_new(in->mapping_count + 1, sizeof(*a.modules));
	if (rc < 0 || !a.modules) {
		finish(&a);
		return -ENOMEM;
	}
	rc = learn(&a);
	unknown = draw(&a, out);
	if (rc < 0) {
		pf_count(PF_COUNTER_LINE_LOOKUPS_FAILED);
		pf_profile_comment(
		    out, "lines: not all of them could be looked up: %s", strerrordesc_np(-rc));
	}
	say_gone(&a, out);
	pf_counter_set(PF_COUNTER_LINE_UNKNOWN, unknown);
	finish(&a);
	return out->error;
}

void pf_lines_finish(struct pf_profile *out)
{
	struct pf_profile own = {
	    .lines = out->lines,
	    .line_capacity = out->line_capacity,
	    .locations = out->locations,
	    .location_capacity = out->location_capacity,
	    .mappings = out->mappings,
	    .mapping_capacity = out->mapping_capacity,
	    .comments = out->comments,
	    .comment_capacity = out->comment_capacity,
	    .strings = out->strings,
	};

	pf_profile_finish(&own);
	*out = (struct pf_profile){0};
}
