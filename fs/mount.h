/* Mount: gives the tree its place, and takes it away.
 *
 *     attached   mount at a directory of ours; a reaper outside the process removes it when we
 *                cannot any more (kill -9)
 *     detached   a mount in nobody's mount table, held by a descriptor of ours and published as
 *                <runtime dir>/proffs/PID -> /proc/PID/task/TID/fd/N: it ends with us
 *
 * With privilege by fsopen(2) and move_mount(2), without it through fusermount3. Called by the
 * thread that has the private descriptor table and will serve; it must live as long as the tree,
 * because the published link goes through its /proc directory.
 */
#pragma once
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct pf_fs_options;

struct pf_mount {
	int fuse_fd;  /* /dev/fuse, not blocking; whoever serves closes it */
	int root_fd;  /* O_PATH, the root of a detached tree; -1: attached */
	int number;   /* of an attached tree's mount; -1: detached */
	int link_fd;  /* O_PATH, the directory of the published link; -1: attached */
	int alive_fd; /* while it is open the reaper waits */
	bool helped;  /* by fusermount3 */
	bool allow_other;
	bool made;           /* the directory: it goes with the tree */
	char path[PATH_MAX]; /* where the tree is */
	char link_name[16];
	char link_target[64];
};

/* 0, or -errno with *why a sentence for people. */
int pf_mount_make(struct pf_mount *mount, const struct pf_fs_options *options, const char **why);

/* Has the reaper ask for the root's attributes, which the kernel then believes until somebody lists
 * the root. So whoever only passes by (lsof, which looks at every descriptor there is; ls -l of the
 * directory above) does not wait for a process that is stopped. Never ourselves: who waits for an
 * answer of his own is not to be killed. Not later than pf_mount_remove(). */
void pf_mount_remind(const struct pf_mount *mount);

/* Takes the mount that root_fd is the root of out of the mount table: 0 or -errno. */
int pf_mount_detach(int root_fd, const char *path);

/* Takes the tree away and sends the reaper home; fuse_fd stays open. */
void pf_mount_remove(struct pf_mount *mount);
