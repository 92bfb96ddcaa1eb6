/* Control: what a write does. One value per write(2), wherever in the file it is written; the
 * writer gets the error in that write, and `error_log` keeps it in words, because some shells say
 * nothing.
 *
 * Shown on any thread of ours; stored on our own threads, never the one that serves: a store may
 * wait for the program's loader or give a gigabyte back.
 */
#pragma once
#include "base/buf.h"
#include "base/lock.h"
#include "fs/table.h"

#include <stdint.h>

struct pf_entry;
struct pf_live;

enum { PF_ERROR_LOG_LINES = 16 };

/* The argument of gc's rows: with the program's own collector, or the allocators alone. */
enum { PF_GC_ALLOCATORS, PF_GC_COLLECT };

struct pf_refused_write {
	int64_t time_ns; /* since the epoch; 0: no entry */
	int error;       /* -errno */
	char path[64];
	char value[48]; /* its beginning, fit to print */
};

/* All times that memory was given back. */
struct pf_gc_total {
	int64_t count;
	int64_t time_ns;  /* since the epoch, of the last one; 0: never */
	int64_t took_ns;  /* together */
	int64_t released; /* bytes that resident memory became less by, together */
};

struct pf_control {
	struct pf_lock lock;
	struct pf_refused_write refused[PF_ERROR_LOG_LINES]; /* guarded by lock, as all below */
	uint32_t refused_next;
	int64_t seconds_ns[PF_SOURCE_COUNT]; /* last asked for */
	struct pf_buf gc_said;
	struct pf_gc_total gc_total;
	bool enable_running;
	char frozen[65]; /* the last snapshot's name; "": none yet */
};

struct pf_control *pf_control_create(void); /* NULL: no memory */
void pf_control_destroy(struct pf_control *control);

/* A write to `entry`: 0 or the -errno for the writer, logged. */
int pf_control_write(struct pf_live *live, const struct pf_entry *entry, const char *text,
    size_t length, struct pf_wait *wait);
/* A write that was refused before it came that far, or what a name asks for. */
void pf_control_refuse(
    struct pf_live *live, const char *path, const char *text, size_t length, int error);

struct pf_gc_total pf_control_gc_total(struct pf_live *live);
/* As `echo 1 > gc`; without `collect`, as free_os_memory. 0 or -errno. */
int pf_control_release_memory(struct pf_live *live, bool collect, struct pf_wait *wait);

/* Rows of fs/table.c; arg is a knob's id, or the index of a profile row. */
pf_show_fn pf_knob_show;
pf_store_fn pf_knob_store;
pf_show_fn pf_seconds_show;
pf_store_fn pf_seconds_store;
pf_show_fn pf_window_enable_show;
pf_store_fn pf_window_enable_store;
pf_show_fn pf_enable_show;
pf_store_fn pf_enable_store;
pf_show_fn pf_gc_show;
pf_store_fn pf_gc_store;
pf_show_fn pf_error_log_show;
