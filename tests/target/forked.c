/* Truth: the parent holds 100 blocks of 1000 bytes from before() when it forks. The child frees 40 of
 * them and allocates 10 of 2000 in after(), at once; each says "ready" and sleeps.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char *volatile kept[100];

static __attribute__((noinline)) void before(int i)
{
	kept[i] = malloc(1000);
	kept[i][0] = 1;
}

static __attribute__((noinline)) void after(int i)
{
	kept[i] = malloc(2000);
	kept[i][0] = 1;
}

int main(void)
{
	pid_t child;

	for (int i = 0; i < 100; i++)
		before(i);
	child = fork();
	if (child == 0) {
		for (int i = 0; i < 40; i++)
			free(kept[i]);
		for (int i = 0; i < 10; i++)
			after(i);
	}
	dprintf(STDOUT_FILENO, "ready %s %d\n", child == 0 ? "child" : "parent", getpid());
	pause();
	return 0;
}
