/* Real: the functions of the program's own allocator, past our hooks. The only place where a
 * pointer to them is called (scripts/check-calls refuses any other indirect call).
 *
 * "Real" is what the program would reach without us: its own malloc, a preloaded jemalloc, glibc.
 */
#pragma once
#include "base/mark.h"

#include <stdbool.h>
#include <stddef.h>

/* Each with its result, parameters and arguments. What the process does not have stays NULL.
 *
 * operator new and delete by their linker names: m a size, St11align_val_t an alignment,
 * RKSt9nothrow_t the address of std::nothrow (Itanium C++ ABI, 5.1). */
#define PF_REALS(X)                                                                                \
	X(malloc, void *, (size_t size), (size))                                                   \
	X(calloc, void *, (size_t count, size_t size), (count, size))                              \
	X(realloc, void *, (void *at, size_t size), (at, size))                                    \
	X(reallocarray, void *, (void *at, size_t count, size_t size), (at, count, size))          \
	X(posix_memalign, int, (void **out, size_t align, size_t size), (out, align, size))        \
	X(aligned_alloc, void *, (size_t align, size_t size), (align, size))                       \
	X(memalign, void *, (size_t align, size_t size), (align, size))                            \
	X(valloc, void *, (size_t size), (size))                                                   \
	X(pvalloc, void *, (size_t size), (size))                                                  \
	X(free, void, (void *at), (at))                                                            \
	X(free_sized, void, (void *at, size_t size), (at, size))                                   \
	X(free_aligned_sized, void, (void *at, size_t align, size_t size), (at, align, size))      \
	X(malloc_usable_size, size_t, (void *at), (at))                                            \
	/* jemalloc's own */                                                                       \
	X(mallocx, void *, (size_t size, int flags), (size, flags))                                \
	X(rallocx, void *, (void *at, size_t size, int flags), (at, size, flags))                  \
	X(dallocx, void, (void *at, int flags), (at, flags))                                       \
	X(sdallocx, void, (void *at, size_t size, int flags), (at, size, flags))                   \
	PF_REALS_CXX(X)

#define PF_REALS_CXX(X)                                                                            \
	X(_Znwm, void *, (size_t size), (size))                                                    \
	X(_Znam, void *, (size_t size), (size))                                                    \
	X(_ZnwmRKSt9nothrow_t, void *, (size_t size, const void *tag), (size, tag))                \
	X(_ZnamRKSt9nothrow_t, void *, (size_t size, const void *tag), (size, tag))                \
	X(_ZnwmSt11align_val_t, void *, (size_t size, size_t align), (size, align))                \
	X(_ZnamSt11align_val_t, void *, (size_t size, size_t align), (size, align))                \
	X(_ZnwmSt11align_val_tRKSt9nothrow_t, void *,                                              \
	    (size_t size, size_t align, const void *tag), (size, align, tag))                      \
	X(_ZnamSt11align_val_tRKSt9nothrow_t, void *,                                              \
	    (size_t size, size_t align, const void *tag), (size, align, tag))                      \
	X(_ZdlPv, void, (void *at), (at))                                                          \
	X(_ZdaPv, void, (void *at), (at))                                                          \
	X(_ZdlPvm, void, (void *at, size_t size), (at, size))                                      \
	X(_ZdaPvm, void, (void *at, size_t size), (at, size))                                      \
	X(_ZdlPvRKSt9nothrow_t, void, (void *at, const void *tag), (at, tag))                      \
	X(_ZdaPvRKSt9nothrow_t, void, (void *at, const void *tag), (at, tag))                      \
	X(_ZdlPvSt11align_val_t, void, (void *at, size_t align), (at, align))                      \
	X(_ZdaPvSt11align_val_t, void, (void *at, size_t align), (at, align))                      \
	X(_ZdlPvmSt11align_val_t, void, (void *at, size_t size, size_t align), (at, size, align))  \
	X(_ZdaPvmSt11align_val_t, void, (void *at, size_t size, size_t align), (at, size, align))  \
	X(_ZdlPvSt11align_val_tRKSt9nothrow_t, void, (void *at, size_t align, const void *tag),    \
	    (at, align, tag))                                                                      \
	X(_ZdaPvSt11align_val_tRKSt9nothrow_t, void, (void *at, size_t align, const void *tag),    \
	    (at, align, tag))

enum pf_real {
#define X(name, type, params, args) PF_REAL_##name,
	PF_REALS(X)
#undef X
	    PF_REAL_COUNT
};

/* PF_HOOK: pf_real_malloc(size), pf_real_free(at) ... Not before pf_real_resolve(), and not where
 * the pointer is NULL. */
#define X(name, type, params, args) type pf_real_##name params;
PF_REALS(X)
#undef X

/* Their types: pf_real_malloc_fn ... */
#define X(name, type, params, args) typedef type pf_real_##name##_fn params;
PF_REALS(X)
#undef X

/* The same call without a function in between, for a hook that ends in it: there one jump more is a
 * quarter of the cost. Only in functions named pf_real_*, which is where scripts/check-calls allows
 * a pointer to be called. */
#define PF_REAL_CALL(name, args) ((pf_real_##name##_fn *)pf_real_pointers[PF_REAL_##name]) args

/* The pointers, for a table of patches. */
extern PF_HIDDEN void *pf_real_pointers[PF_REAL_COUNT];

/* Whose malloc it is. */
enum pf_real_home {
	PF_REAL_HOME_LIBC,
	PF_REAL_HOME_LIBRARY,   /* jemalloc, tcmalloc, mimalloc ... as a shared library */
	PF_REAL_HOME_PROGRAM,   /* inside the executable: calls from there pass no slot */
	PF_REAL_HOME_SANITIZER, /* not to be touched */
};

/* What the program would reach under this name, never an executable's PLT entry; NULL: nothing.
 * Inside the gate (gate.h); not in a hook. */
void *pf_real_find(const char *symbol);

/* Looks every one of them up, once, from normal code: 0 or -ENOENT with nothing usable. Takes the
 * loader's lock; never in a hook. */
int pf_real_resolve(void);

enum pf_real_home pf_real_home(void);
