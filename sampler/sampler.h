/* The sampler's front door: what it can collect, as data, so that libproffs-fs.so needs no symbol
 * of libproffs.so. One row per profile, one per collector.
 */
#pragma once
#include "base/counter.h"
#include "base/feature.h"
#include "base/knob.h"
#include "base/profile.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct pf_buf;

/* What can be switched on and off (`enable`). A new one is a new line. */
#define PF_COLLECTORS(X)                                                                           \
	X(CPU, "cpu")                                                                              \
	X(WALL, "wall")                                                                            \
	X(HEAP, "heap")                                                                            \
	X(MUTEX, "mutex")                                                                          \
	X(BLOCK, "block")                                                                          \
	X(EXCEPTIONS, "exceptions")

enum pf_collector {
#define X(id, name) PF_COLLECTOR_##id,
	PF_COLLECTORS(X)
#undef X
	    PF_COLLECTOR_COUNT
};

/* Where a profile comes from; fs/table.c names one in each profile row. */
enum pf_source {
	PF_SOURCE_CPU,          /* query.seconds_ns > 0: a window; 0: the recorder's */
	PF_SOURCE_WALL,         /* the same */
	PF_SOURCE_HEAP,         /* Go's four columns, default inuse_space */
	PF_SOURCE_HEAP_PEAK,    /* in use when it was most */
	PF_SOURCE_HEAP_LEAKS,   /* in use for long, with ages */
	PF_SOURCE_HEAP_LIVES,   /* how long blocks live */
	PF_SOURCE_MUTEX,        /* contentions, delay: by who released */
	PF_SOURCE_BLOCK,        /* contentions, delay: by who waited */
	PF_SOURCE_THREADS,      /* every thread now: one sample each */
	PF_SOURCE_THREADCREATE, /* every thread ever created, by who did it */
	PF_SOURCE_EXCEPTIONS,   /* throws and rethrows, by type and stack */
	PF_SOURCE_COUNT,
};

struct pf_collector_ops {
	const char *name;
	bool (*enabled)(void);
	/* Idempotent. 0, -EOPNOTSUPP (status says why), -errno. Our own threads and the constructor. */
	int (*enable)(bool on);
	bool
	    early; /* where the user chose it, on before main(): constructors are the program's, too */
};

struct pf_thread_view {
	pid_t tid;
	char name[16];
	const char *state; /* "running", "futex", "poll", ... */
	int64_t cpu_ns;
	int64_t age_ns;  /* since first seen */
	uint32_t labels; /* for print_labels */
};

/* What the allocator says of itself; -1: it does not say. */
struct pf_allocator {
	const char *name;        /* "glibc", "jemalloc", "tcmalloc", "mimalloc" */
	int64_t system_bytes;    /* had from the kernel and not given back */
	int64_t in_use_bytes;    /* in blocks the program has */
	int64_t free_bytes;      /* in free blocks */
	int64_t mapped_bytes;    /* of in_use: in mappings of their own */
	int64_t trimmable_bytes; /* of free: what `gc` would give back at once */
	int64_t time_ns;         /* monotonic: when it was asked */
	int64_t took_ns;         /* how long that took */
};

/* Everything the tree needs. Filled once by pf_sampler_door(); lives for ever. */
struct pf_sampler {
	const char *version; /* PF_VERSION; both shared objects must be of one build */
	uint64_t *counters;
	/* Brings those up to date that are added up in the threads and summed once a second; or NULL. */
	void (*flush_counters)(void);
	struct pf_knob *knobs;
	struct pf_feature_entry *features;
	struct pf_births *births;
	uint32_t *forbidden;
	bool clock_is_replaced; /* base/clock.h */

	struct pf_collector_ops collectors[PF_COLLECTOR_COUNT];
	pf_collect_fn *collect[PF_SOURCE_COUNT];

	/* How many records (stacks, threads) a profile has now, at the cost of a look; -1: its collector
	 * is off. NULL: not known. */
	int64_t (*records[PF_SOURCE_COUNT])(void);
	/* Bytes in use and ever allocated, by the heap's samples; left alone while that is off. */
	void (*heap_totals)(int64_t *in_use, int64_t *allocated);
	/* Before its line in status is read: looks for what takes a while to find. NULL: nothing. */
	void (*heap_look)(void);
	/* 0, or -EOPNOTSUPP: none that can be asked (allocator.h). */
	int (*allocator)(struct pf_allocator *out);
	/* Up to `max` threads of the program, ours left out; returns how many there are. */
	size_t (*threads)(struct pf_thread_view *out, size_t max);
	/* One of them; false when it has ended, or never was. */
	bool (*thread)(pid_t tid, struct pf_thread_view *out);
	/* The thread that `tid` waits for, 0: nobody or not known; *endless: in a circle. No lock. */
	pid_t (*blocked_on)(pid_t tid, bool *endless);
	/* What the program says about a thread, a line KEY=VALUE each. */
	void (*print_labels)(uint32_t labels, struct pf_buf *out);
	/* The profiles that the program defines (custom.c), by number from 0: name or NULL; collect. */
	const char *(*custom_name)(uint32_t number);
	int (*custom_collect)(uint32_t number, struct pf_profile *out);
	/* The last exception thrown, as one sample (labels type, how, message, tid; state `fatal`: the
	 * program aborted while it was handled). -ENODATA: none yet. */
	int (*last_exception)(struct pf_profile *out);
	/* Give free memory back to the kernel, with `collect` after the program's own collector; says
	 * in words what came of it, also of a failure. 0 or -errno. */
	int (*release_memory)(bool collect, struct pf_buf *said, struct pf_wait *wait);
	/* Adds every executable mapping (map.h): 0 or -errno. */
	int (*mappings)(struct pf_profile *out);
	/* Once a second: true when all threads of the program have ended and nobody told libc. */
	bool (*nobody_left)(void);
	int64_t (*cpu_ns)(void);       /* our own threads and handlers */
	int64_t (*memory_bytes)(void); /* ours: arenas, stores, buffers of this object */
	void (*stack_usage)(size_t *bytes, size_t *count);
	/* A thread of ours (crew.h): 0 or -errno. */
	int (*start_thread)(const char *name, void *(*run)(void *), void *arg);
	int64_t started_ns; /* real time at which the agent started */
};

const struct pf_sampler *pf_sampler_door(void);

/* Once, from normal code, before anything is enabled. */
void pf_sampler_init(void);

/* NULL, or why this program had better not be watched at all. From the constructor. */
const char *pf_sampler_obstacle(void);

/* From the constructor: the hooks that see what the program does before main() are put in place:
 * on thread creation, and those of the collectors asked for that are `early`. */
void pf_sampler_start_early(const bool wanted[PF_COLLECTOR_COUNT]);

/* Starts the drainer and finds the threads; collectors stay as they are. Called by a member of the
 * crew. 0 or -errno. */
int pf_sampler_start(void);
/* Collectors off, timers gone, drainer ended (bounded by a second). Any thread of ours. */
void pf_sampler_stop(void);
/* Every other thread of the process is dead, killed wherever it was: what was collected can still be
 * read, and nobody is waited for (agent/heir.h). */
void pf_sampler_alone(void);
/* In the child after fork: hooks pass through, nothing samples. With `stays`, for a child that will be
 * watched itself, the heap's go on: its memory has its parent's blocks. */
void pf_sampler_fork_child(bool stays);

/* What the program says about the calling thread (label.c), on every sample of it from now on and
 * inherited by threads it creates. NULL for `key` clears all. -EINVAL: an empty key, or texts of 64
 * bytes and more; -E2BIG: more than eight keys; -ENOSPC: the store of sets is full. */
int pf_label_set(const char *key, const char *value);
int pf_label_clear(const char *key);
