#include "sampler/ring.h"
#include "base/arena.h"
#include "base/mark.h"

#include <errno.h>

enum { CELLS = 65536 };

_Static_assert(sizeof(struct pf_ring_record) == 32, "two cells to a cache line");

static struct pf_ring_record *cells; /* atomic */
static uint64_t head;                /* atomic: cells claimed so far */
static uint64_t tail;                /* atomic: cells read so far */

int pf_ring_init(void)
{
	struct pf_ring_record *fresh;
	struct pf_ring_record *none = NULL;

	if (__atomic_load_n(&cells, __ATOMIC_ACQUIRE))
		return 0;
	fresh = pf_arena_map(CELLS * sizeof(*fresh));
	if (!fresh)
		return -ENOMEM;
	if (!__atomic_compare_exchange_n(
		&cells, &none, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		pf_arena_unmap(fresh, CELLS * sizeof(*fresh));
	return 0;
}

PF_SIGSAFE bool pf_ring_push(const struct pf_ring_record *record)
{
	struct pf_ring_record *ring = __atomic_load_n(&cells, __ATOMIC_ACQUIRE);
	uint64_t place = __atomic_load_n(&head, __ATOMIC_RELAXED);
	struct pf_ring_record *cell;

	if (!ring)
		return false;
	do
		if (place - __atomic_load_n(&tail, __ATOMIC_ACQUIRE) >= CELLS)
			return false;
	while (!__atomic_compare_exchange_n(
	    &head, &place, place + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	cell = &ring[place % CELLS];
	cell->weight_ns = record->weight_ns;
	cell->stack = record->stack;
	cell->thread = record->thread;
	cell->tid = record->tid;
	cell->labels = record->labels;
	cell->rest = record->rest;
	__atomic_store_n(&cell->time_ns, record->time_ns, __ATOMIC_RELEASE);
	return true;
}

bool pf_ring_pop(struct pf_ring_record *record)
{
	struct pf_ring_record *ring = __atomic_load_n(&cells, __ATOMIC_ACQUIRE);
	uint64_t place = __atomic_load_n(&tail, __ATOMIC_RELAXED);
	struct pf_ring_record *cell;
	int64_t time_ns;

	if (!ring)
		return false;
	cell = &ring[place % CELLS];
	time_ns = __atomic_load_n(&cell->time_ns, __ATOMIC_ACQUIRE);
	if (time_ns == 0)
		return false;
	*record = *cell;
	record->time_ns = time_ns;
	/* Emptied before it is given back: the next writer finds no old time in it. */
	__atomic_store_n(&cell->time_ns, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&tail, place + 1, __ATOMIC_RELEASE);
	return true;
}

PF_SIGSAFE void pf_ring_fork_child(void)
{
	struct pf_ring_record *ring = cells;

	for (uint64_t place = tail; ring && place < head; place++)
		ring[place % CELLS].time_ns = 0;
	head = 0;
	tail = 0;
}
