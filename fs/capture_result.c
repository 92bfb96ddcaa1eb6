/* What is left of captures: their profiles and drawings, and what is told of them. */
#include "base/buf.h"
#include "base/clock.h"
#include "fs/capture_own.h"
#include "fs/make.h"
#include "fs/snapshot.h"

#include <stdlib.h>
#include <string.h>

struct pf_kept *pf_captures_kept(struct pf_captures *all)
{
	return &all->kept;
}

const struct pf_profile *pf_capture_profile(const struct pf_capture *capture)
{
	return &capture->profile;
}

void pf_captures_note_change(struct pf_captures *all)
{
	if (all->changed)
		all->changed(all->changed_to);
}

void pf_capture_forget(struct pf_captures *all, uint64_t number)
{
	pf_lock_take(&all->lock);
	for (int source = 0; source < PF_SOURCE_COUNT; source++) {
		struct pf_capture *c = all->latest[source];

		if (c && c->number == number)
			all->latest[source] = NULL;
	}
	pf_lock_give(&all->lock);
	pf_captures_note_change(all);
}

/* ---- drawings ---- */

struct pf_snapshot *pf_capture_drawn(
    struct pf_captures *all, struct pf_capture *capture, uint64_t which)
{
	struct pf_snapshot *found = NULL;

	pf_lock_take(&all->lock);
	for (struct pf_drawn *d = capture->drawn; d && !found; d = d->next)
		if (d->which == which)
			found = pf_snapshot_hold(d->snapshot);
	pf_lock_give(&all->lock);
	return found;
}

void pf_capture_add_drawn(struct pf_captures *all, struct pf_capture *capture, uint64_t which,
    struct pf_snapshot *snapshot)
{
	struct pf_drawn *d = malloc(sizeof(*d));

	if (!d)
		return; /* the next reader draws it again */
	d->which = which;
	d->snapshot = pf_snapshot_hold(snapshot);
	pf_lock_take(&all->lock);
	d->next = capture->drawn;
	capture->drawn = d;
	pf_lock_give(&all->lock);
}

/* ---- telling ---- */

static double seconds(int64_t ns)
{
	return (double)ns / PF_NS_PER_SECOND;
}

static void describe_running(struct pf_buf *out, const struct pf_capture *c)
{
	int64_t passed = pf_clock_now_ns() - c->started_ns;
	int64_t length = c->key.seconds_ns;
	const char *stem = pf_make_row(c->key.source)->stem;
	uint32_t readers = 0;

	for (const struct pf_capture_waiter *w = c->waiters; w; w = w->next)
		readers += w->readers;
	if (!c->collecting)
		pf_buf_printf(out, "%s finishing", stem);
	else
		pf_buf_printf(out, "%s running %.1f of %.1f s", stem,
		    seconds(passed < length ? passed : length), seconds(length));
	pf_buf_printf(out, ", %u waiting\n", readers);
}

static void describe_outcome(struct pf_buf *out, const char *stem, const struct pf_outcome *o)
{
	double ago = seconds(pf_clock_real_ns() - o->time_ns);

	if (o->rc < 0)
		pf_buf_printf(
		    out, "%s last failed %.0f s ago: %s\n", stem, ago, strerrordesc_np(-o->rc));
	else
		pf_buf_printf(out, "%s last finished %.0f s ago: %.1f s, %zu stacks\n", stem, ago,
		    seconds(o->took_ns), o->sample_count);
}

void pf_captures_describe(struct pf_captures *all, struct pf_buf *out, int source)
{
	pf_lock_take(&all->lock);
	for (struct pf_capture *c = all->first; c; c = c->next)
		if (c->running && (source < 0 || (int)c->key.source == source))
			describe_running(out, c);
	for (int s = 0; s < PF_SOURCE_COUNT; s++)
		if (all->outcome[s].time_ns && (source < 0 || s == source))
			describe_outcome(
			    out, pf_make_row((enum pf_source)s)->stem, &all->outcome[s]);
	pf_lock_give(&all->lock);
}

uint64_t pf_captures_started(struct pf_captures *all)
{
	uint64_t started;

	pf_lock_take(&all->lock);
	started = all->started;
	pf_lock_give(&all->lock);
	return started;
}
