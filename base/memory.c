#include "base/memory.h"
#include "base/mark.h"
#include "base/place.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
enum { MAPPED_BYTES = INT_MAX }; /* none: the leak checker does not look for pointers in mappings */
#elif defined(PF_SMALL)
enum { MAPPED_BYTES = 1024 };
#else
enum { MAPPED_BYTES = 16 * 1024 };
#endif

/* Before the bytes of a block that knows its size. */
struct head {
	size_t bytes; /* this with it */
} __attribute__((aligned(16)));

static int64_t held_bytes; /* atomic */

static void note_held(size_t more, size_t less)
{
	__atomic_fetch_add(&held_bytes, (int64_t)(more - less), __ATOMIC_RELAXED);
}

int64_t pf_memory_held_bytes(void)
{
	return __atomic_load_n(&held_bytes, __ATOMIC_RELAXED);
}

/* Whether a block is a mapping follows from its size alone. */
static void *resize(void *at, size_t old_bytes, size_t bytes)
{
	void *grown;

	if (bytes < MAPPED_BYTES)
		return realloc(at, bytes);
	if (old_bytes >= MAPPED_BYTES) {
		grown = pf_place_remap(at, old_bytes, bytes);
		return grown == MAP_FAILED ? NULL : grown;
	}
	grown = pf_place_map(bytes, PROT_READ | PROT_WRITE, 0, -1);
	if (grown == MAP_FAILED)
		return NULL;
	if (old_bytes)
		memcpy(grown, at, old_bytes);
	free(at);
	return grown;
}

void *pf_memory_resize(void *at, size_t old_bytes, size_t bytes)
{
	void *grown = resize(at, old_bytes, bytes);

	if (grown)
		note_held(bytes, old_bytes);
	return grown;
}

void pf_memory_release(void *at, size_t bytes)
{
	note_held(0, bytes);
	if (bytes < MAPPED_BYTES)
		free(at);
	else
		munmap(at, bytes);
}

void *pf_memory_new(size_t count, size_t size)
{
	struct head *head;
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes) ||
	    __builtin_add_overflow(bytes, sizeof(*head), &bytes))
		return NULL;
	head = pf_memory_resize(NULL, 0, bytes);
	if (!head)
		return NULL;
	if (bytes < MAPPED_BYTES) /* a mapping is zero */
		memset(head, 0, bytes);
	head->bytes = bytes;
	return head + 1;
}

void pf_memory_free(void *block)
{
	struct head *head = block;

	if (head)
		pf_memory_release(head - 1, head[-1].bytes);
}
