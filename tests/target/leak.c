/* Truth: `leak N M` holds N blocks of 100 bytes from leak_small() and M of 1000 from leak_large();
 * it also allocated and freed N blocks of 24 bytes in borrow(). Then it prints "ready" and sleeps.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void *volatile kept;

static __attribute__((noinline)) void leak_small(void)
{
	kept = malloc(100);
	*(char *)kept = 1;
}

static __attribute__((noinline)) void leak_large(void)
{
	kept = calloc(10, 100);
	*(char *)kept = 1;
}

static __attribute__((noinline)) void borrow(void)
{
	void *block = malloc(24);

	kept = block;
	free(block);
}

int main(int argc, char **argv)
{
	long small = argc > 1 ? atol(argv[1]) : 0, large = argc > 2 ? atol(argv[2]) : 0;

	for (long i = 0; i < small; i++) {
		leak_small();
		borrow();
	}
	for (long i = 0; i < large; i++)
		leak_large();
	printf("ready\n");
	fflush(stdout);
	for (;;)
		pause();
}
