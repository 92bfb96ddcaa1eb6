#include "fs/snapshot.h"
#include "base/clock.h"

#include <stdlib.h>

struct pf_snapshot *pf_snapshot_create(struct pf_buf *text)
{
	struct pf_snapshot *snapshot = malloc(sizeof(*snapshot));

	if (!snapshot)
		return NULL;
	snapshot->holders = 1;
	snapshot->time_ns = pf_clock_real_ns();
	snapshot->text = *text;
	*text = (struct pf_buf)PF_BUF_INIT;
	return snapshot;
}

struct pf_snapshot *pf_snapshot_hold(struct pf_snapshot *snapshot)
{
	__atomic_fetch_add(&snapshot->holders, 1, __ATOMIC_RELAXED);
	return snapshot;
}

void pf_snapshot_drop(struct pf_snapshot *snapshot)
{
	if (!snapshot || __atomic_fetch_sub(&snapshot->holders, 1, __ATOMIC_ACQ_REL) != 1)
		return;
	pf_buf_finish(&snapshot->text);
	free(snapshot);
}
