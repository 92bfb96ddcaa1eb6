/* proffs clean: removes what dead processes left: dangling links and mounts without a server. */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

static int unmount(const char *path)
{
	pid_t child;
	int status;

	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		return 0;
	if (errno != EPERM)
		return -errno;
	child = fork();
	if (child == 0) {
		execlp("fusermount3", "fusermount3", "-u", "-z", "--", path, (char *)NULL);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

static void remove_dead(const struct pf_place *place, void *arg)
{
	int *failed = arg;
	int rc;

	if (!place->dead)
		return;
	if (place->attached)
		rc = unmount(place->path);
	else
		rc = unlink(place->path) == 0 ? 0 : -errno;
	if (rc == 0) {
		printf("removed %s\n", place->path);
		return;
	}
	pf_say("%s: %s", place->path, strerror(-rc));
	++*failed;
}

int pf_clean_main(int argc, char **argv)
{
	int failed = 0;

	if (argc > 1) {
		pf_say("usage: proffs clean");
		return 2;
	}
	pf_place_each(remove_dead, &failed);
	return failed ? 1 : 0;
}
