/* Threads: who is where. Threads with the same stack stand together, the largest group first.
 *
 *     3 threads
 *           11  worker 1          futex
 *           12  worker 2          futex  for 125.0 s  created by spawn_worker
 *         #0 cart::Cart::add  [libcart.so]
 *         #1 main  [server]
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/sort.h"
#include "render/frame.h"
#include "render/render.h"
#include "render/text.h"
#include "render/thread.h"
#include "render/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *text_label(const struct pf_label *l)
{
	return l->str ? l->str : "";
}

static void set_origin(struct pf_thread_labels *out, const struct pf_label *l)
{
	out->created_by = text_label(l);
	out->creator_pc = (uint64_t)l->num;
}

struct pf_thread_labels pf_thread_labels(const struct pf_profile *p, const struct pf_sample *s)
{
	struct pf_thread_labels out = {.name = "", .state = "", .syscall = "", .created_by = ""};

	for (uint32_t i = 0; i < s->label_count; i++) {
		const struct pf_label *l = &p->labels[s->label_first + i];

		if (strcmp(l->key, "tid") == 0)
			out.tid = l->num;
		else if (strcmp(l->key, "age_ns") == 0)
			out.age_ns = l->num;
		else if (strcmp(l->key, "thread") == 0)
			out.name = text_label(l);
		else if (strcmp(l->key, "state") == 0)
			out.state = text_label(l);
		else if (strcmp(l->key, "syscall") == 0)
			out.syscall = text_label(l);
		else if (strcmp(l->key, "created_by") == 0)
			set_origin(&out, l);
		else if (strcmp(l->key, "creator") == 0)
			out.creator = l->num;
	}
	return out;
}

/* Text, then blanks up to `width` columns (a letter of UTF-8 is one). */
static void add_padded(struct pf_buf *out, const char *text, size_t width)
{
	size_t start = out->length, columns = 0;

	pf_utf8_add_plain(out, text);
	for (size_t i = start; i < out->length; i++)
		columns += ((unsigned char)out->at[i] & 0xc0) != 0x80;
	for (; columns < width; columns++)
		pf_buf_char(out, ' ');
}

/* What the program says about the thread: every text label that is not ours. */
static void draw_own_labels(
    struct pf_buf *out, const struct pf_profile *p, const struct pf_sample *s)
{
	static const char *const ours[] = {"thread", "state", "syscall", "created_by"};

	for (uint32_t i = 0; i < s->label_count; i++) {
		const struct pf_label *l = &p->labels[s->label_first + i];
		bool own = l->str != NULL;

		for (size_t k = 0; k < PF_COUNT(ours) && own; k++)
			own = strcmp(l->key, ours[k]) != 0;
		if (!own)
			continue;
		pf_buf_str(out, "  ");
		pf_utf8_add_plain(out, l->key);
		pf_buf_char(out, '=');
		pf_utf8_add_plain(out, l->str);
	}
}

static void draw_thread(struct pf_buf *out, const struct pf_profile *p, const struct pf_sample *s)
{
	struct pf_thread_labels labels = pf_thread_labels(p, s), *t = &labels;

	pf_buf_printf(out, "    %7" PRId64 "  ", t->tid);
	add_padded(out, t->name, 16);
	pf_buf_str(out, "  ");
	pf_utf8_add_plain(out, t->state[0] ? t->state : "-");
	if (t->syscall[0] && strcmp(t->syscall, t->state) != 0) {
		pf_buf_str(out, "  in ");
		pf_utf8_add_plain(out, t->syscall);
	}
	if (t->age_ns)
		pf_buf_printf(out, "  for %.1f s", (double)t->age_ns / PF_NS_PER_SECOND);
	if (t->created_by[0]) {
		pf_buf_str(out, "  created by ");
		pf_utf8_add_plain(out, t->created_by);
	}
	draw_own_labels(out, p, s);
	pf_buf_char(out, '\n');
}

/* ---- order: within a group by tid, groups by size and then by their lowest tid ---- */

struct dump {
	const struct pf_profile *in;
	struct pf_groups groups;
};

static int64_t tid_of(const struct dump *d, uint32_t sample)
{
	return pf_thread_labels(d->in, &d->in->samples[sample]).tid;
}

static int by_tid(const void *a, const void *b, void *dump)
{
	int64_t x = tid_of(dump, *(const uint32_t *)a), y = tid_of(dump, *(const uint32_t *)b);

	return x < y ? -1 : x > y;
}

static int by_size(const void *a, const void *b, void *dump)
{
	const struct pf_group *x = a, *y = b;
	const uint32_t *samples = ((const struct dump *)dump)->groups.samples;

	if (x->value != y->value)
		return x->value > y->value ? -1 : 1;
	return by_tid(&samples[x->sample_first], &samples[y->sample_first], dump);
}

static void sort(struct dump *d)
{
	struct pf_groups *g = &d->groups;

	for (size_t i = 0; i < g->count; i++)
		pf_sort_with(g->samples + g->items[i].sample_first, g->items[i].sample_count,
		    sizeof(*g->samples), by_tid, d);
	if (g->count)
		pf_sort_with(g->items, g->count, sizeof(*g->items), by_size, d);
}

static void draw_group(struct pf_buf *out, const struct dump *d, const struct pf_frames *frames,
    const struct pf_group *g)
{
	pf_buf_printf(out, "\n%" PRId64 " thread%s\n", g->value, g->value == 1 ? "" : "s");
	for (uint32_t i = 0; i < g->sample_count; i++) {
		uint32_t sample = d->groups.samples[g->sample_first + i];

		draw_thread(out, d->in, &d->in->samples[sample]);
	}
	for (uint32_t i = 0; i < g->depth; i++) {
		pf_buf_printf(out, "    #%" PRIu32 " ", i);
		pf_text_frame(out, &frames->items[d->groups.ids[g->id_first + i]]);
		pf_buf_char(out, '\n');
	}
}

void pf_render_threads(
    struct pf_buf *out, const struct pf_profile *in, const struct pf_query *query)
{
	uint32_t type = pf_profile_default_type(in);
	struct dump dump = {.in = in};
	struct pf_frames frames;
	int rc = query->lines ? pf_frames_init_by_line(&frames, in) : pf_frames_init(&frames, in);

	if (rc == 0)
		rc = pf_groups_init(&dump.groups, &frames, type);
	if (rc == 0) {
		sort(&dump);
		pf_text_head(out, in, type);
		for (size_t i = 0; i < dump.groups.count; i++)
			draw_group(out, &dump, &frames, &dump.groups.items[i]);
	} else {
		pf_buf_fail(out, rc);
	}
	pf_groups_finish(&dump.groups);
	pf_frames_finish(&frames);
}
