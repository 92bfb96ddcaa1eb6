#include "sampler/patch_list.h"

#include <stddef.h>
#include <stdint.h>

#ifdef PF_SMALL
enum { LIST_MAX = 32 };
#else
enum { LIST_MAX = 8192 };
#endif

static const ElfW(Rela) * list[LIST_MAX];
static size_t count, cursor;
static struct pf_patch_list_of list_of;
static bool making; /* the scan at hand adds */
static bool whole;  /* the last one that did has seen everything, and all of it had room */

void pf_patch_list_drop(void)
{
	whole = false;
}

bool pf_patch_list_begin(const struct pf_patch_list_of *of)
{
	making = !whole || of->adds != list_of.adds || of->subs != list_of.subs ||
		 of->names != list_of.names;
	cursor = 0;
	if (making) {
		whole = false;
		list_of = *of;
		count = 0;
	}
	return !making;
}

void pf_patch_list_add(const ElfW(Rela) * relocation)
{
	if (count < LIST_MAX)
		list[count] = relocation;
	count++;
}

static bool is_of(const struct pf_module *m, const ElfW(Rela) * relocation)
{
	for (int table = 0; table < 2; table++) {
		uintptr_t low = (uintptr_t)m->relocations[table];

		if ((uintptr_t)relocation - low < m->relocation_count[table] * sizeof(*relocation))
			return true;
	}
	return false;
}

const ElfW(Rela) * pf_patch_list_next(const struct pf_module *m)
{
	if (cursor == count || !is_of(m, list[cursor]))
		return NULL;
	return list[cursor++];
}

void pf_patch_list_end(void)
{
	if (making)
		whole = count <= LIST_MAX;
	making = false;
}
