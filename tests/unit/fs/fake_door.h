/* A sampler made of nothing: collectors that return known profiles, and count how often.
 *
 *     cpu       waits for query.seconds (pf_wait_until); 100 per started second asked for
 *     heap      four columns: 1, 1000 * n, 2, 2000 * n for the n-th snapshot
 *     threads   one sample per thread
 *
 * Threads are plain pthreads with every signal blocked.
 */
#pragma once
#include "sampler/sampler.h"

#include <stdbool.h>
#include <stdint.h>

struct fake_door {
	struct pf_sampler door;
	uint32_t cpu_windows;  /* atomic: collections with seconds */
	uint32_t heap_reads;   /* atomic */
	uint32_t threads_made; /* atomic: by start_thread */
	uint32_t released;     /* atomic: gc */
	uint32_t custom;       /* profiles of the program's own: own0, own1 ... */
	uint32_t fail_cpu;     /* -errno the cpu collector returns, as a positive number */
	uint32_t fail_thread;  /* the same for start_thread */
	uint32_t fail_enable;  /* the same for heap's enable */
	bool recorder_has;     /* cpu with seconds 0 answers */
	bool on[PF_COLLECTOR_COUNT];
};

extern struct fake_door fake;

/* Everything as new; wall: with a wall collector. */
void fake_door_reset(bool wall);
