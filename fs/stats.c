#include "fs/stats.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/forbid.h"
#include "base/knob.h"
#include "base/memory.h"
#include "base/resident.h"
#include "fs/history.h"
#include "fs/live.h"
#include "fs/proc.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* smaps_rollup is a walk over every page under the lock that mmap waits for: 12 ms a GiB. */
static const int64_t CHEAP_RSS_BYTES = 1ll << 30;

#define ADD(numbers, ...) pf_numbers_add(numbers, &(struct pf_number){__VA_ARGS__})

/* What a kernel or its rules do not tell is left out; what could not be read just now is no answer. */
static void note_failure(struct pf_numbers *out, int rc)
{
	if (rc < 0 && !pf_proc_is_withheld(rc) && !out->error)
		out->error = rc;
}

/* ---- files of /proc that are lines of "name: number" ---- */

struct line {
	const char *name; /* "VmRSS:" */
	int64_t scale;
	struct pf_number number;
};

/* `file`: a path, or the name of one about our own memory. */
static void add_lines(
    struct pf_numbers *out, const char *file, const struct line *lines, size_t count)
{
	struct pf_buf text = PF_BUF_INIT;

	/* A line end before the first, too: "Pss:" is not "SwapPss:". */
	pf_buf_char(&text, '\n');
	note_failure(
	    out, file[0] == '/' ? pf_proc_read(&text, file) : pf_proc_read_own(&text, file));
	for (size_t i = 0; i < count; i++) {
		struct pf_number number = lines[i].number;
		size_t length = strlen(lines[i].name);
		const char *at = pf_buf_text(&text);

		while ((at = strchr(at, '\n')) && strncmp(at + 1, lines[i].name, length) != 0)
			at++;
		if (!at)
			continue;
		number.value = strtoll(at + 1 + length, NULL, 10) * lines[i].scale;
		pf_numbers_add(out, &number);
	}
	pf_buf_finish(&text);
}

#define KIB(line, name, family, text)                                                              \
	{                                                                                          \
		line, 1024,                                                                        \
		{                                                                                  \
			.key = name, .metric = family, .unit = "bytes", .help = text               \
		}                                                                                  \
	}

static const struct line status_lines[] = {
    KIB("VmRSS:", "rss_bytes", "process_resident_memory_bytes", "Resident memory."),
    KIB("VmHWM:", "rss_peak_bytes", "proffs_process_resident_memory_peak_bytes",
	"Resident memory when it was most."),
    KIB("RssAnon:", "rss_anonymous_bytes", "proffs_process_resident_anonymous_bytes",
	"Resident memory that is in no file: heap, stacks."),
    KIB("RssFile:", "rss_file_bytes", "proffs_process_resident_file_bytes",
	"Resident memory that is in files: code, mapped files."),
    KIB("RssShmem:", "rss_shared_bytes", "proffs_process_resident_shared_bytes",
	"Resident shared memory."),
    KIB("VmSwap:", "swapped_bytes", "proffs_process_swapped_bytes", "Anonymous memory in swap."),
    KIB("VmSize:", "vms_bytes", "process_virtual_memory_bytes", "Address space in use."),
    KIB("VmPeak:", "vms_peak_bytes", "proffs_process_virtual_memory_peak_bytes",
	"Address space in use when it was most."),
    KIB("VmData:", "data_bytes", "proffs_process_data_bytes",
	"Private writable address space, touched or not."),
    KIB("VmStk:", "stack_bytes", "proffs_process_stack_bytes", "The first thread's stack."),
    KIB("VmLck:", "locked_bytes", "proffs_process_locked_bytes", "Memory locked by mlock."),
    KIB("VmPTE:", "page_tables_bytes", "proffs_process_page_tables_bytes",
	"Page tables, which no other number contains."),
    KIB("HugetlbPages:", "hugetlb_bytes", "proffs_process_hugetlb_bytes",
	"Memory in hugetlb pages, which no other number contains."),
};

static const struct line rollup_lines[] = {
    KIB("Pss:", "pss_bytes", "proffs_process_proportional_memory_bytes",
	"Resident memory, of shared pages its share."),
    KIB("Private_Dirty:", "private_dirty_bytes", "proffs_process_private_dirty_bytes",
	"Resident memory that is nobody else's and in no file."),
    KIB("AnonHugePages:", "huge_pages_bytes", "proffs_process_huge_pages_bytes",
	"Anonymous memory in transparent huge pages."),
};

#define IO(line, name, family, what, text)                                                         \
	{                                                                                          \
		line, 1,                                                                           \
		{                                                                                  \
			.key = name, .metric = family, .unit = what, .help = text, .counter = true \
		}                                                                                  \
	}

static const struct line io_lines[] = {
    IO("rchar:", "io_read_bytes", "proffs_process_io_read_bytes_total", "bytes",
	"Bytes had from read calls of every kind."),
    IO("wchar:", "io_written_bytes", "proffs_process_io_written_bytes_total", "bytes",
	"Bytes given to write calls of every kind."),
    IO("syscr:", "io_read_calls", "proffs_process_io_read_calls_total", NULL, "Read calls."),
    IO("syscw:", "io_write_calls", "proffs_process_io_write_calls_total", NULL, "Write calls."),
    IO("read_bytes:", "storage_read_bytes", "proffs_process_storage_read_bytes_total", "bytes",
	"Bytes that storage was made to read."),
    IO("write_bytes:", "storage_written_bytes", "proffs_process_storage_written_bytes_total",
	"bytes", "Bytes that storage was made to write."),
};

static void add_memory(struct pf_numbers *out)
{
	add_lines(out, "status", status_lines, PF_COUNT(status_lines));
	if (pf_resident_bytes() <= CHEAP_RSS_BYTES)
		add_lines(out, "smaps_rollup", rollup_lines, PF_COUNT(rollup_lines));
}

/* ---- time and CPU ---- */

/* When the process began, on the clock that counts sleep too, as the kernel knows it: the 22nd
 * field, behind the last ')'. -1: not known. */
static int64_t started_ns(struct pf_numbers *out)
{
	struct pf_buf text = PF_BUF_INIT;
	int64_t ns = -1;
	const char *at;

	note_failure(out, pf_proc_read(&text, "/proc/self/stat"));
	at = strrchr(pf_buf_text(&text), ')');
	for (int field = 2; at && field < 22; field++) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	if (at)
		ns = strtoll(at, NULL, 10) * (PF_NS_PER_SECOND / sysconf(_SC_CLK_TCK));
	pf_buf_finish(&text);
	return ns;
}

static void add_times(struct pf_numbers *out)
{
	int64_t began_ns = started_ns(out);
	int64_t awake_ns = pf_clock_ns(CLOCK_BOOTTIME);

	if (began_ns < 0)
		return;
	ADD(out, .key = "uptime_seconds", .metric = "proffs_process_uptime_seconds",
	    .unit = "seconds", .help = "Time since the process began.",
	    .value = (awake_ns - began_ns) / (10 * PF_NS_PER_MS), .per = 100);
	ADD(out, .key = "start_time_seconds", .metric = "process_start_time_seconds",
	    .unit = "seconds", .help = "When the process began, since the epoch.",
	    .value = (pf_clock_real_ns() - awake_ns + began_ns) / (10 * PF_NS_PER_MS), .per = 100);
}

static int64_t us(struct timeval time)
{
	return (int64_t)time.tv_sec * 1000000 + time.tv_usec;
}

static void add_cpu(struct pf_numbers *out, const struct rusage *usage)
{
	static const char help[] = "CPU time used, by mode. The agent's own is in it.";
	int64_t user = us(usage->ru_utime), system = us(usage->ru_stime);

	ADD(out, .key = "cpu_seconds", .metric = "process_cpu_seconds_total", .unit = "seconds",
	    .help = "CPU time used. The agent's own is in it.", .counter = true,
	    .value = user + system, .per = 1000000);
	ADD(out, .key = "cpu_user_seconds", .metric = "proffs_process_cpu_seconds_total",
	    .label = "mode", .label_value = "user", .unit = "seconds", .help = help,
	    .counter = true, .value = user, .per = 1000000);
	ADD(out, .key = "cpu_system_seconds", .metric = "proffs_process_cpu_seconds_total",
	    .label = "mode", .label_value = "system", .unit = "seconds", .help = help,
	    .counter = true, .value = system, .per = 1000000);
}

static void add_switches_and_faults(struct pf_numbers *out, const struct rusage *usage)
{
	static const char switches[] = "Context switches, by kind: it slept, or its turn was over.";
	static const char faults[] = "Page faults, by kind: major ones read from a device.";

	ADD(out, .key = "voluntary_context_switches",
	    .metric = "proffs_process_context_switches_total", .label = "kind",
	    .label_value = "voluntary", .help = switches, .counter = true,
	    .value = usage->ru_nvcsw);
	ADD(out, .key = "involuntary_context_switches",
	    .metric = "proffs_process_context_switches_total", .label = "kind",
	    .label_value = "involuntary", .help = switches, .counter = true,
	    .value = usage->ru_nivcsw);
	ADD(out, .key = "minor_faults", .metric = "proffs_process_faults_total", .label = "kind",
	    .label_value = "minor", .help = faults, .counter = true, .value = usage->ru_minflt);
	ADD(out, .key = "major_faults", .metric = "proffs_process_faults_total", .label = "kind",
	    .label_value = "major", .help = faults, .counter = true, .value = usage->ru_majflt);
	ADD(out, .key = "blocks_read", .value = usage->ru_inblock);
	ADD(out, .key = "blocks_written", .value = usage->ru_oublock);
}

static void add_usage(struct pf_numbers *out)
{
	struct rusage usage;

	if (pf_is_forbidden(PF_FORBIDDEN_USAGE) || getrusage(RUSAGE_SELF, &usage) != 0)
		return;
	add_cpu(out, &usage);
	add_switches_and_faults(out, &usage);
}

/* ---- descriptors ---- */

/* Of the first thread's table, which is the program's: ours is another. Kernels since 6.2 tell
 * without being asked for every one of them. -1: not known. */
static int64_t descriptor_count(struct pf_numbers *out)
{
	struct stat st;
	int64_t count = 0;
	DIR *dir;

	if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
		return st.st_size;
	dir = opendir("/proc/self/fd");
	if (!dir) {
		note_failure(out, -errno);
		return -1;
	}
	for (struct dirent *d = readdir(dir); d; d = readdir(dir))
		count += d->d_name[0] != '.';
	closedir(dir);
	return count;
}

static void add_descriptors(struct pf_numbers *out)
{
	int64_t count = descriptor_count(out);
	struct rlimit limit;

	if (count >= 0)
		ADD(out, .key = "fds", .metric = "process_open_fds",
		    .help = "Open file descriptors.", .value = count);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
		ADD(out, .key = "fds_max", .metric = "process_max_fds",
		    .help = "File descriptors that may be open.", .value = (int64_t)limit.rlim_cur);
}

/* ---- the heap ---- */

static void add_allocator_bytes(struct pf_numbers *out, const struct pf_allocator *a)
{
	const struct {
		int64_t value;
		struct pf_number number;
	} rows[] = {
	    {a->system_bytes, {.key = "allocator_system_bytes",
				  .metric = "proffs_allocator_system_bytes",
				  .help = "Memory the allocator has from the kernel."}},
	    {a->in_use_bytes, {.key = "allocator_inuse_bytes",
				  .metric = "proffs_allocator_inuse_bytes",
				  .help = "Of this, in blocks that the program has."}},
	    {a->free_bytes, {.key = "allocator_free_bytes",
				.metric = "proffs_allocator_free_bytes",
				.help = "Of this, free."}},
	    {a->mapped_bytes, {.key = "allocator_mapped_bytes",
				  .metric = "proffs_allocator_mapped_bytes",
				  .help = "Of what is in use, in mappings of its own."}},
	    {a->trimmable_bytes,
		{.key = "allocator_trimmable_bytes",
		    .metric = "proffs_allocator_trimmable_bytes",
		    .help = "Of what is free, what lies where it is easily given back."}},
	};

	for (size_t i = 0; i < PF_COUNT(rows); i++) {
		struct pf_number number = rows[i].number;

		if (rows[i].value < 0)
			continue;
		number.unit = "bytes";
		number.value = rows[i].value;
		pf_numbers_add(out, &number);
	}
}

static void add_allocator(struct pf_numbers *out, const struct pf_sampler *door)
{
	struct pf_allocator a;
	struct pf_number name = {.key = "allocator"};

	if (!door->allocator || door->allocator(&a) < 0)
		return;
	snprintf(name.text, sizeof(name.text), "%s", a.name);
	pf_numbers_add(out, &name);
	add_allocator_bytes(out, &a);
	ADD(out, .key = "allocator_asked_seconds_ago", .unit = "seconds",
	    .value = (pf_clock_now_ns() - a.time_ns) / PF_NS_PER_MS, .per = 1000);
	ADD(out, .key = "allocator_asking_took_seconds", .unit = "seconds",
	    .value = a.took_ns / PF_NS_PER_US, .per = 1000000);
}

static void add_heap(struct pf_numbers *out, const struct pf_sampler *door)
{
	int64_t in_use = -1, allocated = -1;

	if (door->heap_totals)
		door->heap_totals(&in_use, &allocated);
	if (in_use < 0)
		return;
	ADD(out, .key = "heap_inuse_bytes", .metric = "proffs_heap_inuse_bytes", .unit = "bytes",
	    .help = "Heap in use, estimated by the heap's samples since it is on.",
	    .value = in_use);
	ADD(out, .key = "heap_allocated_bytes", .metric = "proffs_heap_allocated_bytes_total",
	    .unit = "bytes", .counter = true,
	    .help = "Bytes ever allocated, estimated by the heap's samples since it is on.",
	    .value = allocated);
	ADD(out, .key = "heap_sample_bytes", .metric = "proffs_heap_sample_bytes", .unit = "bytes",
	    .help = "Mean bytes between two heap samples.",
	    .value = pf_knob_get(PF_KNOB_HEAP_SAMPLE_BYTES));
}

static void add_gc(struct pf_numbers *out, struct pf_live *live)
{
	struct pf_gc_total total = pf_control_gc_total(live);

	ADD(out, .key = "gc_count", .metric = "proffs_gc_total", .counter = true,
	    .help = "How often free memory was given back to the kernel by gc.",
	    .value = total.count);
	ADD(out, .key = "gc_released_bytes", .metric = "proffs_gc_released_bytes_total",
	    .unit = "bytes", .counter = true, .help = "Bytes that resident memory became less by.",
	    .value = total.released);
	ADD(out, .key = "gc_seconds", .metric = "proffs_gc_seconds_total", .unit = "seconds",
	    .counter = true, .help = "Time that took.", .value = total.took_ns / PF_NS_PER_US,
	    .per = 1000000);
	ADD(out, .key = "gc_last_time_seconds", .metric = "proffs_gc_last_time_seconds",
	    .unit = "seconds", .help = "When that was last, since the epoch; 0: never.",
	    .value = total.time_ns / PF_NS_PER_MS, .per = 1000);
}

/* ---- the agent ---- */

static void add_records(struct pf_numbers *out, const struct pf_sampler *door)
{
	for (size_t i = 0; i < pf_table.profile_count; i++) {
		const struct pf_profile_row *row = &pf_table.profiles[i];
		int64_t (*count)(void) = door->records[row->source];
		int64_t value = count ? count() : -1;

		/* One row for each source: the first. */
		for (size_t k = 0; k < i; k++)
			if (pf_table.profiles[k].source == row->source)
				value = -1;
		if (value >= 0)
			ADD(out, .metric = "proffs_profile_records", .label = "profile",
			    .label_value = row->stem,
			    .help = "Records (stacks, threads) that a profile has.",
			    .value = value);
	}
}

static void add_collectors(struct pf_numbers *out, const struct pf_sampler *door)
{
	for (int id = 0; id < PF_COLLECTOR_COUNT; id++) {
		const struct pf_collector_ops *ops = &door->collectors[id];

		if (ops->name)
			ADD(out, .metric = "proffs_collector_enabled", .label = "collector",
			    .label_value = ops->name, .help = "1: this collector is on.",
			    .value = ops->enabled && ops->enabled());
	}
}

/* What says "at last" (counter.h) goes up and down. */
static void add_counters(struct pf_numbers *out)
{
	for (int i = 0; i < PF_COUNTER_COUNT; i++) {
		enum pf_counter counter = (enum pf_counter)i;
		bool grows = !strstr(pf_counter_what(counter), "at last");

		ADD(out, .metric = grows ? "proffs_events_total" : "proffs_last", .label = "event",
		    .label_value = pf_counter_name(counter), .counter = grows,
		    .help = grows ? "What the agent did and lost; `status` says what each is."
				  : "The same, as it was at last.",
		    .value = (int64_t)pf_counter_get(counter));
	}
}

static void add_agent(struct pf_numbers *out, struct pf_live *live)
{
	const struct pf_sampler *door = live->door;
	int64_t bytes = pf_memory_held_bytes() + pf_arena_mapped_bytes();

	if (door->memory_bytes)
		bytes += door->memory_bytes();
	if (door->cpu_ns)
		ADD(out, .key = "agent_cpu_seconds", .metric = "proffs_agent_cpu_seconds_total",
		    .unit = "seconds", .counter = true, .help = "CPU time of the agent itself.",
		    .value = door->cpu_ns() / PF_NS_PER_US, .per = 1000000);
	ADD(out, .key = "agent_memory_bytes", .metric = "proffs_agent_memory_bytes",
	    .unit = "bytes", .help = "Memory of the agent itself.", .value = bytes);
	add_collectors(out, door);
	add_records(out, door);
	add_counters(out);
}

/* ---- the files ---- */

static void collect(struct pf_numbers *out, struct pf_live *live)
{
	const struct pf_sampler *door = live->door;
	int64_t threads =
	    door->records[PF_SOURCE_THREADS] ? door->records[PF_SOURCE_THREADS]() : -ENOENT;

	ADD(out, .key = "pid", .value = getpid());
	add_times(out);
	note_failure(out, (int)(threads < 0 ? threads : 0));
	if (threads >= 0)
		ADD(out, .key = "threads", .metric = "process_threads",
		    .help = "Threads of the program; the agent's are not in it.", .value = threads);
	add_usage(out);
	add_memory(out);
	add_heap(out, door);
	add_allocator(out, door);
	add_gc(out, live);
	add_descriptors(out);
	add_lines(out, "/proc/self/io", io_lines, PF_COUNT(io_lines));
	add_agent(out, live);
}

void pf_stats_comment(struct pf_profile *out, const struct pf_sampler *door)
{
	struct pf_numbers numbers = {0};
	PF_SCOPED(pf_buf) text = PF_BUF_INIT;
	struct rusage usage;
	const char *line, *end;

	add_heap(&numbers, door);
	add_allocator(&numbers, door);
	if (!pf_is_forbidden(PF_FORBIDDEN_USAGE) && getrusage(RUSAGE_SELF, &usage) == 0)
		ADD(&numbers, .key = "MaxRSS", .value = (int64_t)usage.ru_maxrss * 1024);
	pf_render_numbers_text(&text, &numbers);
	pf_numbers_finish(&numbers);
	pf_profile_comment(out, "proffs.MallocStats");
	for (line = pf_buf_text(&text); line && (end = strchr(line, '\n')); line = end + 1) {
		int key = (int)strcspn(line, " ");

		pf_profile_comment(
		    out, "%.*s =%.*s", key, line, (int)(end - line) - key, line + key);
	}
}

void pf_stats_answer(
    struct pf_buf *out, struct pf_live *live, int arg, const struct pf_query *query)
{
	struct pf_numbers numbers = {0};

	collect(&numbers, live);
	if (query->json)
		pf_render_numbers_json(out, &numbers);
	else
		pf_render_numbers_text(out, &numbers);
	pf_numbers_finish(&numbers);
}

void pf_metrics_show(struct pf_buf *out, struct pf_live *live, int form)
{
	struct pf_numbers numbers = {0};

	collect(&numbers, live);
	if (form == PF_METRICS_OPEN)
		pf_render_numbers_openmetrics(out, &numbers);
	else
		pf_render_numbers_prometheus(out, &numbers);
	pf_numbers_finish(&numbers);
}

void pf_history_answer(
    struct pf_buf *out, struct pf_live *live, int json, const struct pf_query *query)
{
	enum { SECONDS = 600 }; /* without a wish */
	int64_t seconds = query->seconds_ns ? query->seconds_ns / PF_NS_PER_SECOND : SECONDS;
	struct pf_history_rows rows = {0};
	int rc =
	    pf_history_read(live->history, seconds < 1 ? 1 : seconds, (size_t)query->rows, &rows);

	if (rc < 0)
		pf_buf_fail(out, rc);
	else if (json || query->json)
		pf_render_history_json(out, &rows);
	else
		pf_render_history_text(out, &rows);
	pf_history_rows_finish(&rows);
}
