/* Task: the kernel's files about the program's threads, /proc/self/task/TID/FILE.
 *
 * The directory is opened once and kept, so that a chroot of the program changes nothing. Our own
 * threads only: the descriptor is in their private table.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct pf_task_list {
	pid_t *tids;
	size_t count, capacity;
};

/* Every thread of the program; ours are left out. 0 or -errno; a finish in both cases does no harm. */
int pf_task_list(struct pf_task_list *list);
void pf_task_list_finish(struct pf_task_list *list);

/* How many threads the program has, at the cost of one system call; ours are left out. -errno:
 * not known. */
int64_t pf_task_count(void);

/* An open descriptor (close it), or -errno. */
int pf_task_open(pid_t tid, const char *file);
/* Up to `size` bytes of the file: how many, or -errno (-ENOENT, -ESRCH: the thread is gone). */
ssize_t pf_task_read(pid_t tid, const char *file, char *out, size_t size);

/* The number, to `base`, behind `name` in its status file ("\nSigBlk:"). 0, or -errno (-EPROTO: no such
 * line). */
int pf_task_status(pid_t tid, const char *name, int base, uint64_t *out);

/* When it began, on CLOCK_BOOTTIME, rounded down to the kernel's clock tick (10 ms); -1: not known. */
int64_t pf_task_begun_ns(pid_t tid);

/* In the child after fork: the descriptor is not ours. PF_SIGSAFE. */
void pf_task_fork_child(void);
