/* Throws: which exceptions were thrown, where, and what they said. After the rows that every text has:
 *
 *     # count       %  how      type  at  function  [module]
 *     #  1200  97.24%  throw    std::runtime_error  at  parse_line  [server]
 *     #    34   2.76%  rethrow  std::runtime_error  at  serve  [server]
 *     #
 *     #  1200  97.24%  throw    std::runtime_error
 *     #     message "bad line 12"
 *     #     parse_line  [server]
 *     #     main  [server]
 *
 * A message is that of the first exception of its kind at its place.
 */
#include "base/buf.h"
#include "base/memory.h"
#include "base/sort.h"
#include "render/frame.h"
#include "render/render.h"
#include "render/site.h"
#include "render/text.h"
#include "render/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_DEFAULT = 100, STACKS_SHOWN = 10, MESSAGES_SHOWN = 3 };

/* Samples of one type, thrown in one way, whose stacks show the same frames. */
struct row {
	const char *type, *how;
	uint32_t group;
	int64_t value;
};

struct throws {
	const struct pf_profile *in;
	struct pf_frames frames;
	struct pf_groups groups;
	struct row *rows;
	size_t count;
	int64_t total;
};

static const char *label_of(const struct pf_profile *p, uint32_t sample, const char *key)
{
	const struct pf_sample *s = &p->samples[sample];

	for (uint32_t i = 0; i < s->label_count; i++) {
		const struct pf_label *l = &p->labels[s->label_first + i];

		if (l->str && strcmp(l->key, key) == 0)
			return l->str;
	}
	return "";
}

static int by_kind(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int order = x->group < y->group ? -1 : x->group > y->group;

	if (order == 0)
		order = strcmp(x->type, y->type);
	return order ? order : strcmp(x->how, y->how);
}

static int by_value(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (llabs(x->value) != llabs(y->value))
		return llabs(x->value) > llabs(y->value) ? -1 : 1;
	return by_kind(a, b);
}

static void join(struct throws *t)
{
	size_t kept = 0;

	pf_sort(t->rows, t->count, sizeof(*t->rows), by_kind);
	for (size_t i = 1; i < t->count; i++) {
		if (by_kind(&t->rows[kept], &t->rows[i]) == 0)
			t->rows[kept].value += t->rows[i].value;
		else
			t->rows[++kept] = t->rows[i];
	}
	t->count = t->count ? kept + 1 : 0;
	pf_sort(t->rows, t->count, sizeof(*t->rows), by_value);
}

/* 0 or -ENOMEM. */
static int fill_rows(struct throws *t, uint32_t type)
{
	t->rows = pf_memory_new(t->in->sample_count + 1, sizeof(*t->rows));
	if (!t->rows)
		return -ENOMEM;
	for (uint32_t g = 0; g < t->groups.count; g++) {
		const struct pf_group *group = &t->groups.items[g];

		for (uint32_t i = 0; i < group->sample_count; i++) {
			uint32_t sample = t->groups.samples[group->sample_first + i];

			t->rows[t->count++] = (struct row){
			    .type = label_of(t->in, sample, "type"),
			    .how = label_of(t->in, sample, "how"),
			    .group = g,
			    .value = t->in->samples[sample].value[type],
			};
		}
	}
	join(t);
	return 0;
}

/* "  1200  97.24%  throw    std::runtime_error" */
static void draw_row(struct pf_buf *out, const struct throws *t, const struct row *row)
{
	double share = t->total ? 100.0 * (double)row->value / (double)t->total : 0;

	pf_buf_printf(out, " %6" PRId64 " %6.2f%%  ", row->value, share);
	pf_utf8_add_plain(out, row->how);
	pf_buf_str(out, strcmp(row->how, "throw") == 0 ? "    " : "  ");
	pf_utf8_add_plain(out, row->type);
}

static void draw_table(struct pf_buf *out, const struct throws *t, size_t shown)
{
	int64_t rest = 0;

	pf_buf_str(out, "#\n# count       %  how      type  at  function  [module]\n");
	for (size_t i = 0; i < t->count; i++) {
		const struct pf_group *g = &t->groups.items[t->rows[i].group];
		const struct pf_frame *site = pf_site_frame(&t->frames, &t->groups, g);

		if (i >= shown) {
			rest += t->rows[i].value;
			continue;
		}
		pf_buf_char(out, '#');
		draw_row(out, t, &t->rows[i]);
		pf_buf_str(out, "  at  ");
		if (site)
			pf_text_frame(out, site);
		pf_buf_char(out, '\n');
	}
	if (t->count > shown)
		pf_buf_printf(
		    out, "# %zu more, count %" PRId64 "; ?n= shows more\n", t->count - shown, rest);
}

static void draw_messages(struct pf_buf *out, const struct throws *t, const struct row *row)
{
	const struct pf_group *g = &t->groups.items[row->group];
	const char *shown[MESSAGES_SHOWN];
	int count = 0;

	for (uint32_t i = 0; i < g->sample_count && count < MESSAGES_SHOWN; i++) {
		uint32_t sample = t->groups.samples[g->sample_first + i];
		const char *message = label_of(t->in, sample, "message");
		bool fresh = message[0] != '\0' &&
			     strcmp(label_of(t->in, sample, "type"), row->type) == 0 &&
			     strcmp(label_of(t->in, sample, "how"), row->how) == 0;

		for (int k = 0; k < count; k++)
			fresh &= strcmp(shown[k], message) != 0;
		if (!fresh)
			continue;
		shown[count++] = message;
		pf_buf_str(out, "#     message \"");
		pf_utf8_add_plain(out, message);
		pf_buf_str(out, "\"\n");
	}
}

static void draw_stacks(struct pf_buf *out, const struct throws *t)
{
	for (size_t i = 0; i < t->count && i < STACKS_SHOWN; i++) {
		pf_buf_str(out, "#\n#");
		draw_row(out, t, &t->rows[i]);
		pf_buf_char(out, '\n');
		draw_messages(out, t, &t->rows[i]);
		pf_site_stack(out, &t->frames, &t->groups, &t->groups.items[t->rows[i].group]);
	}
}

void pf_render_throws(struct pf_buf *out, const struct pf_profile *in, const struct pf_query *query)
{
	uint32_t type = pf_profile_default_type(in);
	struct throws t = {.in = in, .total = in->type_count ? pf_profile_total(in, type) : 0};
	size_t shown = query->rows > 0 ? (size_t)query->rows : ROWS_DEFAULT;
	int rc = pf_frames_init(&t.frames, in);

	if (rc == 0)
		rc = pf_groups_init(&t.groups, &t.frames, type);
	if (rc == 0)
		rc = fill_rows(&t, type);
	if (rc == 0) {
		pf_text_head(out, in, type);
		pf_text_table(out, in, query);
		draw_table(out, &t, shown);
		draw_stacks(out, &t);
	} else {
		pf_buf_fail(out, rc);
	}
	pf_memory_free(t.rows);
	pf_groups_finish(&t.groups);
	pf_frames_finish(&t.frames);
}
