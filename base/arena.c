#include "base/arena.h"
#include "base/mark.h"
#include "base/place.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>

#ifdef PF_SMALL
enum { CHUNK_BYTES = 4096 };
#else
enum { CHUNK_BYTES = 256 * 1024 };
#endif

struct chunk {
	size_t used; /* atomic; counts this header; may run past the end, and then it is full */
	size_t size;
};

static struct chunk *current; /* atomic */
static int64_t mapped_bytes;  /* atomic */

/* For whoever wants to know what of the process is ours; one that finds no place is not listed. */
static struct listed {
	uintptr_t at; /* atomic; 0: free */
	size_t size;  /* atomic */
} list[PF_ARENA_LISTED];

static PF_SIGSAFE void list_add(void *at, size_t size)
{
	for (int i = 0; i < PF_ARENA_LISTED; i++) {
		uintptr_t nobody = 0;

		if (__atomic_load_n(&list[i].at, __ATOMIC_RELAXED) == 0 &&
		    __atomic_compare_exchange_n(&list[i].at, &nobody, (uintptr_t)at, false,
			__ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
			__atomic_store_n(&list[i].size, size, __ATOMIC_RELEASE);
			return;
		}
	}
}

static PF_SIGSAFE void list_drop(void *at)
{
	for (int i = 0; i < PF_ARENA_LISTED; i++)
		if (__atomic_load_n(&list[i].at, __ATOMIC_RELAXED) == (uintptr_t)at) {
			__atomic_store_n(&list[i].size, 0, __ATOMIC_RELAXED);
			__atomic_store_n(&list[i].at, 0, __ATOMIC_RELEASE);
			return;
		}
}

size_t pf_arena_mappings(struct pf_arena_mapping *out, size_t max)
{
	size_t count = 0;

	for (int i = 0; i < PF_ARENA_LISTED && count < max; i++) {
		out[count].size = __atomic_load_n(&list[i].size, __ATOMIC_ACQUIRE);
		out[count].at = __atomic_load_n(&list[i].at, __ATOMIC_ACQUIRE);
		count += out[count].at != 0 && out[count].size != 0;
	}
	return count;
}

PF_SIGSAFE void *pf_arena_map(size_t size)
{
	int saved = errno;
	void *at = pf_place_map(size, PROT_READ | PROT_WRITE, 0, -1);

	errno = saved;
	if (at == MAP_FAILED)
		return NULL;
	__atomic_fetch_add(&mapped_bytes, (int64_t)size, __ATOMIC_RELAXED);
	list_add(at, size);
	return at;
}

PF_SIGSAFE void pf_arena_unmap(void *at, size_t size)
{
	int saved = errno;

	list_drop(at);
	if (munmap(at, size) == 0)
		__atomic_fetch_sub(&mapped_bytes, (int64_t)size, __ATOMIC_RELAXED);
	errno = saved;
}

int64_t pf_arena_mapped_bytes(void)
{
	return __atomic_load_n(&mapped_bytes, __ATOMIC_RELAXED);
}

/* A place in the chunk, or NULL when it is full. */
static PF_SIGSAFE void *take_from(struct chunk *chunk, size_t size)
{
	size_t at = __atomic_fetch_add(&chunk->used, size, __ATOMIC_RELAXED);

	if (at > chunk->size || size > chunk->size - at)
		return NULL;
	return (char *)chunk + at;
}

PF_SIGSAFE void *pf_arena_take(size_t size)
{
	size = (size + 15) & ~(size_t)15;
	if (size > CHUNK_BYTES / 4)
		return pf_arena_map(size);
	for (;;) {
		struct chunk *chunk = __atomic_load_n(&current, __ATOMIC_ACQUIRE);
		void *taken = chunk ? take_from(chunk, size) : NULL;
		struct chunk *fresh;

		if (taken)
			return taken;
		fresh = pf_arena_map(CHUNK_BYTES);
		if (!fresh)
			return NULL;
		fresh->size = CHUNK_BYTES;
		fresh->used = sizeof(*fresh);
		/* Somebody else may have been first: use theirs, give ours back. */
		if (!__atomic_compare_exchange_n(
			&current, &chunk, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			pf_arena_unmap(fresh, CHUNK_BYTES);
	}
}
