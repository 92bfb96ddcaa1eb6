#include "render/colour.h"
#include "base/memory.h"
#include "base/sort.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Of one lightness each (OKLCH: 0.83 to 0.86 and 0.42 to 0.50), neighbours far apart in hue. */
const struct pf_colour pf_colour_palette[PF_COLOUR_COUNT] = {
    {"#d1d1d1", "#4d4d4d"}, /* no code */
    {"#f9c37f", "#835a20"}, /* the program */
    {"#bccdde", "#465463"}, /* the C library */
    {"#fab2ac", "#874945"},
    {"#a5d6a6", "#3d6a3f"},
    {"#c1c0fd", "#59568c"},
    {"#81d8dd", "#006c70"},
    {"#cacd8c", "#616222"},
    {"#e8b4e2", "#784b74"},
    {"#87dac9", "#086d5f"},
    {"#f6b797", "#844e31"},
    {"#a5c9ff", "#3e5e8d"},
    {"#f8b1c0", "#854857"},
    {"#b5d398", "#4d6731"},
    {"#d4baf4", "#695184"},
    {"#89d4f1", "#136782"},
};

enum { COLOUR_NOTHING, COLOUR_PROGRAM, COLOUR_LIBC, COLOUR_OTHERS };

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_libc(const char *module)
{
	static const char *const names[] = {
	    "libc.so.", "libc-", "ld-linux", "ld-musl", "libpthread.so.", "libm.so."};

	for (size_t i = 0; i < PF_COUNT(names); i++)
		if (strncmp(module, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

/* The next free one from where the name points to; shared when all are taken. */
static uint8_t colour_of_other(const char *module, bool taken[PF_COLOUR_COUNT])
{
	enum { OTHERS = PF_COLOUR_COUNT - COLOUR_OTHERS };
	size_t first = pf_hash_bytes(module, strcspn(module, ".-")) % OTHERS;

	for (size_t i = 0; i < OTHERS; i++) {
		size_t colour = COLOUR_OTHERS + (first + i) % OTHERS;

		if (!taken[colour]) {
			taken[colour] = true;
			return (uint8_t)colour;
		}
	}
	return (uint8_t)(COLOUR_OTHERS + first);
}

static void give_colours(struct pf_colours *c, const struct pf_profile *p)
{
	const char *program = p->mapping_count ? pf_place_basename(p->mappings[0].path) : "";
	bool taken[PF_COLOUR_COUNT] = {false};

	for (size_t i = 0; i < c->count; i++) {
		const char *module = c->modules[i];

		if (!*module || *module == '[')
			c->colour[i] = COLOUR_NOTHING;
		else if (strcmp(module, program) == 0)
			c->colour[i] = COLOUR_PROGRAM;
		else if (is_libc(module))
			c->colour[i] = COLOUR_LIBC;
		else
			c->colour[i] = colour_of_other(module, taken);
	}
}

int pf_colours_init(struct pf_colours *c, const struct pf_frames *frames)
{
	size_t count = frames->index.count, kept = 0;

	*c = (struct pf_colours){0};
	c->modules = pf_memory_new(count + 1, sizeof(*c->modules));
	c->colour = pf_memory_new(count + 1, sizeof(*c->colour));
	if (!c->modules || !c->colour)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		c->modules[i] = frames->items[i].module;
	pf_sort(c->modules, count, sizeof(*c->modules), by_text);
	for (size_t i = 0; i < count; i++)
		if (!kept || strcmp(c->modules[kept - 1], c->modules[i]) != 0)
			c->modules[kept++] = c->modules[i];
	c->count = kept;
	give_colours(c, frames->in);
	return 0;
}

void pf_colours_finish(struct pf_colours *c)
{
	pf_memory_free(c->modules);
	pf_memory_free(c->colour);
	*c = (struct pf_colours){0};
}

uint32_t pf_colours_module(const struct pf_colours *c, const char *module)
{
	const char **at = bsearch(&module, c->modules, c->count, sizeof(*c->modules), by_text);

	return at ? (uint32_t)(at - c->modules) : 0;
}
