/* What capture.c (its life) and capture_result.c (what is left of it) share. Nobody else looks in.
 * Functions ending in _locked: all->lock is held.
 */
#pragma once
#include "base/lock.h"
#include "fs/capture.h"
#include "fs/kept.h"

struct pf_drawn {
	struct pf_drawn *next;
	uint64_t which;
	struct pf_snapshot *snapshot;
};

struct pf_capture {
	struct pf_captures *all;
	struct pf_capture *next; /* guarded by all->lock, as all below but profile and wait */
	uint32_t holders;        /* being in the list is one */
	uint64_t number;
	struct pf_capture_key key;
	bool begun;      /* by a control: needs no reader */
	bool running;    /* until its result can be had */
	bool collecting; /* until the collector is free for another */
	bool cancelled;
	struct pf_capture_waiter *waiters;
	int64_t started_ns;
	int64_t idle_ns; /* since when nobody waits */
	int64_t done_ns;
	struct pf_drawn *drawn;
	struct pf_wait wait;
	struct pf_profile profile; /* its thread's; after `running`, nobody's to change */
};

struct pf_outcome {
	int rc;
	int64_t time_ns; /* since the epoch; 0: none yet */
	int64_t took_ns;
	size_t sample_count;
};

struct pf_captures {
	struct pf_live *live;
	struct pf_kept kept;
	uint32_t threads; /* atomic, futex: capture threads alive */
	void (*changed)(void *to);
	void *changed_to;

	struct pf_lock lock;
	bool stopping; /* guarded by lock, as all below */
	struct pf_capture *first;
	struct pf_capture *latest[PF_SOURCE_COUNT]; /* in the list */
	struct pf_outcome outcome[PF_SOURCE_COUNT];
	uint64_t started;
	int64_t outdated_ns; /* results of captures begun before this are not used again */
};

/* Tells the keeper that it may be due earlier. It only wakes: locks may be held. */
void pf_captures_note_change(struct pf_captures *all);
