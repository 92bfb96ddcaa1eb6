/* draw PROFILE VIEW: writes a known profile in a view to stdout, for the tests with other people's
 * tools (tests/render). */
#include "base/buf.h"
#include "profiles.h"
#include "render/render.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	pf_render_fn *render;
} views[] = {
    {"pprof", pf_render_pprof},
    {"text", pf_render_text},
    {"folded", pf_render_folded},
    {"threads", pf_render_threads},
    {"legacy", pf_render_legacy},
    {"stacks", pf_render_stacks},
    {"binary", pf_render_binary},
    {"symbolized", pf_render_symbolized},
    {"svg", pf_render_svg},
    {"html", pf_render_html},
};

int main(int argc, char **argv)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;
	struct pf_query query = {0};

	if (argc != 3 || !make_profile(&p, argv[1]))
		return 2;
	for (size_t i = 0; i < PF_COUNT(views); i++) {
		if (strcmp(views[i].name, argv[2]) != 0)
			continue;
		views[i].render(&out, &p, &query);
		if (out.error)
			return 1;
		return fwrite(out.at, 1, out.length, stdout) == out.length ? 0 : 1;
	}
	return 2;
}
