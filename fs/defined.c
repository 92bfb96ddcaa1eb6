#include "fs/defined.h"
#include "base/buf.h"
#include "base/mark.h"
#include "base/profile.h"
#include "fs/live.h"
#include "render/render.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static void show(struct pf_buf *out, struct pf_live *live, int key, pf_render_fn *render)
{
	static const struct pf_query plain = {0};
	struct pf_profile profile;
	int rc;

	pf_profile_init(&profile);
	rc = live->door->custom_collect((uint32_t)key, &profile);
	if (rc == 0) {
		pf_live_resolve(live, &profile);
		render(out, &profile, &plain);
	} else {
		pf_buf_fail(out, rc);
	}
	pf_profile_finish(&profile);
}

static void show_text(struct pf_buf *out, struct pf_live *live, int key)
{
	show(out, live, key, pf_render_text);
}

static void show_pprof(struct pf_buf *out, struct pf_live *live, int key)
{
	show(out, live, key, pf_render_pprof);
}

static void show_folded(struct pf_buf *out, struct pf_live *live, int key)
{
	show(out, live, key, pf_render_folded);
}

static void show_svg(struct pf_buf *out, struct pf_live *live, int key)
{
	show(out, live, key, pf_render_svg);
}

static void show_html(struct pf_buf *out, struct pf_live *live, int key)
{
	show(out, live, key, pf_render_html);
}

/* A profile in every form: one file each. */
static const struct pf_plain_row forms[] = {
    {".txt", show_text, NULL, 0, ""},
    {".pprof", show_pprof, NULL, 0, ""},
    {".folded", show_folded, NULL, 0, ""},
    {".svg", show_svg, NULL, 0, "", .page = true},
    {".html", show_html, NULL, 0, "", .page = true},
    {"", show_text, NULL, 0, ""},
};

static const char *name_of(const struct pf_live *live, uint32_t number)
{
	return live->door->custom_name ? live->door->custom_name(number) : NULL;
}

void pf_defined_list(struct pf_live *live, int key, pf_add_fn *add, void *to)
{
	char file[NAME_MAX + 1];
	const char *name;

	for (uint32_t n = 0; (name = name_of(live, n)); n++)
		for (size_t i = 0; i < PF_COUNT(forms); i++) {
			snprintf(file, sizeof(file), "%.200s%s", name, forms[i].path);
			add(to, file, false);
		}
}

/* Is it this profile in some form? Names of profiles have no dot. */
static const struct pf_plain_row *form_of(const char *file, const char *name)
{
	size_t length = strlen(name);

	if (strncmp(file, name, length) != 0)
		return NULL;
	for (size_t i = 0; i < PF_COUNT(forms); i++)
		if (strcmp(file + length, forms[i].path) == 0)
			return &forms[i];
	return NULL;
}

int pf_defined_find(struct pf_live *live, int key, const char *name, struct pf_found *out)
{
	const char *there;

	for (uint32_t n = 0; (there = name_of(live, n)); n++) {
		out->member = form_of(name, there);
		out->key = (int)n;
		if (out->member)
			return 0;
	}
	return -ENOENT;
}
