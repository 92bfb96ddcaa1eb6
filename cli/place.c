#include "cli/cli.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As the agent judges it (fs/publish.c): ours or root's, and closed to the writing of others, or
 * sticky. */
static bool is_safe(const char *dir)
{
	struct stat st;

	return stat(dir, &st) == 0 && S_ISDIR(st.st_mode) &&
	       (st.st_uid == geteuid() || st.st_uid == 0) &&
	       ((st.st_mode & (S_IWGRP | S_IWOTH)) == 0 || st.st_mode & S_ISVTX);
}

const char *pf_place_published(void)
{
	static char path[PATH_MAX];
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (!runtime || runtime[0] != '/' || !is_safe(runtime))
		return "/run/proffs";
	snprintf(path, sizeof(path), "%s/proffs", runtime);
	return path;
}

/* The directories of the published trees are made by the agent (fs/publish.c) when they are not there:
 * /run is empty after a boot. */
static bool will_be_made(const char *parent)
{
	char base[PATH_MAX];
	const char *slash = strrchr(parent, '/');

	if (strcmp(parent, "/run/proffs") != 0 && strcmp(parent, pf_place_published()) != 0)
		return false;
	snprintf(base, sizeof(base), "%.*s", (int)(slash - parent), parent);
	return is_safe(base) && access(base, W_OK) == 0;
}

/* `dir` with its parent resolved: "x/../p" and links on the way are fine, the last one is not. */
static int resolve_parent(const char *dir, char *absolute, size_t size)
{
	char copy[PATH_MAX], parent[PATH_MAX];
	size_t length = strlen(dir);
	char *slash;
	int n;

	while (length > 1 && dir[length - 1] == '/')
		length--;
	if (length == 0 || length >= sizeof(copy))
		return length ? -ENAMETOOLONG : -ENOENT;
	memcpy(copy, dir, length);
	copy[length] = '\0';
	slash = strrchr(copy, '/');
	if (slash)
		*slash = '\0';
	if (!realpath(!slash ? "." : slash == copy ? "/" : copy, parent)) {
		if (errno != ENOENT || !slash || !will_be_made(copy))
			return -errno;
		strcpy(parent, copy);
	}
	n = snprintf(absolute, size, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent,
	    slash ? slash + 1 : copy);
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* What a dead tree answers: the agent takes it away. Of its root's attributes the kernel may still
 * remember what the living one had. */
static bool is_dead(int error)
{
	return error == ENOTCONN || error == ECONNABORTED;
}

static bool is_empty(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool empty = dir || is_dead(errno);

	while (dir && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			empty = false;
	if (dir)
		closedir(dir);
	return empty;
}

int pf_place_check_mount(const char *dir, char *absolute, size_t size, const char **why)
{
	struct stat st;
	int rc = resolve_parent(dir, absolute, size);

	*why = "its parent directory cannot be reached";
	if (rc < 0)
		return rc;
	if (strstr(absolute, "%p"))
		return 0; /* known only to each process */
	if (lstat(absolute, &st) != 0) {
		if (errno == ENOENT || is_dead(errno))
			return 0; /* will be created; or a corpse, which the agent replaces */
		*why = strerror(errno);
		return -errno;
	}
	*why = "it is not a directory (and a symbolic link is never followed)";
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	*why = "it belongs to another user";
	if (st.st_uid != geteuid())
		return -EPERM;
	*why = "it is not empty";
	return is_empty(absolute) ? 0 : -ENOTEMPTY;
}

const char *pf_place_obstacle(void)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char helper[PATH_MAX];

	if (fd >= 0)
		close(fd);
	if (fd < 0 && errno == ENOENT)
		return "there is no /dev/fuse here";
	if (geteuid() == 0)
		return fd >= 0 ? NULL : "/dev/fuse cannot be opened";
	if (pf_program_find("fusermount3", helper, sizeof(helper)) != 0)
		return "an ordinary user needs fusermount3 (package fuse3)";
	return NULL;
}

/* A published tree: NAME is a process id, the link leads to /proc/PID/task/TID/fd/N. Only /proc is
 * asked, never the tree: its process may be stopped. */
static void see_published(
    const char *dir, const char *name, void (*see)(const struct pf_place *, void *), void *arg)
{
	struct pf_place place = {.pid = (pid_t)strtol(name, NULL, 10)};
	char target[PATH_MAX];
	ssize_t length;
	char *fd;

	if (place.pid <= 0)
		return;
	snprintf(place.path, sizeof(place.path), "%s/%s", dir, name);
	length = readlink(place.path, target, sizeof(target) - 1);
	if (length < 0)
		return;
	target[length] = '\0';
	fd = strstr(target, "/fd/");
	if (fd)
		*fd = '\0';
	place.dead = access(target, F_OK) != 0;
	see(&place, arg);
}

static void see_directory(const char *path, void (*see)(const struct pf_place *, void *), void *arg)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		see_published(path, entry->d_name, see, arg);
	if (dir)
		closedir(dir);
}

/* An octal escape of /proc/self/mountinfo: "\040" is a blank. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		unsigned code;

		if (from[0] == '\\' && sscanf(from + 1, "%3o", &code) == 1) {
			*to++ = (char)code;
			from += 3;
			continue;
		}
		*to++ = *from;
	}
	*to = '\0';
}

static void see_attached(void (*see)(const struct pf_place *, void *), void *arg)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	char line[8192];

	while (mounts && fgets(line, sizeof(line), mounts)) {
		char *type = strstr(line, " - fuse.proffs ");
		struct pf_place place = {.attached = true};
		int pid;

		if (!type || sscanf(line, "%*d %*d %*s %*s %4095s", place.path) != 1)
			continue;
		unescape(place.path);
		/* The source names the process: "proffs-PID". */
		if (sscanf(type, " - fuse.proffs proffs-%d", &pid) == 1)
			place.pid = pid;
		place.dead = place.pid > 0 && kill(place.pid, 0) != 0 && errno == ESRCH;
		see(&place, arg);
	}
	if (mounts)
		fclose(mounts);
}

void pf_place_each(void (*see)(const struct pf_place *place, void *arg), void *arg)
{
	const char *own = pf_place_published();

	see_directory(own, see, arg);
	if (strcmp(own, "/run/proffs") != 0)
		see_directory("/run/proffs", see, arg);
	see_attached(see, arg);
}
