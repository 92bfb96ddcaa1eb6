/* THE contract: a profile that needs nobody's help.
 *
 * Collectors fill it, renderers draw it, pprof_read makes the same thing from a file. It owns every
 * string and array in it, so it may outlive the program's libraries and be drawn at leisure.
 *
 *   sample --pcs--> addresses --pf_profile_location()--> location --lines--> function names
 *                                                             \--mapping--> file, build id
 *
 * Addresses are *lookup* addresses (reference rule D9): the interrupted PC itself for a leaf that
 * was interrupted, the return address minus one for every caller. Leaf first. Addresses below
 * PF_PC_MARKER_END are markers, not code: "[truncated]" and its like.
 *
 * Not thread-safe: one owner. Plain malloc: our own threads only. Adding never fails in the
 * caller's face: the first -errno sticks in `error`, and further additions do nothing.
 */
#pragma once
#include "base/mark.h"
#include "base/query.h"
#include "base/wait.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pf_buf;

enum { PF_VALUES_MAX = 4, PF_BUILD_ID_TEXT = 41 };

/* Frames that are not code, by their "address". */
enum pf_pc_marker {
	PF_PC_TRUNCATED = 1,    /* [truncated]: deeper than config/stack_depth */
	PF_PC_NO_UNWIND_INFO,   /* [no unwind info] */
	PF_PC_BAD_MEMORY,       /* [bad stack memory] */
	PF_PC_LOOP,             /* [stack loop] */
	PF_PC_UNKNOWN_REGISTER, /* [unknown register] */
	PF_PC_LOST,             /* [lost]: what was dropped, so that totals stay true */
	PF_PC_STACK_STORE_FULL, /* [stack store full] */
	PF_PC_UNKNOWN,          /* [unknown]: no stack at all */
	PF_PC_NO_STACK,         /* [stack not readable] */
	PF_PC_FIBER,            /* [fiber]: a stack that is not the thread's own ends here */
	PF_PC_NOT_SAMPLED,      /* [not sampled]: CPU time of a thread that no sample met */
	PF_PC_UNKNOWN_CREATOR,  /* [unknown creator]: of a thread that no hook saw being created */
	PF_PC_MARKER_END = 256,
};

/* "[truncated]" ...; NULL for an address that is code. */
const char *pf_pc_marker_name(uint64_t pc);

struct pf_value_type {
	const char *type; /* "inuse_space" */
	const char *unit; /* "bytes" */
};

struct pf_label {
	const char *key;
	const char *str; /* NULL: numeric */
	int64_t num;
	const char *unit; /* of num; NULL: none */
};

struct pf_mapping { /* one executable mapping, values as in /proc/self/maps */
	uint64_t start, limit, offset;
	const char *path;     /* "" where there is none */
	const char *build_id; /* lower-case hex, or "" */
	bool has_functions;   /* some location in it has a name (rule D2) */
	bool has_filenames, has_line_numbers, has_inline_frames;
};

struct pf_line {
	const char *function;    /* for people: demangled */
	const char *system_name; /* as linked */
	const char *file;        /* "" unknown */
	int64_t line;            /* 0 unknown */
	int64_t start_line;
};

struct pf_location { /* sorted by address, once pf_profile_set_locations() has run */
	uint64_t address;
	uint32_t mapping;    /* index + 1; 0: in none */
	uint32_t line_first; /* into `lines`; innermost inlined frame first */
	uint32_t line_count; /* 0: no name at all */
};

struct pf_sample {
	uint32_t pc_first, pc_count; /* into `pcs` */
	uint32_t label_first, label_count;
	int64_t value[PF_VALUES_MAX];
};

struct pf_string_pool;

struct pf_profile {
	const char *name; /* stem: "heap" */
	struct pf_value_type types[PF_VALUES_MAX];
	uint32_t type_count;
	int32_t default_type; /* a column, or -1: the last one */
	struct pf_value_type period_type;
	int64_t period;
	int64_t time_ns;     /* since the epoch: start of a window, or the moment */
	int64_t duration_ns; /* 0: a moment */
	/* Functions that readers need not see, nor what they called: a pattern that RE2 and POSIX take
	 * alike, of whole names without parameters (rule R14). NULL: none. */
	const char *drop_frames;
	bool
	    leaf_is_return; /* the leaf was recorded by a call (heap, block): exact PC is leaf + 1 */

	struct pf_sample *samples;
	size_t sample_count, sample_capacity;
	uint64_t *pcs;
	size_t pc_count, pc_capacity;
	struct pf_label *labels;
	size_t label_count, label_capacity;
	struct pf_mapping *mappings;
	size_t mapping_count, mapping_capacity;
	struct pf_location *locations;
	size_t location_count, location_capacity;
	struct pf_line *lines;
	size_t line_count, line_capacity;
	const char **comments; /* settings, version, what was lost */
	size_t comment_count, comment_capacity;
	const char **notes; /* what a text ends with, line by line; in no other format */
	size_t note_count, note_capacity;

	/* Of mutex and block: who waits right now, a sample for each thread (sampler/blocked.h); NULL:
	 * nobody asked. Owned. */
	struct pf_profile *waiting;

	struct pf_string_pool *strings;
	int error; /* 0 or the first -errno */
};

/* Collects what `query` asks for; may sleep in `wait`. 0 or -errno, and then `out` is not to be
 * used. `out` is initialised by the caller, who finishes it in every case. */
typedef int pf_collect_fn(
    struct pf_profile *out, const struct pf_query *query, struct pf_wait *wait);

/* Draws. Errors stick in `out`. */
typedef void pf_render_fn(
    struct pf_buf *out, const struct pf_profile *in, const struct pf_query *query);

void pf_profile_init(struct pf_profile *p);
void pf_profile_finish(struct pf_profile *p); /* frees, zeroes; zeroed memory is fine */

/* The profile's own copy of a string, same text same pointer; "" for NULL or without memory. */
const char *pf_profile_string(struct pf_profile *p, const char *text);

void pf_profile_add_type(struct pf_profile *p, const char *type, const char *unit);
void pf_profile_set_period(
    struct pf_profile *p, const char *type, const char *unit, int64_t period);

/* A sample with one value per type; an empty stack becomes PF_PC_UNKNOWN (rule D10). */
void pf_profile_add_sample(
    struct pf_profile *p, const uint64_t *pcs, size_t pc_count, const int64_t *values);
/* Labels of the sample added last. */
void pf_profile_label_str(struct pf_profile *p, const char *key, const char *value);
void pf_profile_label_num(struct pf_profile *p, const char *key, int64_t value, const char *unit);

/* An empty profile as p->waiting, or NULL without memory. */
struct pf_profile *pf_profile_add_waiting(struct pf_profile *p);

void pf_profile_add_mapping(struct pf_profile *p, uint64_t start, uint64_t limit, uint64_t offset,
    const char *path, const char *build_id);
void pf_profile_comment(struct pf_profile *p, const char *format, ...) PF_PRINTF(2, 3);
void pf_profile_note(struct pf_profile *p, const char *format, ...) PF_PRINTF(2, 3);

/* A numeric label with the unit "address" is code, too: who created a thread. */
bool pf_label_is_address(const struct pf_label *label);

/* Every different address of all samples and labels once, sorted, each with its mapping and no line yet:
 * fills `locations`. Whoever knows names then adds lines with pf_profile_add_line(). */
void pf_profile_set_locations(struct pf_profile *p);
/* The next (outer) line of a location. All lines of one location must be added in a row. */
void pf_profile_add_line(struct pf_profile *p, struct pf_location *location, const char *function,
    const char *system_name, const char *file, int64_t line, int64_t start_line);

/* The location of an address: binary search; NULL before pf_profile_set_locations(). */
const struct pf_location *pf_profile_location(const struct pf_profile *p, uint64_t address);
/* The mapping an address lies in, or NULL. */
const struct pf_mapping *pf_profile_mapping(const struct pf_profile *p, uint64_t address);

/* Samples with the same stack and labels become one, values added; all-zero ones go. Order: by
 * the default column, largest first, then by stack, so the same profile has the same bytes. */
void pf_profile_merge_same(struct pf_profile *p);

/* Takes the labels with this key away: a sample is then the same whatever they said. */
void pf_profile_drop_label(struct pf_profile *p, const char *key);

/* p - before, as Go's seconds=N (reference/pprof.md 2.2): p keeps its time, gets duration_ns. What
 * `before` has of a file is where p has that file; a file that p does not have is added. */
void pf_profile_subtract(struct pf_profile *p, const struct pf_profile *before);

/* The column that text shows. */
uint32_t pf_profile_default_type(const struct pf_profile *p);
/* Sum of a column. */
int64_t pf_profile_total(const struct pf_profile *p, uint32_t type);
