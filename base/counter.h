/* Counters: nothing is lost without one of these moving. `status` prints them all.
 *
 * A new way to lose something is one new line in PF_COUNTERS. Adding is one relaxed atomic
 * addition: PF_SIGSAFE, any thread.
 */
#pragma once
#include "base/mark.h"

#include <stdint.h>

/*        id                      name in `status`            what it counts */
#define PF_COUNTERS(X)                                                                             \
	X(CPU_SAMPLES, "cpu_samples", "CPU samples taken")                                         \
	X(CPU_LOST_RING, "cpu_lost_ring_full", "CPU samples dropped: the ring was full")           \
	X(CPU_LOST_STACK, "cpu_lost_small_stack",                                                  \
	    "CPU samples dropped: too little stack left under the handler")                        \
	X(CPU_LOST_NESTED, "cpu_lost_nested", "CPU samples dropped: handler inside the handler")   \
	X(CPU_LOST_TIMER, "cpu_lost_no_timer",                                                     \
	    "threads not sampled: timer_create failed (RLIMIT_SIGPENDING, or a seccomp filter)")   \
	X(CPU_LOST_TAKEN, "cpu_lost_signal_taken",                                                 \
	    "CPU samples dropped: the program has the signal for itself")                          \
	X(CPU_LOST_BLOCKED, "cpu_lost_signal_blocked", "threads that block the sampling signal")   \
	X(CPU_LOST_RECORDER, "cpu_lost_recorder", "CPU samples forgotten early by the recorder")   \
	X(CPU_FOREIGN_SIGNAL, "cpu_foreign_signals", "sampling signals that were not ours")        \
	X(CPU_HANDLER_NS, "cpu_handler_ns", "CPU time spent in the sampling handler")              \
	X(WALL_SAMPLES, "wall_samples", "wall-clock samples taken")                                \
	X(WALL_REUSED, "wall_reused", "of these, stacks reused: the thread had not run since")     \
	X(WALL_QUIET, "wall_quiet_ticks",                                                          \
	    "ticks of the wall clock at which nobody had run: no thread was looked at")            \
	X(WALL_LOST, "wall_lost", "wall-clock samples dropped")                                    \
	X(STACK_TRUNCATED, "stack_truncated", "stacks cut at the deepest frame kept")              \
	X(STACK_NO_INFO, "stack_no_unwind_info", "stacks that ended in code without unwind info")  \
	X(STACK_BAD_MEMORY, "stack_bad_memory", "stacks that ended at memory outside the stack")   \
	X(STACK_LOOP, "stack_loop", "stacks that did not move on")                                 \
	X(STACK_UNKNOWN_REGISTER, "stack_unknown_register",                                        \
	    "stacks that ended where a register was not known")                                    \
	X(STACK_REFUSED, "stack_refused_rule",                                                     \
	    "stacks that ended at unwind info of a kind that is not interpreted")                  \
	X(STACK_CLOSING, "stack_module_closing",                                                   \
	    "stacks that ended in a module that was being closed")                                 \
	X(STACK_FIBER, "stack_fiber", "stacks that ended on a fiber's or a foreign stack")         \
	X(STACK_NO_ROOM, "stack_no_room", "stacks not taken: too many captures at once")           \
	X(MODULES_LATE, "modules_late",                                                            \
	    "modules asked for a function before they were patched: its first calls are not seen") \
	X(MODULES_UNASKED, "modules_unasked",                                                      \
	    "modules not asked for a function: patched some ms late, first calls not seen")        \
	X(MODULES_FORGOTTEN, "modules_forgotten",                                                  \
	    "closed modules whose names were lost: too many different ones")                       \
	X(STACK_OVERFLOW, "stack_store_full", "stacks not stored: the stack store was full")       \
	X(HEAP_SAMPLES, "heap_samples", "allocations sampled")                                     \
	X(HEAP_FREES, "heap_frees", "sampled allocations freed")                                   \
	X(HEAP_LOST_TABLE, "heap_lost_table_full", "samples dropped: the live table was full")     \
	X(HEAP_SITES_FULL, "heap_sites_full",                                                      \
	    "samples without a stack: the table of allocation sites was full")                     \
	X(HEAP_NAMES_FULL, "heap_names_full",                                                      \
	    "samples without the name of their thread: the table of names was full")               \
	X(HEAP_LOST_NESTED, "heap_lost_nested",                                                    \
	    "allocations not sampled: our own, or inside our code")                                \
	X(HEAP_FETCHED, "heap_fetched",                                                            \
	    "times that dlsym was asked for malloc or its like: calls by that are not seen")       \
	X(HEAP_MISSED_FREES, "heap_missed_frees",                                                  \
	    "sampled blocks whose free we did not see, at least: where another was sampled")       \
	X(HEAP_MISSED_ESTIMATE, "heap_missed_frees_estimate",                                      \
	    "frees of any block that we did not see, at least: estimated from those")              \
	X(HEAP_LOST_REGIONS, "heap_lost_regions",                                                  \
	    "mappings not sampled: the table of mappings was full")                                \
	X(MUTEX_CONTENTIONS, "mutex_contentions", "releases of a lock that others waited for")     \
	X(MUTEX_SAMPLES, "mutex_samples", "of these, sampled")                                     \
	X(MUTEX_WAITED_NS, "mutex_waited_ns", "time that threads waited for locks")                \
	X(MUTEX_UNBLAMED_NS, "mutex_unblamed_ns", "of this, charged to nobody who released")       \
	X(MUTEX_POLLED_NS, "mutex_polled_ns",                                                      \
	    "waits for locks that no hook saw, charged to who waited")                             \
	X(BLOCK_SAMPLES, "block_samples", "waits sampled")                                         \
	X(BLOCK_POLLED, "block_polled", "threads met in a futex that no hook saw")                 \
	X(WAIT_LOST_TABLE, "wait_lost_table",                                                      \
	    "waits charged to nobody: the table of contended locks was full or busy")              \
	X(WAIT_LOST_NESTED, "wait_lost_nested", "waits not seen: inside our code")                 \
	X(WAIT_SHORT, "wait_short",                                                                \
	    "contended locks that came free within 250 ns (spinlocks: 5 us): in no profile")       \
	X(WAIT_LOST_CLOCK, "wait_lost_clock",                                                      \
	    "waits not seen: of threads that may not read the processor's clock (PR_SET_TSC)")     \
	X(WAIT_LOST_SITES, "wait_lost_sites_full",                                                 \
	    "samples without a stack: the table of places that wait was full")                     \
	X(WAIT_SETTLED, "wait_settled",                                                            \
	    "waits ended for a thread that left by longjmp, cancellation or its end")              \
	X(PATCH_SLOTS, "patch_slots", "function slots patched at last")                            \
	X(PATCH_MODULES, "patch_modules", "modules looked at for patching at last")                \
	X(PATCH_REFUSED, "patch_refused", "slots that could not be made writable")                 \
	X(PATCH_FOREIGN, "patch_foreign",                                                          \
	    "function slots left alone at last: they lead to another function of that name")       \
	X(THREAD_SEEN, "threads_seen", "threads seen so far")                                      \
	X(THREAD_LOST_TABLE, "thread_lost_table_full", "threads not watched: the table was full")  \
	X(THREADS_LEFT_ALONE, "threads_left_alone",                                                \
	    "threads whose seccomp filter would end the program for what we do on them")           \
	X(THREAD_DUMPS, "thread_dumps", "thread dumps taken")                                      \
	X(THREAD_READ, "thread_read", "stacks of sleeping threads read without waking them")       \
	X(THREAD_SIGNALLED, "thread_signalled", "running threads asked by signal for their stack") \
	X(THREAD_MOVED, "thread_moved", "reads repeated: the thread ran meanwhile")                \
	X(THREAD_LOST, "thread_lost", "threads whose stack could not be had")                      \
	X(THREAD_GONE, "thread_gone", "threads that ended while they were looked at")              \
	X(EXCEPTIONS_SEEN, "exceptions_seen", "throws and rethrows counted")                       \
	X(EXCEPTIONS_NESTED, "exceptions_nested", "throws inside our own code, not counted")       \
	X(EXCEPTION_TYPES_FULL, "exception_types_full",                                            \
	    "throws of types that did not fit the table: counted as [other types]")                \
	X(LABEL_LOST, "label_lost", "labels not set: the store of label sets was full")            \
	X(FS_REQUESTS, "fs_requests", "file system requests served")                               \
	X(FS_REFUSED_WRITES, "fs_refused_writes", "writes and queries refused (see error_log)")    \
	X(FS_INTERRUPTED, "fs_interrupted", "reads and opens ended by their reader")               \
	X(FS_LOST_NODES, "fs_lost_nodes", "opens refused: too many files open or remembered")      \
	X(FS_CAPTURES_DROPPED, "fs_captures_dropped", "finished captures removed for room")        \
	X(HISTORY_LOST, "history_lost", "seconds missing in the history: no memory")               \
	X(DUMPS, "dumps", "dumps written as plain files")                                          \
	X(DUMPS_FAILED, "dumps_failed", "dumps that could not be written, or not all of them")     \
	X(SYMBOL_UNKNOWN, "symbol_unknown", "addresses without a name at last render")             \
	X(LINE_UNKNOWN, "line_unknown", "addresses without a source line at last, when asked for") \
	X(LINE_LOOKUPS, "line_lookups", "times that proffs-lines was run to look lines up")        \
	X(LINE_LOOKUPS_FAILED, "line_lookups_failed",                                              \
	    "of these, ended by a failure, the time limit or the memory limit")

enum pf_counter {
#define X(id, name, what) PF_COUNTER_##id,
	PF_COUNTERS(X)
#undef X
	    PF_COUNTER_COUNT
};

/* The values: the agent's own array, or, in libproffs-fs.so, the agent's seen through a pointer. */
extern uint64_t *pf_counter_values;

PF_INLINE void pf_count_many(enum pf_counter counter, uint64_t n)
{
	__atomic_fetch_add(&pf_counter_values[counter], n, __ATOMIC_RELAXED);
}

PF_INLINE void pf_count(enum pf_counter counter)
{
	pf_count_many(counter, 1);
}

/* For a counter that says "now" or "at last". */
PF_INLINE void pf_counter_set(enum pf_counter counter, uint64_t value)
{
	__atomic_store_n(&pf_counter_values[counter], value, __ATOMIC_RELAXED);
}

PF_INLINE uint64_t pf_counter_get(enum pf_counter counter)
{
	return __atomic_load_n(&pf_counter_values[counter], __ATOMIC_RELAXED);
}

const char *pf_counter_name(enum pf_counter counter);
const char *pf_counter_what(enum pf_counter counter);

/* From now on this object counts in `values` (of the other shared object). Before any thread. */
void pf_counter_adopt(uint64_t *values);
