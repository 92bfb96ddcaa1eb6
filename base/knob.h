/* Knobs: every setting of the agent, one row each, and one parser for all ways to set them.
 *
 * `echo 997 > cpu/hz`, `proffs run --set cpu/hz=997` and PROFFS_CPU_HZ=997 in the environment end
 * in pf_knob_set(). A row's path is its place in the tree, and `config/` may be left out of names.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*  id                 path                        unit      min  max            default  help */
#define PF_KNOBS(X)                                                                                \
	X(CPU_HZ, "cpu/hz", "Hz", 1, 4000, 97, "CPU samples a second of CPU time, per thread")     \
	X(CPU_PRECISE, "cpu/precise", "", 0, 1, 0,                                                 \
	    "1: CPU samples by perf events, right also for programs in step with the clock tick")  \
	X(WALL_HZ, "wall/hz", "Hz", 1, 1000, 20, "wall-clock samples a second, per thread")        \
	X(HEAP_SAMPLE_BYTES, "config/heap_sample_bytes", "bytes", 0, 1ll << 40, 524288,            \
	    "mean bytes between two heap samples; 1 samples every block, 0 none")                  \
	X(HEAP_PEAK_RESET, "config/heap_peak_reset", "", 0, 1, 0,                                  \
	    "write 1: heap_peak is measured from now on")                                          \
	X(HEAP_MMAP, "config/heap_mmap", "", 0, 1, 0,                                              \
	    "1: the heap's profiles have the program's own mappings, too, with kind=mmap or file") \
	X(MUTEX_FRACTION, "config/mutex_fraction", "", 1, 1000000, 100,                            \
	    "of so many contentions one is sampled; of those that cost a millisecond, all")        \
	X(BLOCK_RATE_NS, "config/block_rate_ns", "ns", 1, 1000000000000, 100000,                   \
	    "waits so long are all sampled, shorter ones the more often the longer they are")      \
	X(BLOCK_KINDS, "config/block_kinds", "sync+sleep+io", 1, 7, 1,                             \
	    "what block counts: sync (locks, conditions, joins), sleep, io; several, or +io, -io") \
	X(EXCEPTION_STACKS, "config/exception_stacks", "stacks/s", 1, 1000000, 1000,               \
	    "stacks of throws taken a second; of more, a sample that stands for all")              \
	X(EXCEPTION_MESSAGES, "config/exception_messages", "", 0, 2, 1,                            \
	    "1: what() where it can be read, 2: called where it cannot, 0: no messages")           \
	X(STACK_DEPTH, "config/stack_depth", "frames", 1, 512, 128, "deepest stack kept")          \
	X(RECORDER_SECONDS, "config/recorder_seconds", "seconds", 1, 3600, 60,                     \
	    "how far back cpu.pprof reaches without a capture")                                    \
	X(ASK_ALLOCATOR, "config/ask_allocator", "", 0, 1, 1,                                      \
	    "1: stats asks the allocator, whose malloc waits meanwhile; 0: it does not")           \
	X(CAPTURES_KEEP, "config/captures_keep", "files", 1, 1000, 20,                             \
	    "finished captures kept under captures/")                                              \
	X(CAPTURES_KEEP_BYTES, "config/captures_keep_bytes", "bytes", 0, 1ll << 40, 268435456,     \
	    "bytes of finished captures kept under captures/")                                     \
	X(SYMBOLS, "config/symbols", "names|lines", 0, 1, 0,                                       \
	    "lines: every profile with file:line and inlined functions (from debug information)")  \
	X(SYMBOLS_MEMORY, "config/symbols_memory", "bytes", 16 << 20, 1ll << 40, 536870912,        \
	    "most memory of the process that looks lines up (proffs-lines)")

enum pf_knob_id {
#define X(id, path, unit, min, max, def, help) PF_KNOB_##id,
	PF_KNOBS(X)
#undef X
	    PF_KNOB_COUNT
};

/* Called after a new value is in place, by whoever set it. 0, or -errno: the old value is put back
 * and the error is the writer's. */
typedef int pf_knob_apply_fn(enum pf_knob_id id, int64_t value);

struct pf_knob {
	const char *path; /* in the tree */
	const char *unit; /* or its values as words: "names|lines" for 0 and 1 */
	const char *help;
	int64_t min, max, default_value;
	int64_t value; /* atomic */
	pf_knob_apply_fn *apply;
};

/* All rows, by id: the agent's own, or in libproffs-fs.so the agent's seen through a pointer. */
extern struct pf_knob *pf_knobs;

static inline int64_t pf_knob_get(enum pf_knob_id id)
{
	return __atomic_load_n(&pf_knobs[id].value, __ATOMIC_RELAXED);
}

/* Range check, store, apply. 0, -ERANGE, or what apply said. Any thread. */
int pf_knob_put(enum pf_knob_id id, int64_t value);

/* The same from text (see pf_knob_parse): also -EINVAL. */
int pf_knob_set(enum pf_knob_id id, const char *text, size_t length);

/* A value that the knob may have, from text: a number (see pf_parse_int), one of its words
 * (unit "names|lines"), or some of them (unit "sync+sleep+io": bits), with blanks, commas or plus signs
 * between them. 0, -EINVAL, -ERANGE. */
int pf_knob_parse(enum pf_knob_id id, const char *text, size_t length, int64_t *out);

enum { PF_KNOB_TEXT = 32 };
/* The value now, as it is written: a number or a word, into `out` of PF_KNOB_TEXT bytes. */
const char *pf_knob_text(enum pf_knob_id id, char *out);

/* By path ("cpu/hz"), by path without config/ ("heap_sample_bytes"): the id or -ENOENT. */
int pf_knob_find(const char *name, size_t length);

/* The environment's name of a knob, "PROFFS_CPU_HZ", into `out` of at least 64 bytes. */
void pf_knob_env_name(enum pf_knob_id id, char *out, size_t size);

void pf_knob_adopt(struct pf_knob *knobs);

/* A decimal number with optional sign, white space around it allowed, and a suffix k M G T or
 * KiB/MiB... (powers of 1024). 0; -EINVAL not a number; -ERANGE does not fit 64 bits. */
int pf_parse_int(const char *text, size_t length, int64_t *out);
