/* Profiles of anybody, read and drawn in every form. */
#include "base/buf.h"
#include "base/profile.h"
#include "fuzz.h"
#include "render/render.h"

#include <stdlib.h>
#include <string.h>

static pf_render_fn *const renders[] = {
    pf_render_pprof,
    pf_render_text,
    pf_render_folded,
    pf_render_threads,
    pf_render_legacy,
    pf_render_stacks,
    pf_render_svg,
    pf_render_html,
};

/* What we wrote ourselves is read again, and written again it is the same. */
static void read_again(const struct pf_buf *written)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_buf) again = PF_BUF_INIT;

	pf_profile_init(&p);
	if (pf_pprof_read(&p, written->at, written->length) != 0)
		abort();
	pf_render_pprof(&again, &p, &(struct pf_query){0});
	if (again.error || again.length != written->length ||
	    memcmp(again.at, written->at, again.length) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const struct pf_query queries[] = {
	    {0}, {.lines = true, .sort_cum = true, .rows = 3}};
	PF_SCOPED(pf_profile) p = {0};

	pf_profile_init(&p);
	if (pf_pprof_read(&p, bytes, size) != 0)
		return 0;
	p.name = "fuzz";
	for (size_t i = 0; i < PF_COUNT(renders); i++) {
		for (size_t k = 0; k < PF_COUNT(queries); k++) {
			PF_SCOPED(pf_buf) out = PF_BUF_INIT;

			renders[i](&out, &p, &queries[k]);
			if (out.error)
				abort();
		}
	}
	PF_SCOPED(pf_buf) first = PF_BUF_INIT;
	PF_SCOPED(pf_profile) q = {0};
	PF_SCOPED(pf_buf) written = PF_BUF_INIT;

	/* The first writing may put in order what came in disorder. */
	pf_render_pprof(&first, &p, &queries[0]);
	pf_profile_init(&q);
	if (pf_pprof_read(&q, first.at, first.length) != 0)
		abort();
	pf_render_pprof(&written, &q, &queries[0]);
	read_again(&written);
	return 0;
}
