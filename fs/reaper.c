/* proffs-reaper: takes a tree away when its process no longer can.
 *
 * usage: proffs-reaper ALIVE_FD PIDFD MOUNT_FD            an attached tree
 *        proffs-reaper ALIVE_FD PIDFD DIR_FD NAME TARGET  the published link of a detached one
 *
 * Started by the agent with these descriptors and nothing else. ALIVE_FD is a pipe whose other end
 * only the agent's threads have: it ends with them, be it by a clean stop, by exec or by kill -9.
 * PIDFD (or -1) is the process. Whichever ends first, the mount is detached through its own
 * descriptor: no path is looked up, so no other mount can be hit.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void wait_for_the_end(int alive, int pidfd)
{
	struct pollfd ends[] = {{.fd = alive, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};

	while (poll(ends, 2, -1) < 0 && errno == EINTR)
		;
}

/* An ordinary user may not unmount by descriptor; fusermount3 goes by name, so make sure that the
 * name still means a tree that nobody serves. */
static int unmount_by_name(int mount)
{
	char link[64], path[PATH_MAX];
	struct stat st;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", mount);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return 1;
	path[n] = '\0';
	if (stat(path, &st) == 0 || (errno != ENOTCONN && errno != ECONNABORTED))
		return 0;
	close(mount);
	execl("/usr/bin/fusermount3", "fusermount3", "-u", "-z", "--", path, (char *)NULL);
	execl("/bin/fusermount3", "fusermount3", "-u", "-z", "--", path, (char *)NULL);
	return 1;
}

static int remove_mount(int mount)
{
	char link[64];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", mount);
	if (umount2(link, MNT_DETACH) == 0 || errno != EPERM)
		return 0;
	return unmount_by_name(mount);
}

static int remove_link(int dir, const char *name, const char *target)
{
	char now[PATH_MAX];
	ssize_t n = readlinkat(dir, name, now, sizeof(now) - 1);

	if (n < 0)
		return 0;
	now[n] = '\0';
	if (strcmp(now, target) == 0)
		unlinkat(dir, name, 0);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 4 && argc != 6) {
		fprintf(stderr, "usage: proffs-reaper ALIVE_FD PIDFD FD [NAME TARGET]\n");
		return 2;
	}
	wait_for_the_end(atoi(argv[1]), atoi(argv[2]));
	if (argc == 6)
		return remove_link(atoi(argv[3]), argv[4], argv[5]);
	return remove_mount(atoi(argv[3]));
}
