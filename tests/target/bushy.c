/* Truth: 4,096 stacks, each with a block of 100 bytes, and a malloc whose thresholds are those that it was
 * born with: a block of 128 KiB and more is a mapping of its own ("mapped") and stays so, as long as nobody
 * frees such a block: glibc's threshold grows by what it frees. It grows when it is
 * asked by a line, and says how malloc does at each that follows.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

enum { DEPTH = 12, THRESHOLD = 128 * 1024, IS_MAPPED = 2 };

static void *volatile blocks[1 << DEPTH];
static int count;

static void left(int depth, int path);
static void right(int depth, int path);

static void grow(int depth, int path)
{
	if (depth == DEPTH) {
		blocks[count++] = malloc(100);
		return;
	}
	left(depth + 1, path << 1);
	right(depth + 1, path << 1 | 1);
}

static void left(int depth, int path)
{
	grow(depth, path);
}

static void right(int depth, int path)
{
	grow(depth, path);
}

int main(void)
{
	char line[16];

	if (!fgets(line, sizeof(line), stdin))
		return 1;
	grow(0, 0);
	printf("grown %d\n", count);
	fflush(stdout);
	/* Not freed: it would be we who move the threshold. */
	while (fgets(line, sizeof(line), stdin)) {
		const volatile size_t *block = calloc(1, THRESHOLD);

		puts(block && (block[-1] & IS_MAPPED) ? "mapped" : "not mapped");
		fflush(stdout);
	}
	return 0;
}
