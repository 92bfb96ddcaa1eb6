/* Real: the functions of the program's own allocator, past our hooks. The only place where a
 * pointer to them is called (scripts/check-calls refuses any other indirect call).
 *
 * "Real" is what the program would reach without us: its own malloc, a preloaded jemalloc, glibc.
 */
#pragma once
#include "base/mark.h"
#include "sampler/operator.h"

#include <link.h>
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
	PF_REALS_CXX(X)                                                                            \
	PF_REALS_BSD(X)                                                                            \
	PF_REALS_JE(X)                                                                             \
	PF_REALS_TC(X)                                                                             \
	PF_REALS_MI(X)

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

/* Of other systems and times. Only where the allocator itself has them: under such a name a library or a
 * program may have anything. */
#define PF_REALS_BSD(X)                                                                            \
	X(cfree, void, (void *at), (at))                                                           \
	X(reallocf, void *, (void *at, size_t size), (at, size))                                   \
	X(reallocarr, int, (void *place, size_t count, size_t size), (place, count, size))         \
	X(vfree, void, (void *at), (at))                                                           \
	X(_aligned_malloc, void *, (size_t align, size_t size), (align, size))

/* What allocators have under names of their own. The first of each stands for all. */
#define PF_REALS_JE(X)                                                                             \
	X(mallocx, void *, (size_t size, int flags), (size, flags))                                \
	X(rallocx, void *, (void *at, size_t size, int flags), (at, size, flags))                  \
	X(xallocx, size_t, (void *at, size_t size, size_t extra, int flags),                       \
	    (at, size, extra, flags))                                                              \
	X(sallocx, size_t, (const void *at, int flags), (at, flags))                               \
	X(dallocx, void, (void *at, int flags), (at, flags))                                       \
	X(sdallocx, void, (void *at, size_t size, int flags), (at, size, flags))

#define PF_REALS_TC(X)                                                                             \
	X(tc_malloc, void *, (size_t size), (size))                                                \
	X(tc_malloc_skip_new_handler, void *, (size_t size), (size))                               \
	X(tc_calloc, void *, (size_t count, size_t size), (count, size))                           \
	X(tc_memalign, void *, (size_t align, size_t size), (align, size))                         \
	X(tc_valloc, void *, (size_t size), (size))                                                \
	X(tc_pvalloc, void *, (size_t size), (size))                                               \
	X(tc_new, void *, (size_t size), (size))                                                   \
	X(tc_newarray, void *, (size_t size), (size))                                              \
	X(tc_new_nothrow, void *, (size_t size, const void *tag), (size, tag))                     \
	X(tc_newarray_nothrow, void *, (size_t size, const void *tag), (size, tag))                \
	X(tc_new_aligned, void *, (size_t size, size_t align), (size, align))                      \
	X(tc_newarray_aligned, void *, (size_t size, size_t align), (size, align))                 \
	X(tc_new_aligned_nothrow, void *, (size_t size, size_t align, const void *tag),            \
	    (size, align, tag))                                                                    \
	X(tc_newarray_aligned_nothrow, void *, (size_t size, size_t align, const void *tag),       \
	    (size, align, tag))                                                                    \
	X(tc_free, void, (void *at), (at))                                                         \
	X(tc_cfree, void, (void *at), (at))                                                        \
	X(tc_free_sized, void, (void *at, size_t size), (at, size))                                \
	X(tc_delete, void, (void *at), (at))                                                       \
	X(tc_delete_sized, void, (void *at, size_t size), (at, size))                              \
	X(tc_delete_nothrow, void, (void *at, const void *tag), (at, tag))                         \
	X(tc_delete_aligned, void, (void *at, size_t align), (at, align))                          \
	X(tc_delete_sized_aligned, void, (void *at, size_t size, size_t align), (at, size, align)) \
	X(tc_delete_aligned_nothrow, void, (void *at, size_t align, const void *tag),              \
	    (at, align, tag))                                                                      \
	X(tc_deletearray, void, (void *at), (at))                                                  \
	X(tc_deletearray_sized, void, (void *at, size_t size), (at, size))                         \
	X(tc_deletearray_nothrow, void, (void *at, const void *tag), (at, tag))                    \
	X(tc_deletearray_aligned, void, (void *at, size_t align), (at, align))                     \
	X(tc_deletearray_sized_aligned, void, (void *at, size_t size, size_t align),               \
	    (at, size, align))                                                                     \
	X(tc_deletearray_aligned_nothrow, void, (void *at, size_t align, const void *tag),         \
	    (at, align, tag))                                                                      \
	X(tc_realloc, void *, (void *at, size_t size), (at, size))                                 \
	X(tc_posix_memalign, int, (void **out, size_t align, size_t size), (out, align, size))     \
	X(tc_malloc_size, size_t, (void *at), (at))

#define PF_REALS_MI(X)                                                                             \
	X(mi_malloc, void *, (size_t size), (size))                                                \
	X(mi_zalloc, void *, (size_t size), (size))                                                \
	X(mi_malloc_small, void *, (size_t size), (size))                                          \
	X(mi_zalloc_small, void *, (size_t size), (size))                                          \
	X(mi_valloc, void *, (size_t size), (size))                                                \
	X(mi_pvalloc, void *, (size_t size), (size))                                               \
	X(mi_new, void *, (size_t size), (size))                                                   \
	X(mi_new_nothrow, void *, (size_t size), (size))                                           \
	X(mi_calloc, void *, (size_t count, size_t size), (count, size))                           \
	X(mi_mallocn, void *, (size_t count, size_t size), (count, size))                          \
	X(mi_new_n, void *, (size_t count, size_t size), (count, size))                            \
	X(mi_malloc_aligned, void *, (size_t size, size_t align), (size, align))                   \
	X(mi_zalloc_aligned, void *, (size_t size, size_t align), (size, align))                   \
	X(mi_new_aligned, void *, (size_t size, size_t align), (size, align))                      \
	X(mi_new_aligned_nothrow, void *, (size_t size, size_t align), (size, align))              \
	X(mi_memalign, void *, (size_t align, size_t size), (align, size))                         \
	X(mi_aligned_alloc, void *, (size_t align, size_t size), (align, size))                    \
	X(mi_calloc_aligned, void *, (size_t count, size_t size, size_t align),                    \
	    (count, size, align))                                                                  \
	X(mi_free, void, (void *at), (at))                                                         \
	X(mi_free_size, void, (void *at, size_t size), (at, size))                                 \
	X(mi_free_aligned, void, (void *at, size_t align), (at, align))                            \
	X(mi_free_size_aligned, void, (void *at, size_t size, size_t align), (at, size, align))    \
	X(mi_realloc, void *, (void *at, size_t size), (at, size))                                 \
	X(mi_rezalloc, void *, (void *at, size_t size), (at, size))                                \
	X(mi_new_realloc, void *, (void *at, size_t size), (at, size))                             \
	X(mi_reallocn, void *, (void *at, size_t count, size_t size), (at, count, size))           \
	X(mi_reallocarray, void *, (void *at, size_t count, size_t size), (at, count, size))       \
	X(mi_recalloc, void *, (void *at, size_t count, size_t size), (at, count, size))           \
	X(mi_new_reallocn, void *, (void *at, size_t count, size_t size), (at, count, size))       \
	X(mi_realloc_aligned, void *, (void *at, size_t size, size_t align), (at, size, align))    \
	X(mi_posix_memalign, int, (void **out, size_t align, size_t size), (out, align, size))     \
	X(mi_usable_size, size_t, (const void *at), (at))                                          \
	X(mi_cfree, void, (void *at), (at))                                                        \
	X(mi_malloc_aligned_at, void *, (size_t size, size_t align, size_t offset),                \
	    (size, align, offset))                                                                 \
	X(mi_zalloc_aligned_at, void *, (size_t size, size_t align, size_t offset),                \
	    (size, align, offset))                                                                 \
	X(mi_realloc_aligned_at, void *, (void *at, size_t size, size_t align, size_t offset),     \
	    (at, size, align, offset))                                                             \
	X(mi_rezalloc_aligned, void *, (void *at, size_t size, size_t align), (at, size, align))   \
	X(mi_reallocf, void *, (void *at, size_t size), (at, size))                                \
	X(mi_expand, void *, (void *at, size_t size), (at, size))                                  \
	X(mi_strdup, void *, (const char *text), (text))                                           \
	X(mi_strndup, void *, (const char *text, size_t most), (text, most))                       \
	X(mi_heap_strdup, void *, (void *heap, const char *text), (heap, text))                    \
	X(mi_heap_strndup, void *, (void *heap, const char *text, size_t most),                    \
	    (heap, text, most))                                                                    \
	X(mi_heap_malloc, void *, (void *heap, size_t size), (heap, size))                         \
	X(mi_heap_zalloc, void *, (void *heap, size_t size), (heap, size))                         \
	X(mi_heap_malloc_small, void *, (void *heap, size_t size), (heap, size))                   \
	X(mi_heap_calloc, void *, (void *heap, size_t count, size_t size), (heap, count, size))    \
	X(mi_heap_mallocn, void *, (void *heap, size_t count, size_t size), (heap, count, size))   \
	X(mi_heap_malloc_aligned, void *, (void *heap, size_t size, size_t align),                 \
	    (heap, size, align))                                                                   \
	X(mi_heap_zalloc_aligned, void *, (void *heap, size_t size, size_t align),                 \
	    (heap, size, align))                                                                   \
	X(mi_heap_calloc_aligned, void *, (void *heap, size_t count, size_t size, size_t align),   \
	    (heap, count, size, align))                                                            \
	X(mi_heap_realloc, void *, (void *heap, void *at, size_t size), (heap, at, size))          \
	X(mi_heap_reallocf, void *, (void *heap, void *at, size_t size), (heap, at, size))         \
	X(mi_heap_rezalloc, void *, (void *heap, void *at, size_t size), (heap, at, size))         \
	X(mi_heap_reallocn, void *, (void *heap, void *at, size_t count, size_t size),             \
	    (heap, at, count, size))                                                               \
	X(mi_heap_recalloc, void *, (void *heap, void *at, size_t count, size_t size),             \
	    (heap, at, count, size))                                                               \
	X(mi_heap_realloc_aligned, void *, (void *heap, void *at, size_t size, size_t align),      \
	    (heap, at, size, align))                                                               \
	X(mi_heap_alloc_new, void *, (void *heap, size_t size), (heap, size))                      \
	X(mi_heap_alloc_new_n, void *, (void *heap, size_t count, size_t size),                    \
	    (heap, count, size))                                                                   \
	X(mi_calloc_aligned_at, void *, (size_t count, size_t size, size_t align, size_t offset),  \
	    (count, size, align, offset))                                                          \
	X(mi_heap_malloc_aligned_at, void *,                                                       \
	    (void *heap, size_t size, size_t align, size_t offset), (heap, size, align, offset))   \
	X(mi_heap_zalloc_aligned_at, void *,                                                       \
	    (void *heap, size_t size, size_t align, size_t offset), (heap, size, align, offset))   \
	X(mi_heap_calloc_aligned_at, void *,                                                       \
	    (void *heap, size_t count, size_t size, size_t align, size_t offset),                  \
	    (heap, count, size, align, offset))                                                    \
	X(mi_rezalloc_aligned_at, void *, (void *at, size_t size, size_t align, size_t offset),    \
	    (at, size, align, offset))                                                             \
	X(mi_recalloc_aligned, void *, (void *at, size_t count, size_t size, size_t align),        \
	    (at, count, size, align))                                                              \
	X(mi_recalloc_aligned_at, void *,                                                          \
	    (void *at, size_t count, size_t size, size_t align, size_t offset),                    \
	    (at, count, size, align, offset))                                                      \
	X(mi_aligned_recalloc, void *, (void *at, size_t count, size_t size, size_t align),        \
	    (at, count, size, align))                                                              \
	X(mi_aligned_offset_recalloc, void *,                                                      \
	    (void *at, size_t count, size_t size, size_t align, size_t offset),                    \
	    (at, count, size, align, offset))                                                      \
	X(mi_heap_realloc_aligned_at, void *,                                                      \
	    (void *heap, void *at, size_t size, size_t align, size_t offset),                      \
	    (heap, at, size, align, offset))                                                       \
	X(mi_heap_rezalloc_aligned, void *, (void *heap, void *at, size_t size, size_t align),     \
	    (heap, at, size, align))                                                               \
	X(mi_heap_rezalloc_aligned_at, void *,                                                     \
	    (void *heap, void *at, size_t size, size_t align, size_t offset),                      \
	    (heap, at, size, align, offset))                                                       \
	X(mi_heap_recalloc_aligned, void *,                                                        \
	    (void *heap, void *at, size_t count, size_t size, size_t align),                       \
	    (heap, at, count, size, align))                                                        \
	X(mi_heap_recalloc_aligned_at, void *,                                                     \
	    (void *heap, void *at, size_t count, size_t size, size_t align, size_t offset),        \
	    (heap, at, count, size, align, offset))                                                \
	X(mi__expand, void *, (void *at, size_t size), (at, size))                                 \
	X(mi_reallocarr, int, (void *place, size_t count, size_t size), (place, count, size))      \
	X(mi_wcsdup, void *, (const unsigned short *text), (text))                                 \
	X(mi_mbsdup, void *, (const char *text), (text))                                           \
	X(mi_dupenv_s, int, (char **out, size_t *length, const char *name), (out, length, name))   \
	X(mi_realpath, void *, (const char *path, char *room), (path, room))                       \
	X(mi_heap_realpath, void *, (void *heap, const char *path, char *room),                    \
	    (heap, path, room))                                                                    \
	X(mi_heap_destroy, void, (void *heap), (heap))                                             \
	X(mi_heap_get_backing, void *, (void), ())                                                 \
	X(mi_heap_visit_blocks, bool,                                                              \
	    (const void *heap, bool blocks,                                                        \
		bool (*visit)(const void *, const void *, void *, size_t, void *), void *arg),     \
	    (heap, blocks, visit, arg))

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

/* Whose address it is; NULL: nobody's. Inside the gate; not in a hook. */
const struct link_map *pf_real_module(const void *address);
/* Is it the executable's? Takes no lock and no memory; false also where that cannot be told (glibc before 2.35). */
bool pf_real_is_executables(const void *function);

/* Are they in one module? Inside the gate; not in a hook. */
bool pf_real_are_together(void *a, void *b);

/* Is a sanitizer's runtime in this process, as a library or linked in? Passes the gate; not in a hook. */
bool pf_real_sanitized(void);

/* Is clock_gettime() not libc's (base/clock.h)? Passes the gate; not in a hook. */
bool pf_real_clock_is_replaced(void);

/* Looks every one of them up, once, from normal code: 0 or -ENOENT with nothing usable. Takes the
 * loader's lock; never in a hook. */
int pf_real_resolve(void);

enum pf_real_home pf_real_home(void);

/* In the library whose operator new and delete are hooked though it is not the allocator (operator.h);
 * NULL: there is none. After pf_real_resolve(). */
const void *pf_real_operators(void);

/* In the language's runtime, where that has the forms that the library has not: what it calls of the others
 * is the library's. NULL: nobody has. */
const void *pf_real_runtime(void);

/* Operators that end in no other, by their symbols. */
enum { PF_REAL_NEWS = 4 };
extern PF_HIDDEN const char *const pf_real_news[PF_REAL_NEWS];

/* The least that is seen (operator.h) of those that are the executable's and exported; and is this one of them? After
 * pf_real_resolve(). */
enum pf_operator_calls pf_real_operator_calls(void);
bool pf_real_has_looked_at(const void *operator_new);
