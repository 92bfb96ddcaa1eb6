/* File: what the kernel remembers of the tree, and what happens when something is opened.
 *
 *     LOOKUP heap --> the virgin node of "heap"      (size 0; every ls and stat shares it)
 *     OPEN        --> that node makes its snapshot, and is virgin no longer; its size is real then
 *     LOOKUP heap --> a new virgin
 *
 * It is virgin until making begins, not until OPEN comes: of a crowd that looks up one name at once,
 * each would otherwise find the node of its lookup used up by the next one's OPEN, and look it up
 * again. Who shares a snapshot has asked before the moment it shows.
 *
 * The kernel asks for attributes by inode, never by open file, so only a node per open can tell
 * each reader the size of what it has opened (reference: FUSE, GETATTR carries no file handle).
 * Directories, links and controls are the same for everybody: their nodeid is their entry's.
 *
 * An open is a call that is answered later, by the worker who made the snapshot or by the capture's
 * thread; or with EINTR by the keeper, when its reader has had enough. Knows nothing of FUSE.
 *
 * Any thread of ours; the lock inside has rank PF_LOCK_FILE. No lock is held in a call out.
 */
#pragma once
#include "base/wait.h"
#include "fs/tree.h"
#include "fs/work.h"

#include <stdbool.h>
#include <stdint.h>

enum { PF_FILES_NODES_MAX = 1000 };

struct pf_files;
struct pf_live;
struct pf_node;
struct pf_snapshot;

/* A request that waits for its answer. Memory is the asker's until answer() is called: once, with
 * no lock held, by any thread of ours, perhaps before the asking function returns. */
struct pf_call {
	void (*answer)(struct pf_call *call, int rc);
	bool (*ready)(struct pf_call *call); /* of pf_files_wait() only; a lock is held */
	struct pf_snapshot *snapshot;        /* of an open that went well: held for the asker */
	bool sizeless; /* of the same: the kernel does not know the size, so it must not go by it */

	struct pf_call *next; /* guarded by the files' lock, as all below */
	struct pf_call **at;  /* where we hang; NULL: not waiting */
	struct pf_node *node;
	struct pf_errand *errand;
	bool interrupted;
	int64_t since_ns;       /* waiting since */
	int64_t interrupted_ns; /* since */
};

/* Something to be done for a call by a worker; goes on to its end though the call be interrupted,
 * but `wait` is cancelled then. Both functions are called on the worker. */
struct pf_errand {
	int (*work)(struct pf_errand *errand);
	void (*destroy)(struct pf_errand *errand); /* after the answer, in every case */

	struct pf_job job;
	struct pf_wait wait;
	struct pf_files *files;
	struct pf_call *call; /* guarded by the files' lock; NULL: interrupted */
};

/* What files have to tell the kernel of their own accord. */
struct pf_kernel {
	/* The last byte of what a node now holds, so that its size is known without asking. 0, or
	 * -errno: it is not known. */
	int (*store)(void *to, uint64_t id, const struct pf_snapshot *snapshot);
	/* Forget a name: nobody has used it for a while. May sleep: called by a worker. */
	void (*invalidate)(void *to, uint64_t parent, const char *name);
	/* pf_files_tick() is due now. It may only wake somebody: locks may be held. */
	void (*hurry)(void *to);
	void *to;
};

struct pf_attributes {
	uint64_t id, ino;
	uint32_t mode;
	bool settled; /* will not change while somebody knows it */
	bool fixed;   /* an entry of the tree: the same for ever */
	int64_t size;
	int64_t time_ns;
};

struct pf_files *pf_files_create(
    struct pf_live *live, struct pf_workers *workers, const struct pf_kernel *kernel);
/* After workers and captures have ended. NULL is fine. */
void pf_files_destroy(struct pf_files *files);

/* 0 and one reference for the kernel (none for fixed ones); -ENOENT, -EINVAL, -ENFILE... */
int pf_files_lookup(
    struct pf_files *files, uint64_t parent, const char *name, struct pf_attributes *out);
void pf_files_forget(struct pf_files *files, uint64_t id, uint64_t count);
/* 0 or -ENOENT. */
int pf_files_attributes(struct pf_files *files, uint64_t id, struct pf_attributes *out);
/* The object behind a nodeid: 0 or -ENOENT. Its snapshot is not held for the caller. */
int pf_files_object(struct pf_files *files, uint64_t id, struct pf_object *out);

/* Where a link in a list's directory leads now: 0 or -ENOENT. */
int pf_files_link(
    struct pf_files *files, const struct pf_object *object, char *target, size_t size);

/* Answers with 0 and call->snapshot, or -errno. */
void pf_files_open(struct pf_files *files, uint64_t id, struct pf_call *call);
/* The opener is gone, or has closed. Lets call->snapshot go, which is `snapshot` here. */
void pf_files_release(struct pf_files *files, uint64_t id, struct pf_snapshot *snapshot);

/* Has a worker do it, and answers with what work() returned. */
void pf_files_run(struct pf_files *files, struct pf_errand *errand, struct pf_call *call);

/* Answers with 0 in the keeper's round after ready() has become true. */
void pf_files_wait(struct pf_files *files, struct pf_call *call);

/* The kernel ends the whole tree when a request takes longer than this, or 0: never (fs.fuse.
 * max_request_timeout). Whoever waits is answered in good time: EINTR, which Go and Python repeat;
 * a stream gets a line. Before the first call. */
void pf_files_set_patience(struct pf_files *files, int64_t patience_ns);

/* Its reader has had enough, or got a signal that means nothing: the kernel does not tell. Only
 * marks it; may be called before the call waits anywhere. A wait for time to pass is answered at
 * once, with EINTR; work under way has a moment to come to its own answer. */
void pf_files_interrupt(struct pf_files *files, struct pf_call *call);

/* The keeper's round: answers the interrupted, forgets what nobody uses. When to come again
 * (monotonic), or -1 for never. */
int64_t pf_files_tick(struct pf_files *files, int64_t now_ns);
/* Answers everybody with EINTR; whoever calls from now on gets it too. */
void pf_files_stop(struct pf_files *files);
