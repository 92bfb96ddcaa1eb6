/* Live: what the files of one tree are made from, handed to every printer and every control.
 *
 * Knows nothing of FUSE: a test makes one from a door of its own.
 */
#pragma once
#include "base/lock.h"
#include "fs/control.h"
#include "fs/event.h"
#include "fs/lookup.h"
#include "fs/tree.h"

#include <sys/types.h>

struct pf_captures;
struct pf_history;
struct pf_symbols;

struct pf_live {
	const struct pf_sampler *door;
	const struct pf_tree *tree;
	struct pf_captures *captures;
	struct pf_history *history;
	struct pf_control *control;
	struct pf_events events;
	struct pf_lock symbol_lock;
	struct pf_symbols *symbols; /* guarded by symbol_lock */
	struct pf_lookup lookup;
	const char *where;   /* the tree's place, for status */
	bool served;         /* as a tree; else it is written as plain files, which have sizes */
	uint64_t node_count; /* atomic: files remembered for the kernel */
	pid_t pid;           /* the program's */
	bool borrows;        /* captures, history and control are the tree's */
};

/* Counters, settings and features are from now on those of the agent's object: 0, or -EINVAL when
 * that is of another version. */
int pf_live_adopt(const struct pf_sampler *door, const char **why);

/* 0 or -ENOMEM. `door` must outlive it. */
int pf_live_init(struct pf_live *live, const struct pf_sampler *door);
void pf_live_finish(struct pf_live *live);

/* A dump shows what the tree remembers, while there is one and after it: captures, history, refused
 * writes. Offered by the tree once it stands: it is not finished any more, but when the next one is
 * offered. */
void pf_live_offer(struct pf_live *live);
bool pf_live_is_offered(const struct pf_live *live);
/* Puts these in the place of its own, until pf_live_finish(); where this process (live->pid) had no
 * tree, its own stay. Before it is used. */
void pf_live_borrow(struct pf_live *live);

/* Names for every address of p. Our own threads, not the one that serves. */
void pf_live_resolve(struct pf_live *live, struct pf_profile *p);
