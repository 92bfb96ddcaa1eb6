/* Renderers for the tests of fs: every output says which renderer made it, of which profile, with
 * which column, and nothing else.
 */
#include "base/buf.h"
#include "render/render.h"

#include <stdlib.h>

struct pf_symbols {
	int unused;
};

struct pf_symbols *pf_symbols_create(void)
{
	return calloc(1, sizeof(struct pf_symbols));
}

void pf_symbols_destroy(struct pf_symbols *symbols)
{
	free(symbols);
}

void pf_symbols_resolve(struct pf_symbols *symbols, struct pf_profile *p)
{
	pf_profile_set_locations(p);
}

static void draw(struct pf_buf *out, const struct pf_profile *in, const char *how)
{
	uint32_t type = pf_profile_default_type(in);

	pf_buf_printf(out, "%s %s %s %lld %s\n", how, in->name,
	    in->type_count ? in->types[type].type : "-", (long long)pf_profile_total(in, type),
	    in->comment_count ? in->comments[0] : "");
	/* Long enough for several reads, and for sizes to matter. */
	for (int i = 0; i < 8000; i++)
		pf_buf_printf(out, "%05d abcdefghijklmnopqrstuvwxyz\n", i);
}

#define FAKE(name)                                                                                 \
	void pf_render_##name(                                                                     \
	    struct pf_buf *out, const struct pf_profile *in, const struct pf_query *query)         \
	{                                                                                          \
		draw(out, in, #name);                                                              \
	}

FAKE(pprof)
FAKE(text)
FAKE(folded)
FAKE(threads)
FAKE(births)
FAKE(frames)
FAKE(legacy)
FAKE(stacks)
FAKE(svg)
FAKE(html)
