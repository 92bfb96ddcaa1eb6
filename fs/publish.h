/* Publish: the link under which a detached tree is found, <runtime dir>/proffs/PID. The directory
 * must be one that nobody else can write to: $XDG_RUNTIME_DIR/proffs, ours alone, or /run/proffs,
 * root's.
 */
#pragma once
#include <stddef.h>

/* The directory, made if need be: O_PATH in *fd and its name in `path`. 0, or -errno and *why. */
int pf_publish_open(int *fd, char *path, size_t size, const char **why);

/* For a mount point that is named there, as /run/proffs/%p is after a boot: makes the directory if
 * it is one of those two. Whether that went well is seen by whoever uses it next. */
void pf_publish_make_above(const char *where);

/* Makes or replaces a link there: 0 or -errno. */
int pf_publish_link(int fd, const char *name, const char *target);

/* Removes it, if it is still this one. */
void pf_publish_unlink(int fd, const char *name, const char *target);

/* A new directory in there that nobody else can enter: O_PATH, its name appended to `path`. */
int pf_publish_private_dir(int fd, char *path, size_t size);
