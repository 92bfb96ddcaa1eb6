/* Event: what happened, as a stream of lines for whoever has `events` open.
 *
 *     2026-11-21T07:28:50Z capture cpu started 5 s      capture, refused, gc, snapshot, dropped
 *
 *     capture.c, control.c --add--> ring of the last lines --read--> each reader at his own place
 *
 * A reader who is too slow is told how many lines he has missed. Waiting is the kernel's and the
 * keeper's (fuse_stream.c), and costs no thread. While somebody reads, counters of losses are
 * looked at once a second.
 *
 * Any thread of ours; the lock inside has rank PF_LOCK_LEAF.
 */
#pragma once
#include "base/counter.h"
#include "base/lock.h"
#include "base/mark.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PF_EVENT_LINES = 256, PF_EVENT_LINE = 192 };

struct pf_event_line {
	char text[PF_EVENT_LINE]; /* with its newline */
	size_t length;
};

struct pf_events {
	void (*changed)(void *to);
	void *changed_to;

	struct pf_lock lock;
	uint64_t count;   /* guarded by lock, as all below: lines so far */
	uint32_t readers; /* who have it open */
	bool watching;    /* `seen` holds */
	int64_t look_ns;  /* when the counters are due */
	uint64_t seen[PF_COUNTER_COUNT];
	struct pf_event_line lines[PF_EVENT_LINES];
};

/* A place in the stream; memory is the reader's. */
struct pf_event_reader {
	uint64_t next;             /* guarded by the events' lock, as all below */
	struct pf_event_line line; /* what is being read */
	size_t taken;              /* of it */
};

void pf_events_init(struct pf_events *events);
/* Called for every new line and reader; it may only wake somebody: locks may be held. */
void pf_events_on_change(struct pf_events *events, void (*changed)(void *to), void *to);

/* One line, ended by the first newline; the time is put before it. Locks may be held. */
void pf_event_add(struct pf_events *events, const char *format, ...) PF_PRINTF(2, 3);

/* From now on. */
void pf_event_join(struct pf_events *events, struct pf_event_reader *reader);
void pf_event_leave(struct pf_events *events);

/* Is there something to read? */
bool pf_event_ready(struct pf_events *events, struct pf_event_reader *reader);
/* As many bytes as there are and fit. */
size_t pf_event_read(
    struct pf_events *events, struct pf_event_reader *reader, char *out, size_t size);

/* The keeper's round. When to come again (monotonic), or -1 for never. */
int64_t pf_events_tick(struct pf_events *events, int64_t now_ns);
