/* operator new and delete as a library has them: over a pool of its own, or over another's functions. FEW:
 * no more than a library must have, what is left ends in these. */
#include "base/mark.h"

#include <stddef.h>
#include <sys/mman.h>

#ifdef OVER
void *OVER(size_t size);
void UNDER(void *at);
#else
#define OVER  carve
#define UNDER ignore

enum { POOL_BYTES = 16 << 20 };

static void *carve(size_t size)
{
	static char *pool;
	static size_t used;
	size_t at = used;

	if (!pool)
		pool = mmap(
		    NULL, POOL_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	used = (used + size + 63) / 64 * 64;
	return pool + at;
}

static void ignore(void *at)
{
}
#endif

PF_PUBLIC void *_Znwm(size_t size);
PF_PUBLIC void _ZdlPv(void *at);

void *_Znwm(size_t size)
{
	return OVER(size);
}

void _ZdlPv(void *at)
{
	UNDER(at);
}

#ifndef FEW
PF_PUBLIC void *_Znam(size_t size);
PF_PUBLIC void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t align, const void *tag);
PF_PUBLIC void _ZdlPvm(void *at, size_t size);
PF_PUBLIC void _ZdaPv(void *at);
PF_PUBLIC void _ZdaPvSt11align_val_t(void *at, size_t align);

void *_Znam(size_t size)
{
	return _Znwm(size);
}

void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t align, const void *tag)
{
	return carve(size);
}

void _ZdlPvm(void *at, size_t size)
{
	_ZdlPv(at);
}

void _ZdaPv(void *at)
{
	_ZdlPv(at);
}

void _ZdaPvSt11align_val_t(void *at, size_t align)
{
	ignore(at);
}
#endif
