/* Symbols: names for a profile's addresses, module by module.
 *
 * A shelf of modules, most recently used first. Locations come sorted by address, so each module
 * is taken from the shelf once for a run of them; when the shelf is too heavy, its end falls off.
 */
#include "base/buf.h"
#include "base/counter.h"
#include "base/feature.h"
#include "render/creator.h"
#include "render/demangle.h"
#include "render/jit.h"
#include "render/module.h"
#include "render/place.h"
#include "render/render.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* 100,000 functions are 2.4 MB: enough for what one program has loaded, most of the time. */
#ifdef PF_SMALL
enum { SHELF_BYTES_MAX = 64 * 1024, SHELF_MODULES_MAX = 4 };
#else
enum { SHELF_BYTES_MAX = 64 << 20, SHELF_MODULES_MAX = 512 };
#endif

static const char debug_root[] = "/usr/lib/debug";

struct pf_symbols {
	struct pf_demangler *demangler;
	struct pf_jit *jit;                         /* of this process */
	struct pf_module *shelf[SHELF_MODULES_MAX]; /* most recently used first */
	size_t count;
};

struct pf_symbols *pf_symbols_create(void)
{
	struct pf_symbols *symbols = calloc(1, sizeof(*symbols));
	char jit[32];

	if (!symbols)
		return NULL;
	symbols->demangler = pf_demangler_create();
	snprintf(jit, sizeof(jit), "/tmp/perf-%d.map", (int)getpid());
	symbols->jit = pf_jit_create(jit);
	if (!symbols->demangler || !symbols->jit) {
		pf_symbols_destroy(symbols);
		return NULL;
	}
	pf_feature_set(PF_FEATURE_SYMBOLS, PF_FEATURE_OK, NULL);
	return symbols;
}

void pf_symbols_destroy(struct pf_symbols *symbols)
{
	if (!symbols)
		return;
	for (size_t i = 0; i < symbols->count; i++)
		pf_module_destroy(symbols->shelf[i]);
	pf_demangler_destroy(symbols->demangler);
	pf_jit_destroy(symbols->jit);
	free(symbols);
}

/* Puts it in front, where the first `holes` places of the shelf move up by one. */
static void put_in_front(struct pf_symbols *s, struct pf_module *module, size_t holes)
{
	memmove(s->shelf + 1, s->shelf, holes * sizeof(*s->shelf));
	s->shelf[0] = module;
}

static void drop_last(struct pf_symbols *s)
{
	pf_module_destroy(s->shelf[--s->count]);
}

/* Down to the limits; the module in front stays, whatever it weighs. */
static void trim(struct pf_symbols *s)
{
	size_t bytes = 0;

	for (size_t i = 0; i < s->count; i++) {
		bytes += pf_module_bytes(s->shelf[i]);
		if (i == 0 || bytes <= SHELF_BYTES_MAX)
			continue;
		while (s->count > i)
			drop_last(s);
	}
}

/* The mapping's module, in front of the shelf; NULL without memory. */
static struct pf_module *take(struct pf_symbols *s, const struct pf_mapping *mapping)
{
	struct pf_module *module;

	for (size_t i = 0; i < s->count; i++) {
		module = s->shelf[i];
		if (!pf_module_is(module, mapping))
			continue;
		put_in_front(s, module, i);
		if (!pf_module_is_stale(module))
			return module;
		pf_module_destroy(module);
		s->count--;
		memmove(s->shelf, s->shelf + 1, s->count * sizeof(*s->shelf));
		break;
	}
	if (pf_module_load(&module, mapping, debug_root) < 0)
		return NULL;
	if (s->count == SHELF_MODULES_MAX)
		drop_last(s);
	put_in_front(s, module, s->count++);
	trim(s);
	return module;
}

/* What stands for a function without a name: "[libz.so.1]"; a name in brackets stays. */
static const char *module_text(struct pf_buf *buf, const struct pf_mapping *mapping)
{
	const char *base = mapping ? pf_place_basename(mapping->path) : "";

	if (!base[0])
		return "[unknown]";
	if (base[0] == '[')
		return base;
	pf_buf_clear(buf);
	pf_buf_printf(buf, "[%s]", base);
	return pf_buf_text(buf);
}

static bool add_name(struct pf_symbols *s, struct pf_profile *p, struct pf_module *module,
    struct pf_location *location)
{
	struct pf_mapping *mapping = &p->mappings[location->mapping - 1];
	struct pf_module_name name;

	if (!module || !pf_module_find(module, s->demangler,
			   location->address - mapping->start + mapping->offset, &name))
		return false;
	pf_profile_add_line(p, location, name.function, name.system, "", 0, 0);
	mapping->has_functions = true;
	return true;
}

/* "_ZTISt13runtime_error", as the linker calls a type's type_info, for people. */
static void name_types(struct pf_symbols *s, struct pf_profile *p, struct pf_buf *text)
{
	static const char said[] = "typeinfo for ";

	for (size_t i = 0; i < p->label_count; i++) {
		struct pf_label *l = &p->labels[i];

		if (!l->str || strcmp(l->key, "type") != 0 || strncmp(l->str, "_ZTI", 4) != 0)
			continue;
		pf_buf_clear(text);
		if (pf_demangle(s->demangler, l->str, text) &&
		    strncmp(pf_buf_text(text), said, sizeof(said) - 1) == 0)
			l->str = pf_profile_string(p, pf_buf_text(text) + sizeof(said) - 1);
		else
			l->str = pf_profile_string(p, l->str + 4); /* cut, or no name: as it is */
	}
}

/* A name that a runtime gave to code it made: mostly where no file is mapped. */
static bool add_made_name(
    struct pf_symbols *s, struct pf_profile *p, struct pf_location *location, bool *refreshed)
{
	const char *name;

	if (!*refreshed)
		pf_jit_refresh(s->jit);
	*refreshed = true;
	name = pf_jit_find(s->jit, location->address);
	if (!name)
		return false;
	pf_profile_add_line(p, location, name, name, "", 0, 0);
	if (location->mapping)
		p->mappings[location->mapping - 1].has_functions = true;
	return true;
}

void pf_symbols_resolve(struct pf_symbols *symbols, struct pf_profile *p)
{
	PF_SCOPED(pf_buf) text = PF_BUF_INIT;
	struct pf_module *module = NULL;
	uint32_t mapping = 0; /* of `module`, as in pf_location */
	bool jit_refreshed = false;
	uint64_t unknown = 0;

	pf_profile_set_locations(p);
	for (size_t i = 0; i < p->location_count; i++) {
		struct pf_location *l = &p->locations[i];
		const char *stand_in = pf_pc_marker_name(l->address);

		if (!stand_in && l->mapping != mapping) {
			if (module)
				pf_module_rest(module);
			mapping = l->mapping;
			module = mapping ? take(symbols, &p->mappings[mapping - 1]) : NULL;
			if (mapping && !module && !p->error)
				p->error = -ENOMEM;
		}
		if (!stand_in && l->mapping && add_name(symbols, p, module, l))
			continue;
		if (!stand_in && add_made_name(symbols, p, l, &jit_refreshed))
			continue;
		if (!stand_in) {
			stand_in =
			    module_text(&text, l->mapping ? &p->mappings[l->mapping - 1] : NULL);
			unknown++;
		}
		pf_profile_add_line(p, l, stand_in, stand_in, "", 0, 0);
	}
	if (module)
		pf_module_rest(module);
	trim(symbols);
	name_types(symbols, p, &text);
	pf_creator_name(p);
	pf_counter_set(PF_COUNTER_SYMBOL_UNKNOWN, unknown);
}
