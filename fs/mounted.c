#include "fs/mounted.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int pf_mounted_number(int fd)
{
	char path[64], line[128];
	int number = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/thread-self/fdinfo/%d", fd);
	f = fopen(path, "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "mnt_id: %d", &number) == 1)
			break;
	fclose(f);
	return number;
}

/* The fifth word of a line of mountinfo, its octal escapes ("\040" is a blank) undone. */
static bool copy_mount_point(const char *line, char *out, size_t size)
{
	size_t n = 0;

	for (int blanks = 0; blanks < 4; line++) {
		if (*line == '\0')
			return false;
		blanks += *line == ' ';
	}
	for (; *line && *line != ' '; line++) {
		unsigned escaped;

		if (n + 1 >= size)
			return false;
		if (*line == '\\' && sscanf(line + 1, "%3o", &escaped) == 1) {
			out[n++] = (char)escaped;
			line += 3;
			continue;
		}
		out[n++] = *line;
	}
	out[n] = '\0';
	return true;
}

/* What a line of mountinfo has in it that is a tree of proffs, of this source unless that is NULL. */
static void mark_of(const char *source, char out[64])
{
	snprintf(out, 64, " - fuse.proffs %s%s", source ? source : "", source ? " " : "");
}

/* True when the table has that mount and it is a tree, of this source or of any; `path` may be NULL. */
static bool find_tree(int number, const char *source, char *path, size_t size)
{
	char wanted[64], *line = NULL;
	size_t room = 0;
	bool found = false;
	FILE *f = fopen("/proc/thread-self/mountinfo", "re");

	mark_of(source, wanted);
	while (f && !found && getline(&line, &room, f) > 0)
		found = atoi(line) == number && strstr(line, wanted) &&
			(!path || copy_mount_point(line, path, size));
	free(line);
	if (f)
		fclose(f);
	return found;
}

int pf_mounted_find(const char *path, const char *source)
{
	char wanted[64], at[PATH_MAX], *line = NULL;
	size_t room = 0;
	int number = -1;
	FILE *f = fopen("/proc/thread-self/mountinfo", "re");

	mark_of(source, wanted);
	while (f && getline(&line, &room, f) > 0) /* the last one covers the others */
		if (strstr(line, wanted) && copy_mount_point(line, at, sizeof(at)) &&
		    strcmp(at, path) == 0)
			number = atoi(line);
	free(line);
	if (f)
		fclose(f);
	return number;
}

bool pf_mounted_is_tree(int number)
{
	return number >= 0 && find_tree(number, NULL, NULL, 0);
}

int pf_mounted_open(int number, const char *source, char *path, size_t size)
{
	int fd;

	if (number < 0 || !find_tree(number, source, path, size))
		return -ENOENT;
	fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (pf_mounted_number(fd) == number)
		return fd;
	close(fd); /* covered, or replaced in this very moment */
	return find_tree(number, source, path, size) ? -EBUSY : -ENOENT;
}
