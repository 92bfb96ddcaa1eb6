#include "render/creator.h"
#include "base/profile.h"
#include "render/site.h"

#include <stdbool.h>
#include <string.h>

static bool is_creator(const struct pf_label *l)
{
	return pf_label_is_address(l) && strcmp(l->key, "created_by") == 0;
}

/* The function an address lies in, outermost if inlined; NULL where nobody knows. */
static const char *name_of(const struct pf_profile *p, const struct pf_label *l)
{
	const struct pf_location *at = pf_profile_location(p, (uint64_t)l->num);

	if (!at || at->line_count == 0)
		return NULL;
	return p->lines[at->line_first + at->line_count - 1].function;
}

/* The label that is meant; the first where no frame beyond the library has a name. */
static const struct pf_label *choose(
    const struct pf_profile *p, const struct pf_label *labels, uint32_t count)
{
	const struct pf_label *first = NULL;

	for (uint32_t i = 0; i < count; i++) {
		const char *name;

		if (!is_creator(&labels[i]))
			continue;
		if (!first)
			first = &labels[i];
		name = name_of(p, &labels[i]);
		if (name && !pf_site_is_library(name))
			return &labels[i];
	}
	return first;
}

static void settle(struct pf_profile *p, struct pf_sample *s)
{
	struct pf_label *labels = &p->labels[s->label_first];
	const struct pf_label *meant = choose(p, labels, s->label_count);
	const char *name = meant ? name_of(p, meant) : NULL;
	struct pf_label chosen;
	uint32_t kept = 0;
	bool done = false;

	if (!meant)
		return;
	chosen = *meant;
	if (name) {
		chosen.str =
		    name; /* the address stays beside it: for the place (render/stacks.c) */
		chosen.unit = NULL;
	}
	for (uint32_t i = 0; i < s->label_count; i++) {
		if (!is_creator(&labels[i])) {
			labels[kept++] = labels[i];
		} else if (!done) {
			labels[kept++] = chosen;
			done = true;
		}
	}
	s->label_count = kept;
}

void pf_creator_name(struct pf_profile *p)
{
	for (size_t i = 0; i < p->sample_count; i++)
		settle(p, &p->samples[i]);
}
