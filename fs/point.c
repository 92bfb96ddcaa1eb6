#include "fs/point.h"
#include "base/mark.h"
#include "fs/mount.h"
#include "fs/mounted.h"
#include "fs/publish.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int refuse(int rc, const char *sentence, const char **why)
{
	*why = sentence;
	return rc;
}

static int open_dir(const char *where)
{
	int fd = open(where, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* 0, -ENOTEMPTY, or what the directory says. */
static int check_empty(int point)
{
	int fd = openat(point, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	int count = 0;
	DIR *dir;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	errno = 0;
	while (count <= 2 && (entry = readdir(dir)))
		count +=
		    strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 ? 3 : 1;
	count = errno ? -errno : count;
	closedir(dir);
	return count > 2 ? -ENOTEMPTY : count < 0 ? count : 0;
}

static int check(int point, const char **why)
{
	struct stat st;
	int rc;

	if (fstat(point, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid())
		return refuse(-EPERM, "the mount point belongs to somebody else", why);
	rc = check_empty(point);
	if (rc == -ENOTEMPTY)
		return pf_mounted_is_tree(pf_mounted_number(point))
			   ? refuse(-EBUSY, "another tree is mounted there", why)
			   : refuse(rc, "the mount point is not empty", why);
	return rc;
}

/* What a tree answers whose process has died. */
static bool is_dead(int rc)
{
	return rc == -ENOTCONN || rc == -ECONNABORTED;
}

static int open_and_check(const char *where, const char **why)
{
	int point = open_dir(where);
	int rc;

	if (point < 0)
		return refuse(point,
		    point == -ENOTDIR ? "the mount point is no directory, or a symbolic link"
				      : "the mount point cannot be opened",
		    why);
	rc = check(point, why);
	if (is_dead(rc)) {
		*why = "the remains of a dead tree could not be removed";
		if (pf_mounted_is_tree(pf_mounted_number(point)))
			pf_mount_detach(point, where);
	}
	if (rc == 0)
		return point;
	close(point);
	return rc;
}

static int name_of(int point, char *path, size_t size)
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/thread-self/fd/%d", point);
	n = readlink(link, path, size - 1);
	if (n < 0)
		return -errno;
	path[n] = '\0';
	return 0;
}

/* The directory above, given by its length in `where`, with every link on the way resolved. */
static int name_above(const char *where, size_t length, char path[PATH_MAX])
{
	char above[PATH_MAX];

	if (length >= sizeof(above))
		return -ENAMETOOLONG;
	memcpy(above, where, length);
	above[length] = '\0';
	if (length == 0)
		strcpy(above, *where == '/' ? "/" : ".");
	return realpath(above, path) ? 0 : -errno;
}

int pf_point_plan(const char *where, char *path, size_t size, const char **why)
{
	char above[PATH_MAX];
	size_t end = strlen(where), slash;
	int n, rc;

	while (end > 1 && where[end - 1] == '/')
		end--;
	for (slash = end; slash > 0 && where[slash - 1] != '/'; slash--)
		;
	rc = name_above(where, slash ? slash - 1 : 0, above);
	if (rc == -ENOENT) {
		pf_publish_make_above(where);
		rc = name_above(where, slash ? slash - 1 : 0, above);
	}
	if (rc < 0)
		return refuse(rc, "the mount point cannot be created", why);
	n = snprintf(path, size, "%s/%.*s", strcmp(above, "/") == 0 ? "" : above,
	    (int)(end - slash), where + slash);
	return n < (int)size ? 0 : refuse(-ENAMETOOLONG, "the mount point's name is too long", why);
}

int pf_point_open(const char *where, struct pf_point *out, const char **why)
{
	int point = -ENOTCONN;
	int rc;

	*why = "the mount point cannot be looked at";
	/* There may be several dead ones on top of each other. */
	for (int tries = 0; tries < 8 && is_dead(point); tries++)
		point = open_and_check(where, why);
	rc = point;
	out->fd = point;
	if (point >= 0)
		rc = name_of(point, out->path, sizeof(out->path));
	if (point >= 0 && rc < 0) {
		*why = "the mount point has no name in /proc";
		close(point);
	}
	return rc < 0 ? rc : 0;
}
