/* Marks: what a function may be called from, said so that a machine can check it.
 *
 * PF_SIGSAFE functions run in a signal handler on a program's thread; PF_HOOK functions run inside
 * a call the program made (malloc, pthread_create). The marks are linker sections, and
 * scripts/check-calls reads the disassembly: what leaves a section must be on its allow-list.
 */
#pragma once

#define PF_SIGSAFE __attribute__((section("pf_sigsafe"), noinline))
#define PF_HOOK    __attribute__((section("pf_hook"), noinline))

/* Small helpers of both: no call is left to check. */
#define PF_INLINE static inline __attribute__((always_inline))

/* The only thread-local storage allowed under malloc and in handlers: any other model may call
 * __tls_get_addr, which may allocate. Keep it small: it comes out of a small static reserve. */
#define PF_TLS __thread __attribute__((tls_model("initial-exec")))

/* Read by every sample, written hardly ever: side by side, on few cache lines and a page or two. A sample comes a
 * hundred times a second, and whatever it touches is cold. */
#define PF_WARM __attribute__((section("pf_warm")))

#define PF_PUBLIC             __attribute__((visibility("default")))
#define PF_HIDDEN             __attribute__((visibility("hidden"))) /* on a declaration: no GOT */
#define PF_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define PF_LIKELY(x)          __builtin_expect(!!(x), 1)
#define PF_UNLIKELY(x)        __builtin_expect(!!(x), 0)
#define PF_COUNT(array)       (sizeof(array) / sizeof((array)[0]))
