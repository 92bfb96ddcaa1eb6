/* proffs-reaper: takes a tree away when its process no longer can.
 *
 * usage: proffs-reaper ALIVE_FD PIDFD mount PATH SOURCE ANSWER_FD   an attached tree
 *        proffs-reaper ALIVE_FD PIDFD link DIR_FD NAME TARGET  the published link of a detached one
 *
 * It lives beside every process that has a tree, so it is small, and without libc (fs/bare.c), whose start alone
 * takes ten times what this does.
 *
 * Started by the agent with these descriptors and nothing else. ALIVE_FD is a pipe whose other end
 * only the agent's threads have: it ends with them, be it by a clean stop, by exec or by kill -9.
 * PIDFD (or -1) is the process.
 *
 * The reaper is there before the mount, and is told the mount's number through the pipe (-1: there
 * is none). Each time it is told, it looks at the tree's root (pf_mount_remind). Whichever ends first,
 * the mount of that number is looked up, checked to be a tree, and detached (fs/mounted.h). Who dies
 * before the number is told may or may not have mounted, at PATH, from SOURCE.
 *
 * ANSWER_FD is -1 where PATH is there. Else the reaper makes it, mode 0700, says through that pipe
 * whether it did (1; 0: somebody else has; -errno), and takes it away in the end. So the agent can
 * be killed at any moment and leave neither a mount nor a directory. A program that is started again
 * at once may find the directory and mount there before it is gone: then it goes after that tree.
 */
#include "fs/mounted.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { NO_MOUNT = -1, NOT_TOLD = -2, TRIES = 40, PAUSE_US = 50000 };

static const char own_files[] = "/proc/self/fd/";

/* A descriptor, as it is written in an argument; "-1" and whatever is none: -1. */
static int descriptor(const char *text)
{
	int number = 0;

	for (; *text; text++) {
		if (*text < '0' || *text > '9' || number > 99999)
			return -1;
		number = number * 10 + (*text - '0');
	}
	return number;
}

/* Only to be answered: by the process, or, if that dies, by the end of its connection. Everything that
 * stat(1) and ls -l ask for; what a tree has not (a time of birth, ACLs) the kernel asks once. */
static void ask(const char *root)
{
	char names[64];
	struct statx st;

	(void)!statx(AT_FDCWD, root, 0, STATX_BASIC_STATS | STATX_BTIME, &st);
	(void)!getxattr(root, "system.posix_acl_access", names, sizeof(names));
	(void)!listxattr(root, names, sizeof(names));
}

static void look_at_root(int number, char **argv)
{
	char path[PATH_MAX], link[PF_MOUNTED_FILE];
	int root;

	if (strcmp(argv[3], "link") == 0) {
		ask(argv[6]);
		return;
	}
	root = pf_mounted_open(number, argv[5], path, sizeof(path));
	if (root < 0)
		return;
	pf_mounted_file(link, own_files, root);
	ask(link);
	close(root);
}

/* The number that was told last. */
static int wait_for_the_end(char **argv)
{
	int alive = descriptor(argv[1]), pidfd = descriptor(argv[2]);
	struct pollfd ends[] = {{.fd = alive, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};
	int number = NOT_TOLD;
	bool over = false;

	while (!over) {
		int told;
		ssize_t got;

		if (poll(ends, 2, -1) < 0) {
			over = errno != EINTR;
			continue;
		}
		got = ends[0].revents ? read(alive, &told, sizeof(told)) : -1;
		if (got == (ssize_t)sizeof(told)) {
			number = told;
			look_at_root(number, argv);
		} else {
			over = got == 0 || ends[1].revents;
		}
	}
	return number;
}

/* Does nobody serve it any more? The end of the pipe may be seen a moment before /dev/fuse is
 * closed. statfs, unlike stat, is never answered from the kernel's memory. */
static bool is_dead(const char *path)
{
	struct statfs st;

	for (int i = 0; i < TRIES; i++) {
		if (statfs(path, &st) != 0 && (errno == ENOTCONN || errno == ECONNABORTED))
			return true;
		usleep(PAUSE_US);
	}
	return false;
}

/* An ordinary user may not unmount by descriptor; fusermount3 goes by name, so make sure that the
 * name means a tree that nobody serves. */
static int unmount_by_name(const char *path, const char *source)
{
	static char *const environment[] = {(char *)"PATH=/usr/bin:/bin:/usr/sbin:/sbin", NULL};
	char *const command[] = {
	    (char *)"fusermount3", (char *)"-u", (char *)"-z", (char *)"--", (char *)path, NULL};
	pid_t child;

	if (!is_dead(path))
		return 0;
	child = fork();
	if (child == 0) {
		execve("/usr/bin/fusermount3", command, environment);
		execve("/bin/fusermount3", command, environment);
		_exit(1);
	}
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	return child < 0 || pf_mounted_find(path, source) >= 0;
}

/* ---- the mount table ---- */

/* Tells of every change since it was opened, or asked last. */
static int open_table(void)
{
	return open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
}

/* False: cannot be told. */
static bool wait_for_change(int table)
{
	struct pollfd changes = {.fd = table, .events = POLLPRI};

	return table >= 0 && (poll(&changes, 1, -1) >= 0 || errno == EINTR);
}

/* 0, -EBUSY, or 1: could not. */
static int try_to_remove(int number, const char *source)
{
	char link[PF_MOUNTED_FILE], path[PATH_MAX];
	int root = pf_mounted_open(number, source, path, sizeof(path));
	int error;

	if (root < 0)
		return root == -EBUSY ? root : 0; /* covered, or not attached any more */
	pf_mounted_file(link, own_files, root);
	error = umount2(link, MNT_DETACH) == 0 ? 0 : errno;
	close(root);
	return error == EPERM ? unmount_by_name(path, source) : error != 0;
}

/* Two programs may have mounted at one place in the same moment: then the tree below waits for the end
 * of the one above. */
static int remove_mount(int number, const char *source, int table)
{
	int rc;

	do
		rc = try_to_remove(number, source);
	while (rc == -EBUSY && wait_for_change(table));
	return rc;
}

/* The helper that a dead agent had started may still be about to mount. What lives is another's: a
 * program that was started by exec has the number of its predecessor. */
static int look_for_mount(const char *path, const char *source)
{
	for (int i = 0; i < TRIES; i++) {
		int number = pf_mounted_find(path, source);

		if (number >= 0)
			return is_dead(path) ? number : NO_MOUNT;
		usleep(PAUSE_US);
	}
	return NO_MOUNT;
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

/* The directory that we made, unless somebody has put something in. Where a tree of another process
 * stands by now, who mounted it found the directory and will leave it: so it stays ours to remove. */
static void remove_directory(const char *path, int table)
{
	while (rmdir(path) != 0 && errno == EBUSY && pf_mounted_find(path, NULL) >= 0)
		if (!wait_for_change(table))
			break;
}

/* 1; 0: it is there; -errno. Its asker may be dead by now, and must not be the death of us. */
static int make_directory(const char *path, int answer)
{
	int made = mkdir(path, 0700) == 0 ? 1 : errno == EEXIST ? 0 : -errno;

	signal(SIGPIPE, SIG_IGN);
	(void)!write(answer, &made, sizeof(made));
	close(answer);
	return made;
}

int main(int argc, char **argv)
{
	bool mount = argc == 7 && strcmp(argv[3], "mount") == 0;
	bool link = argc == 7 && strcmp(argv[3], "link") == 0;
	static const char usage[] =
	    "usage: proffs-reaper ALIVE_FD PIDFD mount PATH SOURCE ANSWER_FD | link DIR_FD NAME "
	    "TARGET\n";
	int number, table, failed, made = 0;

	if (!mount && !link) {
		(void)!write(STDERR_FILENO, usage, sizeof(usage) - 1);
		return 2;
	}
	if (mount && descriptor(argv[6]) >= 0)
		made = make_directory(argv[4], descriptor(argv[6]));
	number = wait_for_the_end(argv);
	if (link)
		return remove_link(descriptor(argv[4]), argv[5], argv[6]);
	if (number == NOT_TOLD)
		number = look_for_mount(argv[4], argv[5]);
	table = open_table();
	failed = number == NO_MOUNT ? 0 : remove_mount(number, argv[5], table);
	if (made == 1 && !failed)
		remove_directory(argv[4], table);
	return failed != 0;
}
