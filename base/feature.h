/* Features: what works in this process, and in words why the rest does not. `status` prints them.
 *
 * A reason is a string that lives for ever (a literal, or made once): a reader may print it while
 * another thread changes it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/*         id          name in `status` */
#define PF_FEATURES(X)                                                                             \
	X(TREE, "tree")                                                                            \
	X(REAPER, "reaper")                                                                        \
	X(HEIR, "files_at_any_end")                                                                \
	X(CPU, "cpu")                                                                              \
	X(CPU_PRECISE, "cpu_precise")                                                              \
	X(WALL, "wall")                                                                            \
	X(HEAP, "heap")                                                                            \
	X(SHORTCUT, "heap_direct_jumps")                                                           \
	X(MUTEX, "mutex")                                                                          \
	X(BLOCK, "block")                                                                          \
	X(THREADS, "threads")                                                                      \
	X(SLEEPER_STACKS, "stacks_of_sleeping_threads")                                            \
	X(RUNNER_STACKS, "stacks_of_running_threads")                                              \
	X(EXCEPTIONS, "exceptions")                                                                \
	X(THREAD_HOOK, "thread_creation_hook")                                                     \
	X(SECCOMP, "seccomp")                                                                      \
	X(UNWIND_LIB, "libunwind_fallback")                                                        \
	X(PRIVATE_FDS, "private_descriptors")                                                      \
	X(SYMBOLS, "symbols")                                                                      \
	X(LINES, "source_lines")

enum pf_feature {
#define X(id, name) PF_FEATURE_##id,
	PF_FEATURES(X)
#undef X
	    PF_FEATURE_COUNT
};

enum pf_feature_state { PF_FEATURE_OFF, PF_FEATURE_OK, PF_FEATURE_DEGRADED, PF_FEATURE_NONE };

struct pf_feature_entry {
	uint32_t state;     /* enum pf_feature_state, atomic */
	const char *reason; /* atomic; NULL with OFF and OK */
};

extern struct pf_feature_entry *pf_features;

const char *pf_feature_name(enum pf_feature feature);
const char *pf_feature_state_name(enum pf_feature_state state); /* off ok degraded unavailable */

/* Any thread of ours, and normal code. */
void pf_feature_set(enum pf_feature feature, enum pf_feature_state state, const char *reason);

void pf_feature_adopt(struct pf_feature_entry *features);
