/* A program whose first act is to go into a mount namespace (its own again), as a child of its does: the kernel
 * refuses that to a thread that shares its working directory.
 *
 *   moves CHILDREN    prints how many of them, and of itself, were refused
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int refused(void)
{
	return setns(open("/proc/self/ns/mnt", O_RDONLY), CLONE_NEWNS) != 0;
}

int main(int argc, char **argv)
{
	int count = refused();

	for (int i = 0; i < (argc > 1 ? atoi(argv[1]) : 0); i++) {
		int status;
		pid_t child = fork();

		if (child == 0)
			_exit(refused());
		waitpid(child, &status, 0);
		count += status != 0;
	}
	printf("%d refused\n", count);
	return 0;
}
