#include "sampler/map_past.h"
#include "base/buf.h"
#include "base/profile.h"
#include "sampler/past.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* What becomes of a file's grave in this profile. */
struct burial {
	uint32_t file;
	uint64_t loaded_at; /* 0: it is not loaded, and has a mapping where its grave is */
};

struct filling {
	struct pf_profile *profile;
	uint32_t since, now; /* since 0: nothing has ended meanwhile */
	struct burial *burials;
	size_t count, capacity;
};

/* The path it was mapped from, as far as anybody saw it; else what its name leads to today. */
static void add_mapping(struct pf_profile *p, const struct burial *burial)
{
	char id[2 * PF_PAST_BUILD_ID + 1] = "", resolved[PATH_MAX];
	const struct pf_past_file *file;
	uint64_t grave = pf_past_grave(burial->file);
	const char *path;

	file = pf_past_file(burial->file, &path);
	if (path[0] == '\0')
		path = realpath(file->name, resolved) ? resolved : file->name;
	for (uint32_t i = 0; i < file->build_id_size; i++)
		snprintf(id + (size_t)2 * i, 3, "%02x", file->build_id[i]);
	pf_profile_add_mapping(p, grave, grave + file->size, file->offset, path, id);
}

static const struct burial *bury(struct filling *f, uint32_t file)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->burials[i].file == file)
			return &f->burials[i];
	if (pf_vec_reserve((void **)&f->burials, &f->capacity, sizeof(*f->burials), f->count + 1) <
	    0)
		return NULL;
	f->burials[f->count] = (struct burial){file, pf_past_loaded_at(file)};
	if (f->burials[f->count].loaded_at == 0)
		add_mapping(f->profile, &f->burials[f->count]);
	return &f->burials[f->count++];
}

static uint64_t place(struct filling *f, uint64_t address)
{
	const struct burial *burial;
	uint32_t number;

	if (f->since)
		address = pf_past_place(address, f->since, f->now);
	number = pf_past_file_at(address);
	if (number == 0)
		return address;
	burial = bury(f, number);
	if (!burial || burial->loaded_at == 0)
		return address;
	return burial->loaded_at + (address - pf_past_grave(number));
}

void pf_map_past_fill(struct pf_profile *p, uint32_t since)
{
	struct filling f = {.profile = p, .now = pf_past_now()};

	if (since && pf_past_ended_since(since))
		f.since = since;
	for (size_t i = 0; i < p->pc_count; i++)
		p->pcs[i] = place(&f, p->pcs[i]);
	for (size_t i = 0; i < p->label_count; i++)
		if (pf_label_is_address(&p->labels[i]))
			p->labels[i].num = (int64_t)place(&f, (uint64_t)p->labels[i].num);
	pf_vec_free(f.burials, f.capacity, sizeof(*f.burials));
}
