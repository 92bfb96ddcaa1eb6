/* Waiting: the text of mutex and block, which ends with who waits right now. A circle of threads that
 * wait for each other stands first, in the order in which they do.
 *
 *     # DEADLOCK: 2 threads, each waits for what the next one holds
 *     #      11  worker 1          mutex 0x55d0c0a010d0 held by 12 (worker 2)  for 5021.3 ms
 *     #          #0 lock_b  [server]
 *     #      12  worker 2          ...
 *     #
 *     # waiting now: 1 more thread
 *     #      13  worker 3          futex 0x7f0102030400  for at least 12.0 ms
 */
#include "base/buf.h"
#include "base/clock.h"
#include "render/frame.h"
#include "render/render.h"
#include "render/text.h"
#include "render/utf8.h"

#include <inttypes.h>
#include <string.h>

struct wait {
	int64_t tid, owner, age_ns, circle;
	uint64_t lock;
	bool at_least, lock_like;
	const char *name, *owner_name, *kind;
};

struct waiting {
	const struct pf_profile *in;
	struct pf_frames frames;
	bool locks_only; /* what mutex shows */
};

static struct wait wait_of(const struct waiting *w, size_t number)
{
	const struct pf_sample *s = &w->in->samples[number];
	struct wait out = {.name = "", .owner_name = "", .kind = ""};

	for (uint32_t i = 0; i < s->label_count; i++) {
		const struct pf_label *l = &w->in->labels[s->label_first + i];
		const char *text = l->str ? l->str : "";

		if (strcmp(l->key, "tid") == 0)
			out.tid = l->num;
		else if (strcmp(l->key, "owner") == 0)
			out.owner = l->num;
		else if (strcmp(l->key, "age_ns") == 0)
			out.age_ns = l->num;
		else if (strcmp(l->key, "deadlock") == 0)
			out.circle = l->num;
		else if (strcmp(l->key, "lock") == 0)
			out.lock = (uint64_t)l->num;
		else if (strcmp(l->key, "at_least") == 0)
			out.at_least = l->num;
		else if (strcmp(l->key, "lock_like") == 0)
			out.lock_like = l->num;
		else if (strcmp(l->key, "thread") == 0)
			out.name = text;
		else if (strcmp(l->key, "owner_thread") == 0)
			out.owner_name = text;
		else if (strcmp(l->key, "kind") == 0)
			out.kind = text;
	}
	return out;
}

static void draw_line(struct pf_buf *out, const struct wait *wait)
{
	pf_buf_printf(out, "# %7" PRId64 "  ", wait->tid);
	pf_utf8_add_plain(out, wait->name);
	pf_buf_str(out, "  ");
	pf_utf8_add_plain(out, wait->kind);
	pf_buf_printf(out, " 0x%" PRIx64, wait->lock);
	if (wait->owner) {
		pf_buf_str(out, strcmp(wait->kind, "join") == 0 ? " the end of " : " held by ");
		pf_buf_printf(out, "%" PRId64, wait->owner);
		if (wait->owner_name[0]) {
			pf_buf_str(out, " (");
			pf_utf8_add_plain(out, wait->owner_name);
			pf_buf_char(out, ')');
		}
	}
	pf_buf_printf(out, "  for %s%.1f ms\n", wait->at_least ? "at least " : "",
	    (double)wait->age_ns / PF_NS_PER_MS);
}

static void draw_stack(struct pf_buf *out, const struct waiting *w, size_t number)
{
	const struct pf_sample *s = &w->in->samples[number];
	unsigned depth = 0;

	for (uint32_t i = 0; i < s->pc_count; i++) {
		uint32_t count;
		const uint32_t *ids = pf_frames_at(&w->frames, w->in->pcs[s->pc_first + i], &count);

		for (uint32_t k = 0; k < count; k++) {
			pf_buf_printf(out, "#          #%u ", depth++);
			pf_text_frame(out, &w->frames.items[ids[k]]);
			pf_buf_char(out, '\n');
		}
	}
}

static void draw(struct pf_buf *out, const struct waiting *w, size_t number)
{
	struct wait wait = wait_of(w, number);

	draw_line(out, &wait);
	draw_stack(out, w, number);
}

/* The sample of a thread that waits, or the count of them all. */
static size_t find(const struct waiting *w, int64_t tid)
{
	size_t i = 0;

	while (i < w->in->sample_count && wait_of(w, i).tid != tid)
		i++;
	return i;
}

static void draw_circle(struct pf_buf *out, const struct waiting *w, size_t first)
{
	size_t length = 0, at = first;

	for (size_t i = 0; i < w->in->sample_count; i++)
		length += wait_of(w, i).circle == wait_of(w, first).circle;
	pf_buf_printf(out, "#\n# DEADLOCK: %zu thread%s\n", length,
	    length == 1 ? ", which waits for itself" : "s, each waits for what the next one holds");
	for (size_t i = 0; i < length && at < w->in->sample_count; i++) {
		draw(out, w, at);
		at = find(w, wait_of(w, at).owner);
	}
}

static void draw_circles(struct pf_buf *out, const struct waiting *w)
{
	int64_t drawn = 0;

	for (size_t i = 0; i < w->in->sample_count; i++)
		if (wait_of(w, i).circle > drawn) {
			drawn = wait_of(w, i).circle;
			draw_circle(out, w, i);
		}
}

static bool is_shown(const struct waiting *w, size_t number)
{
	struct wait wait = wait_of(w, number);

	return !wait.circle && (wait.lock_like || !w->locks_only);
}

static void draw_others(struct pf_buf *out, const struct waiting *w)
{
	size_t count = 0;

	for (size_t i = 0; i < w->in->sample_count; i++)
		count += is_shown(w, i);
	pf_buf_printf(out, "#\n# waiting now: %zu thread%s%s\n", count, count == 1 ? "" : "s",
	    w->locks_only ? " for locks" : "");
	for (size_t i = 0; i < w->in->sample_count; i++)
		if (is_shown(w, i))
			draw(out, w, i);
}

void pf_render_waiting(
    struct pf_buf *out, const struct pf_profile *in, const struct pf_query *query)
{
	struct waiting w = {.in = in->waiting, .locks_only = strcmp(in->name, "mutex") == 0};
	int rc;

	pf_render_text(out, in, query);
	if (!in->waiting)
		return;
	rc = pf_frames_init(&w.frames, in->waiting);
	if (rc == 0) {
		draw_circles(out, &w);
		draw_others(out, &w);
	} else {
		pf_buf_fail(out, rc);
	}
	pf_frames_finish(&w.frames);
}
