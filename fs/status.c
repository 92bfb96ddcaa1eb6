#include "fs/status.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/memory.h"
#include "base/utc.h"
#include "fs/capture.h"
#include "fs/live.h"
#include "fs/proc.h"
#include "render/render.h"

#include <string.h>
#include <unistd.h>

/* ---- README ---- */

static const char readme_head[] =
    "proffs: live profiles of this process, as files.\n"
    "\n"
    "Every file is made when it is opened and is one moment of its process.\n"
    "\n"
    "  cat heap                                   who holds memory\n"
    "  cat threads                                what every thread does now\n"
    "  echo 5 > cpu/seconds && cat cpu.txt        5 s of CPU time, read when they are over\n"
    "  go tool pprof -top cpu-5s.pprof            the same in one step\n"
    "  cat allocs,seconds=10,n=20                 what was allocated in 10 s, 20 rows\n"
    "  go tool pprof 'debug/pprof/heap?gc=1'      the names of Go's net/http/pprof\n"
    "\n"
    "Behind a name: seconds= (wait so long; of profiles of a moment the difference), hz=,\n"
    "gc=1 (give free memory back first), debug=1 and 2 (Go's text forms), n= (rows of text),\n"
    "focus= (only stacks with a function that matches: an extended regular expression), min=10MB\n"
    "(only stacks with so much), frames=all (operator new and its like, too).\n"
    "Commas or ?a=b&c=d. Names that take time are links: searching the tree starts nothing.\n"
    "Captures of one kind take turns: a second one is refused as busy, the same name joins.\n"
    "\n"
    "Errors: No such file: no such profile. Invalid argument: not a value. Numerical result out\n"
    "of range. Device or resource busy: a capture runs. No data available: nothing captured yet.\n"
    "Operation not supported: not possible here, see status. Refused writes: see error_log.\n"
    "\n";

static const char readme_tail[] =
    "\n"
    "Sizes are 0 until a file is opened; pages (.html, .svg) are filled up with blanks to the size they\n"
    "are said to have. For tar and backups: echo NAME > snapshot, and take\n"
    "captures/NAME, where they are real.\n"
    "Times in names are UTC. The tree belongs to the user who runs the process, and to nobody else.\n"
    "cat events tells of changes; tail -f and inotify do not. What follows links (grep -R, cp -rL,\n"
    "gzip -rc, zip -r, cat *, grep -r of busybox) waits for those here, for events without end: give\n"
    "it $(find . -type f), or captures/NAME of a snapshot. A direct system call\n"
    "unshare(CLONE_NEWUSER) or setns() fails in this process: the agent has threads in it.\n";

void pf_readme_show(struct pf_buf *out, struct pf_live *live, int arg)
{
	pf_buf_str(out, readme_head);
	pf_tree_describe(live->tree, out);
	pf_buf_str(out, readme_tail);
}

/* ---- status ---- */

static void show_program(struct pf_buf *out, const struct pf_live *live)
{
	struct pf_buf name = PF_BUF_INIT;

	pf_buf_printf(out, "pid %d\n", (int)live->pid);
	if (live->pid != getpid()) /* an heir's work: it has a name of its own */
		return;
	pf_buf_str(out, "program ");
	pf_proc_name(&name);
	pf_buf_plain(out, pf_buf_text(&name));
	pf_buf_char(out, '\n');
	pf_buf_fail(out, name.error);
	pf_buf_finish(&name);
}

static void show_own_cost(struct pf_buf *out, struct pf_live *live)
{
	const struct pf_sampler *door = live->door;
	int64_t bytes = pf_memory_held_bytes() + pf_arena_mapped_bytes();
	size_t stack_bytes = 0, stacks = 0;

	if (door->memory_bytes)
		bytes += door->memory_bytes();
	if (door->cpu_ns)
		pf_buf_printf(out, "own_cpu_ms %.3f\n", (double)door->cpu_ns() / PF_NS_PER_MS);
	pf_buf_printf(out, "own_memory_bytes %lld\n", (long long)bytes);
	if (door->stack_usage) {
		door->stack_usage(&stack_bytes, &stacks);
		pf_buf_printf(out, "stacks %zu\nstack_bytes %zu\n", stacks, stack_bytes);
	}
	pf_buf_printf(out, "open_or_remembered_files %llu\n",
	    (unsigned long long)__atomic_load_n(&live->node_count, __ATOMIC_RELAXED));
	pf_buf_printf(out, "captures_started %llu\n",
	    (unsigned long long)pf_captures_started(live->captures));
}

static void show_collectors(struct pf_buf *out, struct pf_live *live)
{
	for (int id = 0; id < PF_COLLECTOR_COUNT; id++) {
		const struct pf_collector_ops *ops = &live->door->collectors[id];

		if (ops->name)
			pf_buf_printf(out, "%s %s\n", ops->name,
			    ops->enabled && ops->enabled() ? "on" : "off");
	}
}

/* Its labels, then its stack; nothing where nothing was thrown. */
static void show_last_exception(struct pf_buf *out, struct pf_live *live)
{
	static const struct pf_query query;
	char time[PF_UTC_TEXT];
	struct pf_profile p;

	pf_profile_init(&p);
	if (!live->door->last_exception || live->door->last_exception(&p) < 0)
		goto out;
	pf_live_resolve(live, &p);
	if (p.error || p.sample_count == 0)
		goto out;
	pf_utc_text(p.time_ns, time);
	pf_buf_printf(out, "\n# last exception, at %s\n", time);
	for (uint32_t i = 0; i < p.samples[0].label_count; i++) {
		const struct pf_label *l = &p.labels[p.samples[0].label_first + i];

		pf_buf_printf(out, "exception_%s ", l->key);
		if (l->str)
			pf_buf_plain_utf8(out, l->str); /* what() may be any bytes */
		else
			pf_buf_printf(out, "%lld", (long long)l->num);
		pf_buf_char(out, '\n');
	}
	pf_render_frames(out, &p, &query);
out:
	pf_profile_finish(&p);
}

static void show_counters(struct pf_buf *out, struct pf_live *live)
{
	if (live->door->flush_counters)
		live->door->flush_counters();
	for (int i = 0; i < PF_COUNTER_COUNT; i++) {
		enum pf_counter counter = (enum pf_counter)i;
		uint64_t value = pf_counter_get(counter);

		if (value)
			pf_buf_printf(out, "%-28s %-12llu %s\n", pf_counter_name(counter),
			    (unsigned long long)value, pf_counter_what(counter));
	}
}

static void show_features(struct pf_buf *out)
{
	for (int i = 0; i < PF_FEATURE_COUNT; i++) {
		const struct pf_feature_entry *entry = &pf_features[i];
		uint32_t state = __atomic_load_n(&entry->state, __ATOMIC_ACQUIRE);
		const char *why = __atomic_load_n(&entry->reason, __ATOMIC_ACQUIRE);

		pf_buf_printf(out, "%-28s %s%s", pf_feature_name((enum pf_feature)i),
		    pf_feature_state_name(state), why ? ": " : "\n");
		if (why) {
			pf_buf_plain(out, why);
			pf_buf_char(out, '\n');
		}
	}
}

void pf_status_show(struct pf_buf *out, struct pf_live *live, int arg)
{
	double up = (double)(pf_clock_real_ns() - live->door->started_ns) / PF_NS_PER_SECOND;

	pf_buf_printf(out, "# proffs %s\n", PF_VERSION);
	show_program(out, live);
	pf_buf_printf(out, "uptime_seconds %.3f\ntree ", up);
	pf_buf_plain(out, live->where);
	pf_buf_char(out, '\n');
	show_own_cost(out, live);
	pf_buf_str(out, "\n# collectors\n");
	show_collectors(out, live);
	pf_buf_str(out, "\n# captures\n");
	pf_captures_describe(live->captures, out, -1);
	pf_buf_str(out, "\n# last gc\n");
	pf_gc_show(out, live, 0);
	show_last_exception(out, live);
	if (live->door->heap_look)
		live->door->heap_look();
	pf_buf_str(out, "\n# what works here\n");
	show_features(out);
	pf_buf_str(out, "\n# counters (those at 0 left out)\n");
	show_counters(out, live);
}

void pf_window_status_show(struct pf_buf *out, struct pf_live *live, int row)
{
	const struct pf_profile_row *profile = &pf_table.profiles[row];
	const struct pf_collector_ops *ops = &live->door->collectors[profile->collector];
	size_t before = out->length;

	pf_captures_describe(live->captures, out, (int)profile->source);
	if (out->length == before)
		pf_buf_str(out, "idle\n");
	pf_buf_printf(out, "recorder %s\n", ops->enabled && ops->enabled() ? "on" : "off");
}
