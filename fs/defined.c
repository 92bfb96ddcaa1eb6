#include "fs/defined.h"
#include "base/profile.h"
#include "fs/live.h"
#include "fs/query.h"
#include "render/render.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

const struct pf_profile_row pf_defined_row = {
    .source = PF_SOURCE_COUNT,
    .text = pf_render_text,
    .debug_2 = pf_render_legacy,
    .collector = PF_COLLECTOR_COUNT,
};

const char *pf_defined_name(const struct pf_live *live, uint32_t number)
{
	return live->door->custom_name ? live->door->custom_name(number) : NULL;
}

int pf_defined_make(struct pf_live *live, uint32_t number, struct pf_profile *out)
{
	int rc;

	pf_profile_init(out);
	rc = live->door->custom_collect(number, out);
	if (rc == 0)
		pf_live_resolve(live, out);
	return rc;
}

int pf_defined_list(struct pf_live *live, int key, pf_add_fn *add, void *to)
{
	char file[NAME_MAX + 1];
	const char *name;

	for (uint32_t n = 0; (name = pf_defined_name(live, n)); n++)
		for (size_t i = 0; i < pf_table.view_count; i++) {
			snprintf(file, sizeof(file), "%.200s%s", name, pf_table.views[i].suffix);
			add(to, file, false);
		}
	return 0;
}

/* Is it this profile in some form? Names of profiles have no dot. */
static const struct pf_view_row *view_of(const char *file, const char *name)
{
	size_t length = strlen(name);

	if (strncmp(file, name, length) != 0)
		return NULL;
	for (size_t i = 0; i < pf_table.view_count; i++)
		if (strcmp(file + length, pf_table.views[i].suffix) == 0)
			return &pf_table.views[i];
	return NULL;
}

/* There is no difference of two moments to be had. */
static int check(const struct pf_name *asked)
{
	return asked->error ? asked->error : asked->query.seconds_ns ? -EINVAL : 0;
}

int pf_defined_find(struct pf_live *live, int key, const char *name, struct pf_found *out)
{
	struct pf_name asked;
	const char *there;
	int rc = pf_query_parse(name, &asked);

	if (rc < 0)
		return rc;
	for (uint32_t n = 0; (there = pf_defined_name(live, n)); n++) {
		out->view = view_of(asked.base, there);
		if (!out->view)
			continue;
		out->key = (int)n;
		out->query = asked.query;
		return check(&asked);
	}
	return -ENOENT;
}
