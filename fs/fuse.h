/* Fuse: the kernel's requests, turned into questions to file.c and control.c. The only place, with
 * fs.c's loop, that knows libfuse.
 */
#pragma once
#include "fs/file.h"

#include <sys/types.h>

struct pf_fuse;

/* Speaks over fuse_fd, and closes it in the end. 0 or -ENOMEM. */
int pf_fuse_create(struct pf_fuse **out, struct pf_live *live, int fuse_fd);
void pf_fuse_destroy(struct pf_fuse *fuse); /* NULL is fine */

/* Before serving: whom to ask. */
void pf_fuse_set_files(struct pf_fuse *fuse, struct pf_files *files);

/* Before serving: told, on the thread that serves, when somebody has listed the root. */
void pf_fuse_on_root_listed(struct pf_fuse *fuse, void (*listed)(void *to), void *to);

/* Before serving: answers the kernel's first message, which is there since the mount is. 0, or -errno:
 * this tree will never answer anybody. */
int pf_fuse_greet(struct pf_fuse *fuse);

/* Answers requests until stop_fd can be read or the tree is gone. */
void pf_fuse_serve(struct pf_fuse *fuse, int stop_fd);

/* Ends the connection though somebody may still answer on it: into the void from now on. */
void pf_fuse_hang_up(struct pf_fuse *fuse);

/* See struct pf_kernel. */
int pf_fuse_store(struct pf_fuse *fuse, uint64_t id, const struct pf_snapshot *snapshot);
void pf_fuse_invalidate(struct pf_fuse *fuse, uint64_t parent, const char *name);

/* The keeper's round: wakes who polls a stream in which there is something to read. */
void pf_fuse_wake_polling(struct pf_fuse *fuse);
