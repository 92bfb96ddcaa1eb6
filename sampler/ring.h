/* Ring: from the handlers to the drainer.
 *
 * A fixed run of 32-byte cells. A handler claims the next one by moving `head`, writes it, and
 * publishes it by its time, written last; the drainer reads in order, empties the cell, and moves
 * `tail`. A full ring refuses: the caller counts. No cell is ever skipped, so a writer that is held
 * up between claim and publish only holds up the drainer, never another writer.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct pf_ring_record {
	int64_t time_ns; /* monotonic; not 0 */
	int64_t weight_ns;
	uint32_t stack;
	uint32_t thread; /* slot number */
	pid_t tid;
	uint32_t labels : 31;
	uint32_t rest : 1; /* CPU time behind the last sample of a thread that has ended */
};

/* Once; 0 or -ENOMEM. */
int pf_ring_init(void);
/* PF_SIGSAFE. False: full, or no ring. */
bool pf_ring_push(const struct pf_ring_record *record);
/* The drainer alone. False: empty, or the next cell is being written. */
bool pf_ring_pop(struct pf_ring_record *record);
/* In the child after fork: empty. PF_SIGSAFE. */
void pf_ring_fork_child(void);
