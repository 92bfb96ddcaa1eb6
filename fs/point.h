/* Point: the directory a tree is attached to. Opened once, checked through that descriptor and
 * mounted on through it, so that no name can be exchanged in between.
 */
#pragma once
#include <limits.h>
#include <stdbool.h>

struct pf_point {
	int fd;              /* O_PATH, the caller's to close */
	bool made;           /* it was missing */
	char path[PATH_MAX]; /* its full name */
};

/* Opens `where`, made with mode 0700 if it is missing; the remains of a dead tree there are
 * removed. 0; -ENOTDIR (or a symbolic link), -EPERM not ours, -ENOTEMPTY, -EBUSY a living tree;
 * *why says it in words. */
int pf_point_open(const char *where, struct pf_point *out, const char **why);
