#include "fs/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Ours, or root's, and closed to the writing of others; sticky will do for what only holds our
 * directory, which nobody else can then take away. */
static bool is_safe(int fd, bool sticky_will_do)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (st.st_uid == geteuid() || st.st_uid == 0) &&
	       ((st.st_mode & (S_IWGRP | S_IWOTH)) == 0 ||
		   (sticky_will_do && st.st_mode & S_ISVTX));
}

static int open_safe(int parent, const char *name, bool sticky_will_do)
{
	int fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (is_safe(fd, sticky_will_do))
		return fd;
	close(fd);
	return -EPERM;
}

/* BASE/proffs, where base itself must be safe. */
static int open_in(const char *base, mode_t mode, char *path, size_t size)
{
	int parent = open_safe(AT_FDCWD, base, true);
	int fd;

	if (parent < 0)
		return parent;
	if (mkdirat(parent, "proffs", mode) < 0 && errno != EEXIST) {
		fd = -errno;
	} else {
		fd = open_safe(parent, "proffs", false);
		snprintf(path, size, "%s/proffs", base);
	}
	close(parent);
	if (fd >= 0 && faccessat(fd, ".", W_OK, AT_EACCESS) < 0) {
		close(fd);
		fd = -EACCES;
	}
	return fd;
}

int pf_publish_open(int *fd, char *path, size_t size, const char **why)
{
	const char *own = secure_getenv("XDG_RUNTIME_DIR");

	*fd = own && own[0] == '/' ? open_in(own, 0700, path, size) : -ENOENT;
	if (*fd < 0)
		*fd = open_in("/run", 0755, path, size);
	if (*fd >= 0)
		return 0;
	*why = "neither $XDG_RUNTIME_DIR/proffs nor /run/proffs can be used: name a mount point";
	return *fd;
}

static bool is_directly_in(const char *where, const char *base)
{
	static const char between[] = "/proffs/";
	size_t n = strlen(base), m = sizeof(between) - 1;

	return strncmp(where, base, n) == 0 && strncmp(where + n, between, m) == 0 &&
	       !strchr(where + n + m, '/');
}

void pf_publish_make_above(const char *where)
{
	const char *own = secure_getenv("XDG_RUNTIME_DIR");
	char path[PATH_MAX];
	int fd = -ENOENT;

	if (own && own[0] == '/' && is_directly_in(where, own))
		fd = open_in(own, 0700, path, sizeof(path));
	else if (is_directly_in(where, "/run"))
		fd = open_in("/run", 0755, path, sizeof(path));
	if (fd >= 0)
		close(fd);
}

int pf_publish_link(int fd, const char *name, const char *target)
{
	char fresh[32];
	int rc = 0;

	snprintf(fresh, sizeof(fresh), ".%.20s.new", name);
	unlinkat(fd, fresh, 0);
	if (symlinkat(target, fd, fresh) < 0)
		return -errno;
	if (renameat(fd, fresh, fd, name) < 0)
		rc = -errno;
	if (rc < 0)
		unlinkat(fd, fresh, 0);
	return rc;
}

void pf_publish_unlink(int fd, const char *name, const char *target)
{
	char now[PATH_MAX];
	ssize_t n = readlinkat(fd, name, now, sizeof(now) - 1);

	if (n < 0)
		return;
	now[n] = '\0';
	if (strcmp(now, target) == 0)
		unlinkat(fd, name, 0);
}

int pf_publish_private_dir(int fd, char *path, size_t size)
{
	size_t length = strlen(path);
	int dir;

	if (length + 16 > size)
		return -ENAMETOOLONG;
	strcpy(path + length, "/.mount-XXXXXX");
	if (!mkdtemp(path))
		return -errno;
	dir = openat(fd, path + length + 1, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return dir < 0 ? -errno : dir;
}
