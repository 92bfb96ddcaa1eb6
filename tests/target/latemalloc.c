/* Truth: its own malloc, free and so on work from main() on. Before that they write to nowhere, or with SAYS_NO
 * have nothing to give. It prints "fine". */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { POOL_BYTES = 64 << 20 };

static char *pool; /* NULL until main() */
static size_t used;
#ifdef SAYS_NO
static const bool says_no = true;
#else
static const bool says_no = false;
#endif

void *malloc(size_t size)
{
	size_t *at;

	if (!pool && says_no)
		return NULL;
	at = (size_t *)(void *)(pool + used);
	used += (size + 31) & ~15ul;
	*at = size;
	return at + 2;
}

void free(void *at)
{
	if (at)
		((size_t *)at)[-1] = 1;
}

void *calloc(size_t count, size_t size)
{
	char *at = malloc(count * size);

	for (size_t i = 0; at && i < count * size; i++)
		((volatile char *)at)[i] = 0;
	return at;
}

void *realloc(void *before, size_t size)
{
	void *at = malloc(size);
	size_t had = before ? ((size_t *)before)[-2] : 0;

	if (at && before)
		memcpy(at, before, had < size ? had : size);
	return at;
}

int main(int argc, char **argv)
{
	pool = mmap(NULL, POOL_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	puts(strdup("fine"));
	return 0;
}
