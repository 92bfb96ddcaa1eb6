/* Text: what one looks at first. Functions, the most expensive on top, then whole stacks.
 *
 *     # heap: inuse_space
 *     # at 2026-11-21T06:00:00Z
 *     # total 1500 bytes (1.5 KiB)
 *     #  flat   flat%    sum%   cum    cum%  function  [module]
 *        1500 100.00% 100.00%  1500 100.00%  alloc  [server]
 *           0   0.00% 100.00%  1500 100.00%  main  [server]
 *     # stack 1 of 2: 1000 66.67%  (alloc_objects 30, alloc_space 3000, ...)
 *     #   bytes 16 to 112; thread main, worker
 *     #     alloc  [server]
 *
 * With lines asked for there is a row for each line known, "alloc  /src/alloc.c:12", and inlined
 * functions have rows of their own. `sum%` adds up the flat column from the top.
 *
 * Only the table's rows do not begin with '#', so `awk '{s += $1}'` is right. The function comes
 * behind the numbers because it may hold blanks.
 */
#include "render/text.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/sort.h"
#include "base/utc.h"
#include "render/render.h"
#include "render/tag.h"
#include "render/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROWS_DEFAULT = 100, STACKS_SHOWN = 10 };

struct row {
	uint32_t frame;
	uint32_t seen_in; /* sample number + 1: recursion counts once */
	int64_t flat, cum;
};

struct table {
	const struct pf_profile *in;
	const struct pf_frames *frames;
	uint32_t type;
	bool sort_cum;
	const char *unit;
	int64_t total;
	struct row *rows;
	size_t count, capacity;
};

/* ---- what the texts share ---- */

void pf_text_value(struct pf_buf *out, const char *unit, int64_t value, int width)
{
	char text[32];

	if (strcmp(unit, "nanoseconds") == 0) {
		uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
		uint64_t us = (size + PF_NS_PER_US / 2) / PF_NS_PER_US;

		snprintf(text, sizeof(text), "%s%" PRIu64 ".%03" PRIu64, value < 0 ? "-" : "",
		    us / 1000, us % 1000);
	} else {
		snprintf(text, sizeof(text), "%" PRId64, value);
	}
	pf_buf_printf(out, "%*s", width, text);
}

void pf_text_frame(struct pf_buf *out, const struct pf_frame *frame)
{
	pf_utf8_add_plain(out, frame->function);
	if (frame->file[0]) {
		pf_buf_str(out, "  ");
		pf_utf8_add_plain(out, frame->file);
		if (frame->line > 0)
			pf_buf_printf(out, ":%" PRId64, frame->line);
		return;
	}
	if (!frame->module[0] || frame->function[0] == '[')
		return;
	pf_buf_str(out, frame->module[0] == '[' ? "  " : "  [");
	pf_utf8_add_plain(out, frame->module);
	pf_buf_str(out, frame->module[0] == '[' ? "" : "]");
}

static void add_time(struct pf_buf *out, const struct pf_profile *in)
{
	char text[PF_UTC_TEXT];

	if (in->time_ns == 0)
		return;
	pf_utc_text(in->time_ns, text);
	pf_buf_printf(out, "# %s %s", in->duration_ns ? "from" : "at", text);
	if (in->duration_ns)
		pf_buf_printf(out, ", %.3f s", (double)in->duration_ns / PF_NS_PER_SECOND);
	pf_buf_char(out, '\n');
}

/* " (6.5 MiB)", where that says more than the number of bytes. */
static void add_size(struct pf_buf *out, const char *unit, int64_t value)
{
	static const char *const names[] = {"KiB", "MiB", "GiB", "TiB"};
	double size = (double)value / 1024;
	size_t i = 0;

	if (strcmp(unit, "bytes") != 0 || llabs(value) < 1024)
		return;
	for (; (size >= 1024 || size <= -1024) && i + 1 < PF_COUNT(names); i++)
		size /= 1024;
	pf_buf_printf(out, " (%.1f %s)", size, names[i]);
}

void pf_text_head(struct pf_buf *out, const struct pf_profile *in, uint32_t type)
{
	const char *unit = in->type_count ? in->types[type].unit : "";
	int64_t total = in->type_count ? pf_profile_total(in, type) : 0;

	pf_buf_str(out, "# ");
	pf_utf8_add_plain(out, in->name);
	if (in->type_count) {
		pf_buf_str(out, ": ");
		pf_utf8_add_plain(out, in->types[type].type);
	}
	pf_buf_char(out, '\n');
	add_time(out, in);
	pf_buf_str(out, "# total ");
	pf_text_value(out, unit, total, 0);
	if (strcmp(unit, "count") != 0 && unit[0]) {
		pf_buf_char(out, ' ');
		pf_utf8_add_plain(out, strcmp(unit, "nanoseconds") == 0 ? "ms" : unit);
	}
	add_size(out, unit, total);
	pf_buf_char(out, '\n');
	for (size_t i = 0; i < in->comment_count; i++) {
		pf_buf_str(out, "# ");
		pf_utf8_add_plain(out, in->comments[i]);
		pf_buf_char(out, '\n');
	}
}

void pf_text_notes(struct pf_buf *out, const struct pf_profile *in)
{
	if (in->note_count)
		pf_buf_str(out, "#\n");
	for (size_t i = 0; i < in->note_count; i++) {
		pf_buf_str(out, "# ");
		pf_utf8_add_plain(out, in->notes[i]);
		pf_buf_char(out, '\n');
	}
}

/* ---- the table of functions ---- */

static void add_sample(struct table *t, uint32_t number)
{
	const struct pf_sample *s = &t->in->samples[number];
	int64_t value = s->value[t->type];

	for (uint32_t i = 0; i < s->pc_count; i++) {
		uint32_t count;
		const uint32_t *ids = pf_frames_at(t->frames, t->in->pcs[s->pc_first + i], &count);

		for (uint32_t k = 0; k < count; k++) {
			struct row *row = &t->rows[ids[k]];

			if (i == 0 && k == 0)
				row->flat += value;
			if (row->seen_in != number + 1)
				row->cum += value;
			row->seen_in = number + 1;
		}
	}
}

static int by_size(int64_t x, int64_t y)
{
	return llabs(x) == llabs(y) ? 0 : llabs(x) > llabs(y) ? -1 : 1;
}

static int by_name(const struct pf_frame *x, const struct pf_frame *y)
{
	int order = strcmp(x->function, y->function);

	if (order == 0)
		order = strcmp(x->module, y->module);
	if (order == 0)
		order = strcmp(x->file, y->file);
	return order ? order : x->line < y->line ? -1 : x->line > y->line;
}

static int by_cost(const void *a, const void *b, void *table)
{
	const struct row *x = a, *y = b;
	const struct table *t = table;
	int flat = by_size(x->flat, y->flat), cum = by_size(x->cum, y->cum);

	if (flat || cum)
		return t->sort_cum ? (cum ? cum : flat) : (flat ? flat : cum);
	return by_name(&t->frames->items[x->frame], &t->frames->items[y->frame]);
}

/* One row per frame, sorted; those with nothing go. 0 or -ENOMEM. */
static int fill_table(struct table *t)
{
	size_t count = t->frames->index.count, kept = 0;
	int rc = pf_vec_reserve((void **)&t->rows, &t->capacity, sizeof(*t->rows), count);

	if (rc < 0 || count == 0)
		return rc;
	for (size_t i = 0; i < count; i++)
		t->rows[i] = (struct row){.frame = (uint32_t)i};
	for (size_t i = 0; i < t->in->sample_count; i++)
		add_sample(t, (uint32_t)i);
	for (size_t i = 0; i < count; i++)
		if (t->rows[i].flat != 0 || t->rows[i].cum != 0)
			t->rows[kept++] = t->rows[i];
	t->count = kept;
	pf_sort_with(t->rows, t->count, sizeof(*t->rows), by_cost, t);
	return 0;
}

static double percent(const struct table *t, int64_t value)
{
	return t->total ? 100.0 * (double)value / (double)t->total : 0;
}

static int value_width(const char *unit, int64_t value)
{
	PF_SCOPED(pf_buf) text = PF_BUF_INIT;

	pf_text_value(&text, unit, value, 0);
	return (int)text.length;
}

static bool has_lines(const struct table *t)
{
	for (size_t i = 0; i < t->count; i++)
		if (t->frames->items[t->rows[i].frame].file[0])
			return true;
	return false;
}

static void draw_table(struct pf_buf *out, const struct table *t, size_t shown)
{
	int64_t sum = 0, rest = 0;
	int width = 6;

	for (size_t i = 0; i < t->count; i++) {
		int flat = value_width(t->unit, t->rows[i].flat);
		int cum = value_width(t->unit, t->rows[i].cum);

		width = flat > width ? flat : width;
		width = cum > width ? cum : width;
	}
	pf_buf_printf(out, "#%*s   flat%%    sum%% %*s    cum%%  function  %s\n", width, "flat",
	    width, "cum", has_lines(t) ? "file:line" : "[module]");
	for (size_t i = 0; i < t->count && i < shown; i++) {
		const struct row *row = &t->rows[i];

		sum += row->flat;
		pf_buf_char(out, ' ');
		pf_text_value(out, t->unit, row->flat, width);
		pf_buf_printf(out, " %6.2f%% %6.2f%% ", percent(t, row->flat), percent(t, sum));
		pf_text_value(out, t->unit, row->cum, width);
		pf_buf_printf(out, " %6.2f%%  ", percent(t, row->cum));
		pf_text_frame(out, &t->frames->items[row->frame]);
		pf_buf_char(out, '\n');
	}
	if (t->count <= shown)
		return;
	for (size_t i = shown; i < t->count; i++)
		rest += t->rows[i].flat;
	pf_buf_printf(out, "# %zu more functions, flat ", t->count - shown);
	pf_text_value(out, t->unit, rest, 0);
	pf_buf_str(out, "; ?n= shows more\n");
}

/* ---- the largest stacks ---- */

/* Every column of a group: "(alloc_objects 30, alloc_space 3000)". */
static void add_columns(struct pf_buf *out, const struct pf_profile *in,
    const struct pf_groups *groups, const struct pf_group *g)
{
	for (uint32_t type = 0; type < in->type_count; type++) {
		int64_t value = 0;

		for (uint32_t i = 0; i < g->sample_count; i++)
			value += in->samples[groups->samples[g->sample_first + i]].value[type];
		pf_buf_str(out, type ? ", " : "  (");
		pf_utf8_add_plain(out, in->types[type].type);
		pf_buf_char(out, ' ');
		pf_text_value(out, in->types[type].unit, value, 0);
	}
	pf_buf_str(out, in->type_count ? ")" : "");
}

static void draw_stacks(struct pf_buf *out, const struct table *t, const struct pf_groups *groups)
{
	for (size_t i = 0; i < groups->count && i < STACKS_SHOWN; i++) {
		const struct pf_group *g = &groups->items[i];

		if (g->value == 0)
			break;
		pf_buf_printf(out, "#\n# stack %zu of %zu: ", i + 1, groups->count);
		pf_text_value(out, t->unit, g->value, 0);
		pf_buf_printf(out, " %.2f%%", percent(t, g->value));
		add_columns(out, t->in, groups, g);
		pf_buf_char(out, '\n');
		pf_tag_line(out, t->in, groups->samples + g->sample_first, g->sample_count);
		for (uint32_t k = 0; k < g->depth; k++) {
			pf_buf_str(out, "#     ");
			pf_text_frame(out, &t->frames->items[groups->ids[g->id_first + k]]);
			pf_buf_char(out, '\n');
		}
	}
}

static size_t shown_rows(const struct pf_query *query)
{
	return query->rows > 0 ? (size_t)query->rows : ROWS_DEFAULT;
}

/* 0 or -errno; finish_table() in every case. */
static int init_table(struct table *t, struct pf_frames *frames, const struct pf_profile *in,
    const struct pf_query *query)
{
	int rc = query->lines ? pf_frames_init_by_line(frames, in) : pf_frames_init(frames, in);

	*t = (struct table){.in = in,
	    .frames = frames,
	    .type = pf_profile_default_type(in),
	    .sort_cum = query->sort_cum,
	    .unit = ""};
	if (in->type_count) {
		t->unit = in->types[t->type].unit;
		t->total = pf_profile_total(in, t->type);
	}
	return rc == 0 ? fill_table(t) : rc;
}

static void finish_table(struct table *t, struct pf_frames *frames)
{
	pf_vec_free(t->rows, t->capacity, sizeof(*t->rows));
	pf_frames_finish(frames);
}

void pf_text_table(struct pf_buf *out, const struct pf_profile *in, const struct pf_query *query)
{
	struct pf_frames frames;
	struct table t;
	int rc = init_table(&t, &frames, in, query);

	if (rc == 0)
		draw_table(out, &t, shown_rows(query));
	pf_buf_fail(out, rc);
	finish_table(&t, &frames);
}

void pf_render_text(struct pf_buf *out, const struct pf_profile *in, const struct pf_query *query)
{
	struct pf_groups groups = {0};
	struct pf_frames frames;
	struct table t;
	int rc = init_table(&t, &frames, in, query);

	if (rc == 0)
		rc = pf_groups_init(&groups, &frames, t.type);
	if (rc == 0) {
		pf_text_head(out, in, t.type);
		draw_table(out, &t, shown_rows(query));
		draw_stacks(out, &t, &groups);
		pf_text_notes(out, in);
	}
	pf_buf_fail(out, rc);
	pf_groups_finish(&groups);
	finish_table(&t, &frames);
}
