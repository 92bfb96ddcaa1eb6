/* Point: the directory a tree is attached to. Opened once, checked through that descriptor and
 * mounted on through it, so that no name can be exchanged in between.
 */
#pragma once
#include <limits.h>
#include <stddef.h>

struct pf_point {
	int fd;              /* O_PATH, the caller's to close */
	char path[PATH_MAX]; /* its full name */
};

/* Opens `where`; the remains of a dead tree there are removed. 0; -ENOENT it is missing, -ENOTDIR (or
 * a symbolic link), -EPERM not ours, -ENOTEMPTY, -EBUSY a living tree; *why says it in words. */
int pf_point_open(const char *where, struct pf_point *out, const char **why);

/* The full name that `where`, which is missing, will have. -ENOENT: there is no directory above it,
 * and it is not one of those that are made for published trees. */
int pf_point_plan(const char *where, char *path, size_t size, const char **why);
