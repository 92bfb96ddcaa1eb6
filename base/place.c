#include "base/place.h"
#include "base/mark.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* Below our own object, which lies among the program's: more than most programs ever map, and no further than
 * what the thread sanitizer leaves to be mapped (gcc 12: from 0x7e80'0000'0000 on). */
static const uintptr_t BELOW = (uintptr_t)256 << 30;
/* Somebody is there: our other object, a program that maps as much. */
static const uintptr_t STRIDE = (uintptr_t)1 << 30;
static const int TRIES = 8;
/* Between two of ours: mappings that touch become one, and that one huge pages. */
static const uintptr_t GAP = 64 * 1024;

static uintptr_t next; /* atomic; 0: not chosen yet */

/* What follows the mapping stays free. One address after the other: what was given back is not used again
 * until all of the lower half has been. 0: there is no such place. */
static PF_SIGSAFE uintptr_t choose(size_t bytes)
{
	uintptr_t first = ((uintptr_t)&next - BELOW) & -GAP;
	uintptr_t room = (bytes + 2 * GAP - 1) & -GAP;
	uintptr_t at, none = 0;

	if ((uintptr_t)&next <= 2 * BELOW)
		return 0;
	__atomic_compare_exchange_n(&next, &none, first, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	at = __atomic_fetch_add(&next, room, __ATOMIC_RELAXED);
	if (at + room <= first + BELOW / 2)
		return at;
	__atomic_store_n(&next, first + room, __ATOMIC_RELAXED);
	return first;
}

PF_SIGSAFE void *pf_place_map(size_t bytes, int protection, int more, int fd)
{
	int flags = MAP_PRIVATE | (fd < 0 ? MAP_ANONYMOUS : 0) | more;

	for (int i = 0; i < TRIES && bytes < STRIDE; i++) {
		int saved = errno;
		uintptr_t wish = choose(bytes);
		void *at;

		if (wish == 0)
			break;
		at = mmap((void *)wish, bytes, protection, flags | MAP_FIXED_NOREPLACE, fd, 0);
		if (at == (void *)wish)
			return at;
		if (at == MAP_FAILED && (errno == EINVAL || errno == EPERM || errno == EOPNOTSUPP))
			break; /* whoever answers in the kernel's place does not know the flag */
		if (at == MAP_FAILED && errno != EEXIST)
			return at;
		errno = saved;
		/* A kernel before 4.17 takes it for a wish. */
		if (at != MAP_FAILED)
			munmap(at, bytes);
		__atomic_fetch_add(&next, STRIDE, __ATOMIC_RELAXED);
	}
	return mmap(NULL, bytes, protection, flags, fd, 0);
}

/* Copied: valgrind 3.19 takes what grows while it is moved to an address of our choice for unaddressable. */
void *pf_place_remap(void *at, size_t old_bytes, size_t bytes)
{
	void *to;

	if (bytes <= old_bytes)
		return mremap(at, old_bytes, bytes, 0);
	to = pf_place_map(bytes, PROT_READ | PROT_WRITE, 0, -1);
	if (to == MAP_FAILED) /* there is no room for both */
		return mremap(at, old_bytes, bytes, MREMAP_MAYMOVE);
	memcpy(to, at, old_bytes);
	munmap(at, old_bytes);
	return to;
}
