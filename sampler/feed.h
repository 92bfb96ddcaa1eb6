/* Feed: samples as they come, to everybody who collects at the moment.
 *
 *   drainer --records--> feed --+--> windows that are open (each sums for itself)
 *                               `--> recorder (the last config/recorder_seconds, oldest go first)
 *
 * One for CPU, one for wall clock. A record needs nobody's help: it carries the thread's name, so
 * the thread may be gone. Our own threads.
 */
#pragma once
#include "base/counter.h"
#include "base/lock.h"
#include "sampler/thread.h"

struct pf_window;

enum pf_record_kind {
	PF_RECORD_SAMPLE,
	PF_RECORD_REST, /* CPU time of a thread behind its last sample: no stack */
	PF_RECORD_LOST, /* samples that could not be kept: no thread */
};

/* pf_record.state when it is not the number of the system call it sleeps in. */
enum {
	PF_STATE_ASLEEP = -4, /* somewhere: /proc does not say where */
	PF_STATE_NONE = -3,   /* not asked */
	PF_STATE_RUNNING = -2,
	PF_STATE_FAULT = -1, /* outside any call: waits for a page, or is stopped */
};

struct pf_record {
	int64_t time_ns; /* monotonic */
	int64_t weight_ns;
	bool spans;         /* the weight is the time before time_ns, whoever ran then */
	int64_t nominal_ns; /* what such a sample stands for on average */
	uint64_t start;     /* the thread's start routine */
	uint32_t stack;
	pid_t tid;
	uint32_t labels;
	int16_t state;
	uint16_t kind; /* enum pf_record_kind */
	uint32_t count;
	char name[PF_THREAD_NAME];
};

struct pf_feed {
	struct pf_lock lock;
	enum pf_counter forgotten; /* counts what the recorder forgot for want of memory */
	struct pf_window *windows; /* guarded by lock */
	/* The recorder: a circle of `capacity` records, guarded by lock. */
	bool recording;
	struct pf_record *records;
	size_t capacity, first, count;
	int64_t recording_since_ns;
};

#define PF_FEED_INIT(forgotten_counter)                                                            \
	{                                                                                          \
		.lock = PF_LOCK_INIT(PF_LOCK_THREAD), .forgotten = (forgotten_counter)             \
	}

void pf_feed_add(struct pf_feed *feed, const struct pf_record *record);

/* The recorder on or off; off forgets everything. */
void pf_feed_record(struct pf_feed *feed, bool on);
/* Adds what the recorder holds, be it nothing, to a window of one's own; from which moment on it is
 * complete is the result, or -ENODATA: the recorder is off. */
int64_t pf_feed_replay(struct pf_feed *feed, struct pf_window *window);

/* From this moment on every record also goes to this window, until it is detached; of those that span
 * time the part that lies in it. */
void pf_feed_attach(struct pf_feed *feed, struct pf_window *window);
/* What is after this moment, which is the result, is not the window's: for records that span time. They
 * may still come. */
int64_t pf_feed_close(struct pf_feed *feed, struct pf_window *window);
void pf_feed_detach(struct pf_feed *feed, struct pf_window *window);

/* In the child after fork: nobody listens; the memory is left alone. PF_SIGSAFE. */
void pf_feed_fork_child(struct pf_feed *feed);
