#include "base/clock.h"
#include "base/counter.h"
#include "fs/capture_own.h"
#include "fs/kept.h"
#include "fs/live.h"
#include "fs/make.h"
#include "fs/snapshot.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* How long a capture outlives its last reader, and its result the end. */
static const int64_t GRACE_NS = 1000ll * PF_NS_PER_MS;
static const int64_t REUSE_NS = 2000ll * PF_NS_PER_MS;

enum { DIFFERENCES_MAX = 8 }; /* running at once, of profiles that do not take turns */

struct pf_captures *pf_captures_create(struct pf_live *live)
{
	struct pf_captures *all = calloc(1, sizeof(*all));

	if (!all)
		return NULL;
	all->live = live;
	all->lock = (struct pf_lock)PF_LOCK_INIT(PF_LOCK_WINDOW);
	pf_kept_init(&all->kept);
	return all;
}

static void free_capture(struct pf_capture *c)
{
	while (c->drawn) {
		struct pf_drawn *next = c->drawn->next;

		pf_snapshot_drop(c->drawn->snapshot);
		free(c->drawn);
		c->drawn = next;
	}
	pf_profile_finish(&c->profile);
	free(c);
}

void pf_captures_destroy(struct pf_captures *all)
{
	if (!all)
		return;
	while (all->first) {
		struct pf_capture *next = all->first->next;

		free_capture(all->first);
		all->first = next;
	}
	pf_kept_finish(&all->kept);
	free(all);
}

void pf_captures_on_change(struct pf_captures *all, void (*changed)(void *to), void *to)
{
	all->changed = changed;
	all->changed_to = to;
}

void pf_capture_drop(struct pf_captures *all, struct pf_capture *capture)
{
	bool last;

	pf_lock_take(&all->lock);
	last = --capture->holders == 0;
	pf_lock_give(&all->lock);
	if (last)
		free_capture(capture);
}

static void unlink_locked(struct pf_captures *all, struct pf_capture *c)
{
	struct pf_capture **at = &all->first;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
}

/* ---- its thread ---- */

/* The collector is free again. True: cancelled, but a reader came meanwhile, so begin anew. */
static bool wanted_again(struct pf_capture *c, int rc)
{
	struct pf_captures *all = c->all;
	bool again;

	pf_lock_take(&all->lock);
	again = rc == -EINTR && c->cancelled && c->waiters && !all->stopping;
	if (again) {
		c->cancelled = false;
		c->wait = (struct pf_wait)PF_WAIT_INIT;
		c->started_ns = pf_clock_now_ns();
	}
	c->collecting = again;
	pf_lock_give(&all->lock);
	return again;
}

static int take(struct pf_capture *c)
{
	struct pf_query query = {.seconds_ns = c->key.seconds_ns, .hz = c->key.hz, .gc = c->key.gc};
	int rc;

	do {
		pf_profile_finish(&c->profile);
		rc = pf_make_profile(c->all->live, c->key.source, &query, &c->wait, &c->profile);
	} while (wanted_again(c, rc));
	return rc;
}

/* Its file under captures/. Without memory for one there is none, and a counter says so. */
static void keep(struct pf_capture *c)
{
	const struct pf_profile_row *row = pf_make_row(c->key.source);
	struct pf_entry entry = {.profile = row, .view = &pf_table.go_view};
	struct pf_object object = {.entry = &entry};
	struct pf_snapshot *snapshot;
	int rc = pf_make_drawing(c->all->live, &object, &c->profile, &snapshot);

	if (rc == 0)
		rc = pf_kept_add(&c->all->kept, row->stem, c->profile.time_ns, c->number, snapshot);
	if (rc < 0)
		pf_count(PF_COUNTER_FS_CAPTURES_DROPPED);
	if (rc == 0)
		pf_capture_add_drawn(c->all, c, pf_make_which(&object), snapshot);
	pf_snapshot_drop(snapshot);
}

static void note_end(struct pf_capture *c, int rc, int64_t now_ns)
{
	struct pf_events *events = &c->all->live->events;
	const char *stem = pf_make_row(c->key.source)->stem;

	if (rc < 0)
		pf_event_add(events, "capture %s failed: %s", stem, strerrordesc_np(-rc));
	else
		pf_event_add(events, "capture %s ended %.1f s %zu stacks", stem,
		    (double)(now_ns - c->started_ns) / PF_NS_PER_SECOND, c->profile.sample_count);
}

/* Out of the running ones: everybody who waits, each with a hold on the result. */
static struct pf_capture_waiter *finish_locked(struct pf_capture *c, int rc)
{
	struct pf_captures *all = c->all;
	struct pf_capture_waiter *waiters = c->waiters;
	int64_t now = pf_clock_now_ns();

	c->running = false;
	c->done_ns = rc == 0 ? now : now - REUSE_NS;
	c->waiters = NULL;
	for (struct pf_capture_waiter *w = waiters; w; w = w->next) {
		w->capture = NULL;
		c->holders += rc == 0;
	}
	if (rc == 0)
		all->latest[c->key.source] = c;
	all->outcome[c->key.source] = (struct pf_outcome){
	    .rc = rc,
	    .time_ns = pf_clock_real_ns(),
	    .took_ns = now - c->started_ns,
	    .sample_count = c->profile.sample_count,
	};
	note_end(c, rc, now);
	return waiters;
}

static void *run_capture(void *arg)
{
	struct pf_capture *c = arg;
	struct pf_captures *all = c->all;
	struct pf_capture_waiter *waiters;
	int rc = take(c);

	if (rc == 0)
		keep(c);
	pf_lock_take(&all->lock);
	waiters = finish_locked(c, rc);
	pf_lock_give(&all->lock);
	while (waiters) {
		struct pf_capture_waiter *next = waiters->next;

		waiters->ready(waiters, rc == 0 ? c : NULL, rc);
		waiters = next;
	}
	pf_captures_note_change(all);
	pf_capture_drop(all, c);
	/* From here on `all` may be gone; the kernel does not mind. */
	__atomic_fetch_sub(&all->threads, 1, __ATOMIC_RELEASE);
	pf_futex_wake(&all->threads, INT_MAX);
	return NULL;
}

/* ---- starting and joining ---- */

static bool same_key(const struct pf_capture_key *a, const struct pf_capture_key *b)
{
	return a->source == b->source && a->seconds_ns == b->seconds_ns && a->hz == b->hz &&
	       a->gc == b->gc;
}

/* Windows of one source take turns; of the others there may be a few at a time. */
static bool busy_locked(struct pf_captures *all, const struct pf_capture_key *key)
{
	bool window = pf_make_row(key->source)->window;
	int others = 0;

	for (struct pf_capture *c = all->first; c; c = c->next) {
		if (!c->collecting)
			continue;
		if (window && c->key.source == key->source)
			return true;
		others += !pf_make_row(c->key.source)->window;
	}
	return !window && others >= DIFFERENCES_MAX;
}

static struct pf_capture *find_locked(struct pf_captures *all, const struct pf_capture_key *key)
{
	int64_t now = pf_clock_now_ns();

	for (struct pf_capture *c = all->first; c; c = c->next) {
		bool ending = c->running && c->cancelled && !c->collecting;
		bool stale = !c->running &&
			     (now - c->done_ns >= REUSE_NS || c->started_ns < all->outdated_ns);

		if (!c->begun && !ending && !stale && same_key(&c->key, key))
			return c;
	}
	return NULL;
}

static void wait_locked(struct pf_capture *c, struct pf_capture_waiter *waiter)
{
	waiter->capture = c;
	waiter->next = c->waiters;
	c->waiters = waiter;
}

static struct pf_capture *new_capture(struct pf_captures *all, const struct pf_capture_key *key)
{
	struct pf_capture *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	*c = (struct pf_capture){
	    .all = all,
	    .holders = 2, /* the list and its thread */
	    .key = *key,
	    .running = true,
	    .collecting = true,
	    .started_ns = pf_clock_now_ns(),
	    .wait = PF_WAIT_INIT,
	};
	c->idle_ns = c->started_ns;
	return c;
}

static int add_locked(struct pf_captures *all, struct pf_capture *c)
{
	if (all->stopping)
		return -EINTR;
	if (busy_locked(all, &c->key))
		return -EBUSY;
	c->number = ++all->started;
	pf_event_add(&all->live->events, "capture %s started %.9g s",
	    pf_make_row(c->key.source)->stem, (double)c->key.seconds_ns / PF_NS_PER_SECOND);
	c->next = all->first;
	all->first = c;
	return 0;
}

/* It is in the list already, so that nobody else starts; without a thread it goes out again, and
 * who joined it meanwhile is told. */
static int start_thread(struct pf_capture *c, struct pf_capture_waiter *first)
{
	struct pf_captures *all = c->all;
	struct pf_capture_waiter *others;
	int rc;

	__atomic_fetch_add(&all->threads, 1, __ATOMIC_RELAXED);
	rc = all->live->door->start_thread("capture", run_capture, c);
	if (rc == 0)
		return 0;
	__atomic_fetch_sub(&all->threads, 1, __ATOMIC_RELEASE);
	pf_futex_wake(&all->threads, INT_MAX);
	pf_lock_take(&all->lock);
	unlink_locked(all, c);
	others = finish_locked(c, rc);
	pf_lock_give(&all->lock);
	while (others) {
		struct pf_capture_waiter *next = others->next;

		if (others != first)
			others->ready(others, NULL, rc);
		others = next;
	}
	free_capture(c);
	return rc;
}

int pf_capture_begin(struct pf_captures *all, const struct pf_capture_key *key)
{
	struct pf_capture *c = new_capture(all, key);
	int rc;

	if (!c)
		return -ENOMEM;
	c->begun = true;
	pf_lock_take(&all->lock);
	rc = add_locked(all, c);
	pf_lock_give(&all->lock);
	if (rc == 0)
		return start_thread(c, NULL);
	free_capture(c);
	return rc;
}

/* Waits for it if it runs (1), holds it if it is done (0). */
static int join_locked(
    struct pf_capture *c, struct pf_capture_waiter *waiter, struct pf_capture **out)
{
	if (c->running) {
		wait_locked(c, waiter);
		return 1;
	}
	c->holders++;
	*out = c;
	return 0;
}

int pf_capture_join(struct pf_captures *all, const struct pf_capture_key *key,
    struct pf_capture_waiter *waiter, struct pf_capture **out)
{
	struct pf_capture *fresh = new_capture(all, key);
	struct pf_capture *found;
	int rc;

	if (!fresh)
		return -ENOMEM;
	pf_lock_take(&all->lock);
	found = find_locked(all, key);
	if (found)
		rc = join_locked(found, waiter, out);
	else if ((rc = add_locked(all, fresh)) == 0)
		wait_locked(fresh, waiter);
	pf_lock_give(&all->lock);
	if (!found && rc == 0) {
		rc = start_thread(fresh, waiter);
		return rc < 0 ? rc : 1;
	}
	free_capture(fresh);
	return rc;
}

void pf_captures_outdate(struct pf_captures *all)
{
	pf_lock_take(&all->lock);
	all->outdated_ns = pf_clock_now_ns();
	pf_lock_give(&all->lock);
}

int pf_capture_join_any(struct pf_captures *all, enum pf_source source,
    struct pf_capture_waiter *waiter, struct pf_capture **out)
{
	struct pf_capture *found = NULL;
	int rc = -ENODATA;

	pf_lock_take(&all->lock);
	for (struct pf_capture *c = all->first; c && !found; c = c->next)
		if (c->running && !c->cancelled && c->key.source == source)
			found = c;
	found = found ? found : all->latest[source];
	if (found)
		rc = join_locked(found, waiter, out);
	pf_lock_give(&all->lock);
	return rc;
}

struct pf_capture *pf_capture_latest(struct pf_captures *all, enum pf_source source)
{
	struct pf_capture *latest;

	pf_lock_take(&all->lock);
	latest = all->latest[source];
	if (latest)
		latest->holders++;
	pf_lock_give(&all->lock);
	return latest;
}

void pf_capture_count(struct pf_captures *all, struct pf_capture_waiter *waiter, int change)
{
	pf_lock_take(&all->lock);
	waiter->readers += (uint32_t)change;
	pf_lock_give(&all->lock);
}

bool pf_capture_leave(struct pf_captures *all, struct pf_capture_waiter *waiter)
{
	struct pf_capture_waiter **at;
	struct pf_capture *c;

	pf_lock_take(&all->lock);
	c = waiter->capture;
	if (c) {
		for (at = &c->waiters; *at != waiter; at = &(*at)->next)
			;
		*at = waiter->next;
		waiter->capture = NULL;
		c->idle_ns = pf_clock_now_ns();
	}
	pf_lock_give(&all->lock);
	if (c)
		pf_captures_note_change(all);
	return c != NULL;
}

/* ---- ending ---- */

bool pf_capture_end(struct pf_captures *all, enum pf_source source)
{
	bool found = false;

	pf_lock_take(&all->lock);
	for (struct pf_capture *c = all->first; c; c = c->next) {
		if (!c->collecting || c->key.source != source)
			continue;
		pf_wait_stop(&c->wait);
		found = true;
	}
	pf_lock_give(&all->lock);
	return found;
}

static void cancel_locked(struct pf_capture *c)
{
	c->cancelled = true;
	pf_wait_cancel(&c->wait);
}

/* When something is to be done about it, or -1. Does it if that is now. */
static int64_t tick_one_locked(struct pf_capture *c, int64_t now_ns)
{
	if (!c->running)
		return c == c->all->latest[c->key.source] ? -1 : c->done_ns + REUSE_NS;
	if (c->begun || c->waiters || c->cancelled)
		return -1;
	if (c->idle_ns + GRACE_NS > now_ns)
		return c->idle_ns + GRACE_NS;
	cancel_locked(c);
	return -1;
}

int64_t pf_captures_tick(struct pf_captures *all, int64_t now_ns)
{
	struct pf_capture *old = NULL;
	struct pf_capture **at = &all->first;
	int64_t soonest = -1;

	pf_lock_take(&all->lock);
	while (*at) {
		struct pf_capture *c = *at;
		int64_t due = tick_one_locked(c, now_ns);

		if (due >= 0 && due <= now_ns) {
			*at = c->next;
			c->holders--;
			if (c->holders == 0) {
				c->next = old;
				old = c;
			}
			continue;
		}
		if (due >= 0 && (soonest < 0 || due < soonest))
			soonest = due;
		at = &c->next;
	}
	pf_lock_give(&all->lock);
	while (old) {
		struct pf_capture *next = old->next;

		free_capture(old);
		old = next;
	}
	return soonest;
}

int pf_captures_stop(struct pf_captures *all, int64_t deadline_ns)
{
	uint32_t threads;

	pf_lock_take(&all->lock);
	all->stopping = true;
	for (struct pf_capture *c = all->first; c; c = c->next)
		if (c->running)
			cancel_locked(c);
	pf_lock_give(&all->lock);
	while ((threads = __atomic_load_n(&all->threads, __ATOMIC_ACQUIRE)) != 0) {
		if (pf_clock_now_ns() >= deadline_ns)
			return -ETIMEDOUT;
		pf_futex_wait(&all->threads, threads, deadline_ns);
	}
	return 0;
}
