/* History: what the process was like, one row for each moment, oldest first.
 *
 * fs/history.c keeps a day of it, a row a second; renderers draw what a reader asked for. A column
 * is a gauge (what it was) or a counter (what had come together by then: see pf_history_rate()).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*  id                    name                           unit            counter? grain  what it is
 *  The grain is what history is kept in: finer changes are not seen. Often changing ones first: they
 *  are the cheapest to keep. */
#define PF_HISTORY_COLUMNS(X)                                                                      \
	X(CPU_USER, "cpu_user", "milliseconds", true, 1, "CPU time in the program's code")         \
	X(CPU_SYSTEM, "cpu_system", "milliseconds", true, 1, "CPU time in the kernel")             \
	X(SWITCHES, "context_switches", "switches", true, 1, "context switches")                   \
	X(ALLOCATED, "heap_allocated", "bytes", true, 1024,                                        \
	    "bytes ever allocated, by the heap's samples")                                         \
	X(HEAP, "heap_inuse", "bytes", false, 1024, "heap in use, by the heap's samples")          \
	X(RSS, "rss", "bytes", false, 4096, "resident memory")                                     \
	X(MINOR_FAULTS, "minor_faults", "faults", true, 1, "page faults without reading")          \
	X(MAJOR_FAULTS, "major_faults", "faults", true, 1, "page faults that read from a device")  \
	X(THREADS, "threads", "threads", false, 1, "threads of the program")                       \
	X(HEAP_RECORDS, "heap_records", "records", false, 1, "records of the heap profile")        \
	X(MUTEX_RECORDS, "mutex_records", "records", false, 1, "records of the mutex profile")     \
	X(BLOCK_RECORDS, "block_records", "records", false, 1, "records of the block profile")     \
	X(AGENT_CPU, "agent_cpu", "milliseconds", true, 1, "of the CPU time, the agent's own")

enum pf_history_column {
#define X(id, name, unit, counter, grain, what) PF_HISTORY_##id,
	PF_HISTORY_COLUMNS(X)
#undef X
	    PF_HISTORY_COLUMN_COUNT
};

enum { PF_HISTORY_DAY_SECONDS = 24 * 60 * 60, PF_HISTORY_UNKNOWN = -1 };

struct pf_history_column_info {
	const char *name;
	const char *unit;
	bool counter;
	int64_t grain;
	const char *what;
};
extern const struct pf_history_column_info pf_history_columns[PF_HISTORY_COLUMN_COUNT];

struct pf_history_row {
	int64_t time_ns; /* since the epoch */
	/* In their units; PF_HISTORY_UNKNOWN: not known then (its collector was off). */
	int64_t value[PF_HISTORY_COLUMN_COUNT];
};

struct pf_history_rows {
	struct pf_history_row *row;
	size_t count, capacity;
	int64_t step_seconds; /* that a row stands for */
};

void pf_history_rows_finish(struct pf_history_rows *rows); /* frees, zeroes */

/* A counter's increase a second between row `at` - 1 and row `at`: negative where that is not
 * known (the first row, a collector that was off, one that has begun anew). */
double pf_history_rate(
    const struct pf_history_rows *rows, size_t at, enum pf_history_column column);
