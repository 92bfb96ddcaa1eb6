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

int pf_drop_take(const struct pf_profile *in, struct pf_profile *out)
{
	*out = *in;
	return 0;
}

void pf_drop_finish(struct pf_profile *out)
{
	*out = (struct pf_profile){0};
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
FAKE(leaks)
FAKE(throws)
FAKE(legacy)
FAKE(binary)
FAKE(symbolized)
FAKE(lifetime)
FAKE(stacks)
FAKE(svg)
FAKE(html)

void pf_page_open(struct pf_buf *out, enum pf_page page, const char *title)
{
	pf_buf_printf(out, "page %d %s\n", (int)page, title);
}

void pf_page_close(struct pf_buf *out, enum pf_page page)
{
	pf_buf_printf(out, "end %d\n", (int)page);
}

void pf_page_text(struct pf_buf *out, const char *text)
{
	pf_buf_printf(out, "{%s}", text);
}

void pf_page_lines(struct pf_buf *out, const char *from, size_t length)
{
	for (size_t i = 0; i < length; i++)
		pf_buf_char(out, from[i] ? from[i] : ' ');
}

void pf_page_plain(struct pf_buf *out, const char *title, const char *from, size_t length)
{
	pf_buf_printf(out, "plain %s ", title);
	pf_buf_add(out, from, length);
}

void pf_page_string(struct pf_buf *out, const char *text)
{
	pf_buf_printf(out, "\"%s\"", text);
}
FAKE(waiting)

/* Asks "asked", and shows what was answered as the profile's comment. */
struct pf_lines {
	pf_lines_ask_fn *ask;
	void *with;
};

void pf_lines_set_process(struct pf_lines *lines, pid_t pid)
{
}

struct pf_lines *pf_lines_create(pf_lines_ask_fn *ask, void *with)
{
	struct pf_lines *lines = calloc(1, sizeof(*lines));

	if (lines)
		*lines = (struct pf_lines){ask, with};
	return lines;
}

void pf_lines_destroy(struct pf_lines *lines)
{
	free(lines);
}

int pf_lines_take(struct pf_lines *lines, const struct pf_profile *in, struct pf_profile *out)
{
	PF_SCOPED(pf_buf) asked = PF_BUF_INIT;
	struct pf_buf answer = PF_BUF_INIT;
	int rc;

	pf_buf_str(&asked, "asked");
	rc = lines->ask(lines->with, &asked, &answer);
	pf_buf_printf(&answer, " %d", rc);
	*out = *in;
	out->comments = calloc(1, sizeof(*out->comments));
	out->comments[0] = pf_buf_text(&answer);
	out->comment_count = 1;
	return 0;
}

void pf_lines_finish(struct pf_profile *out)
{
	free((char *)(uintptr_t)out->comments[0]);
	free(out->comments);
}
