/* Truth: 100,000 blocks of 1000 bytes and one of 64 MiB, all touched: 167,108,864 bytes in use. At
 * SIGUSR1 every block but each hundredth goes ("spent"): 68,108,864 are left.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCKS = 100000, BLOCK_BYTES = 1000, LARGE_BYTES = 64 << 20 };

static char *blocks[BLOCKS];
static char *large;

static void *touched(size_t size)
{
	char *block = malloc(size);

	if (!block)
		exit(1);
	return memset(block, 1, size);
}

int main(void)
{
	sigset_t set;
	int signal;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < BLOCKS; i++)
		blocks[i] = touched(BLOCK_BYTES);
	large = touched(LARGE_BYTES);
	puts("ready");
	fflush(stdout);
	sigwait(&set, &signal);
	for (int i = 0; i < BLOCKS; i++)
		if (i % 100)
			free(blocks[i]);
	puts("spent");
	fflush(stdout);
	pause();
	return large[0];
}
