/* Node: what the kernel knows by a number. Shared by node.c (who is known, and until when) and
 * file.c (what happens when one is opened); nobody else looks in.
 *
 * A node is freed when the kernel has forgotten it, nobody has it open and nothing is being made
 * for it. Functions ending in _locked: files->lock is held.
 */
#pragma once
#include "base/lock.h"
#include "fs/capture.h"
#include "fs/file.h"

enum { PF_NODE_BUCKETS = 256 };

enum pf_node_state { PF_NODE_EMPTY, PF_NODE_MAKING, PF_NODE_READY };

struct pf_node {
	struct pf_files *files;
	struct pf_node *next; /* in its bucket; guarded by files->lock, as all below */
	struct pf_node *next_virgin;
	uint64_t id, parent;
	char *name;
	struct pf_object object;
	bool virgin; /* the one that LOOKUP returns: nothing has been made of it yet */
	bool asked_to_forget;
	bool sizeless; /* the kernel could not be told the size of `snapshot` */
	enum pf_node_state state;
	uint64_t lookups, opens;
	int64_t used_ns;
	struct pf_snapshot *snapshot;
	struct pf_capture *capture; /* what its job draws, held; the maker's alone */
	struct pf_capture_waiter waiter;
	struct pf_job job;
};

struct pf_files {
	struct pf_live *live;
	struct pf_workers *workers;
	struct pf_kernel kernel;

	struct pf_lock lock;
	bool stopping; /* guarded by lock, as all below */
	bool sweeping;
	int64_t sweep_due_ns; /* when the keeper will look for names to forget; -1: not at all */
	uint32_t interrupted; /* calls to be answered by the keeper */
	int64_t patience_ns;  /* of the kernel; 0: no end to it. Written once */
	size_t node_count;
	size_t limited_count; /* of these, those that are not names of a list */
	uint64_t next_id;
	struct pf_node *buckets[PF_NODE_BUCKETS]; /* by id */
	struct pf_node *virgins[PF_NODE_BUCKETS]; /* by object.ino, which stands for the path */
	struct pf_call *calls;
};

struct pf_node *pf_node_find_locked(struct pf_files *files, uint64_t id);

/* From now on LOOKUP returns another one. */
void pf_node_consume_locked(struct pf_files *files, struct pf_node *node);

/* Frees it, unless somebody still knows it. True when the keeper should be told that there may be
 * something to forget. */
bool pf_node_put_locked(struct pf_files *files, struct pf_node *node);

/* The keeper's part: has a worker ask the kernel to forget what nobody uses. When to come again
 * (monotonic), or -1. */
int64_t pf_node_tick(struct pf_files *files, int64_t now_ns);
