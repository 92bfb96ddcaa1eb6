/* Point: the directory a tree is attached to. Opened once, checked through that descriptor and
 * mounted on through it, so that no name can be exchanged in between.
 */
#pragma once
#include <stddef.h>

/* O_PATH of `where`, made with mode 0700 if it is missing; the remains of a dead tree there are
 * removed. Its full name goes to `path`. -ENOTDIR (or a symbolic link), -EPERM not ours,
 * -ENOTEMPTY, -EBUSY a living tree; *why says it in words. */
int pf_point_open(const char *where, char *path, size_t size, const char **why);
