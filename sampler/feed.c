#include "sampler/feed.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/knob.h"
#include "sampler/window.h"

#include <errno.h>
#include <string.h>

#ifdef PF_SMALL
enum { RECORDER_MAX = 4096 };
#else
enum { RECORDER_MAX = 262144 }; /* 20 MiB: 97 Hz on 45 busy threads for a minute */
#endif

/* Guarded by the feed's lock from here on. Doubles the circle, straightened out. */
static bool grow_locked(struct pf_feed *feed)
{
	struct pf_record *grown = NULL;
	size_t capacity = 0;
	size_t tail;

	if (feed->capacity >= RECORDER_MAX ||
	    pf_vec_reserve((void **)&grown, &capacity, sizeof(*grown), feed->count + 1) < 0)
		return false;
	tail = feed->capacity - feed->first;
	if (tail > feed->count)
		tail = feed->count;
	if (feed->count) {
		memcpy(grown, feed->records + feed->first, tail * sizeof(*grown));
		memcpy(grown + tail, feed->records, (feed->count - tail) * sizeof(*grown));
	}
	pf_vec_free(feed->records, feed->capacity, sizeof(*grown));
	feed->records = grown;
	feed->capacity = capacity;
	feed->first = 0;
	return true;
}

static void drop_oldest_locked(struct pf_feed *feed)
{
	/* What is left is complete only behind the last one that went; late answers come out of order. */
	int64_t went_ns = feed->records[feed->first].time_ns;

	if (went_ns > feed->recording_since_ns)
		feed->recording_since_ns = went_ns;
	feed->first = (feed->first + 1) % feed->capacity;
	feed->count--;
}

static void record_locked(struct pf_feed *feed, const struct pf_record *record)
{
	int64_t keep_ns = pf_knob_get(PF_KNOB_RECORDER_SECONDS) * PF_NS_PER_SECOND;

	while (feed->count && feed->records[feed->first].time_ns < record->time_ns - keep_ns)
		drop_oldest_locked(feed);
	if (feed->count == feed->capacity && !grow_locked(feed)) {
		pf_count(feed->forgotten);
		if (feed->count == 0)
			return;
		drop_oldest_locked(feed);
	}
	feed->records[(feed->first + feed->count++) % feed->capacity] = *record;
}

void pf_feed_add(struct pf_feed *feed, const struct pf_record *record)
{
	pf_lock_take(&feed->lock);
	for (struct pf_window *w = feed->windows; w; w = w->next)
		pf_window_add(w, record);
	if (feed->recording)
		record_locked(feed, record);
	pf_lock_give(&feed->lock);
}

void pf_feed_record(struct pf_feed *feed, bool on)
{
	pf_lock_take(&feed->lock);
	if (on && !feed->recording)
		feed->recording_since_ns = pf_clock_now_ns();
	if (!on) {
		pf_vec_free(feed->records, feed->capacity, sizeof(*feed->records));
		feed->records = NULL;
		feed->capacity = feed->first = feed->count = 0;
	}
	feed->recording = on;
	pf_lock_give(&feed->lock);
}

int64_t pf_feed_replay(struct pf_feed *feed, struct pf_window *window)
{
	int64_t oldest =
	    pf_clock_now_ns() - pf_knob_get(PF_KNOB_RECORDER_SECONDS) * PF_NS_PER_SECOND;
	int64_t since = -ENODATA;

	pf_lock_take(&feed->lock);
	if (feed->recording) {
		since = feed->recording_since_ns > oldest ? feed->recording_since_ns : oldest;
		window->since_ns = since;
	}
	for (size_t i = 0; i < feed->count; i++) {
		const struct pf_record *r = &feed->records[(feed->first + i) % feed->capacity];

		if (r->time_ns >= oldest)
			pf_window_add(window, r);
	}
	pf_lock_give(&feed->lock);
	return since;
}

void pf_feed_attach(struct pf_feed *feed, struct pf_window *window)
{
	pf_lock_take(&feed->lock);
	window->since_ns = pf_clock_now_ns();
	window->next = feed->windows;
	feed->windows = window;
	pf_lock_give(&feed->lock);
}

int64_t pf_feed_close(struct pf_feed *feed, struct pf_window *window)
{
	int64_t now_ns;

	pf_lock_take(&feed->lock);
	now_ns = pf_clock_now_ns();
	window->until_ns = now_ns;
	pf_lock_give(&feed->lock);
	return now_ns;
}

void pf_feed_detach(struct pf_feed *feed, struct pf_window *window)
{
	pf_lock_take(&feed->lock);
	for (struct pf_window **link = &feed->windows; *link; link = &(*link)->next)
		if (*link == window) {
			*link = window->next;
			break;
		}
	pf_lock_give(&feed->lock);
}

PF_SIGSAFE void pf_feed_fork_child(struct pf_feed *feed)
{
	if (feed->lock.word != 0) { /* somebody was about to replace them */
		feed->records = NULL;
		feed->capacity = 0;
	}
	feed->lock.word = 0;
	feed->windows = NULL;
	feed->recording = false;
	feed->first = feed->count = 0;
}
