#include "fs/table.h"
#include "base/clock.h"
#include "base/mark.h"
#include "fs/buildinfo.h"
#include "fs/chart.h"
#include "fs/control.h"
#include "fs/defined.h"
#include "fs/freeze.h"
#include "fs/kept.h"
#include "fs/landing.h"
#include "fs/proc.h"
#include "fs/stats.h"
#include "fs/status.h"
#include "fs/symbol.h"
#include "fs/thread.h"

/* clang-format off */

static const struct pf_profile_row profiles[] = {
	{"cpu", PF_SOURCE_CPU, NULL, pf_render_text, pf_render_legacy, "profile", NULL,
	 true, PF_COLLECTOR_CPU, PF_FEATURE_CPU, "where CPU time goes"},
	{"wall", PF_SOURCE_WALL, NULL, pf_render_text, pf_render_legacy, "wall", NULL,
	 true, PF_COLLECTOR_WALL, PF_FEATURE_WALL, "where time goes, sleeping included"},
	{"heap", PF_SOURCE_HEAP, "inuse_space", pf_render_text, pf_render_legacy, "heap", NULL,
	 false, PF_COLLECTOR_HEAP, PF_FEATURE_HEAP, "memory in use, by who allocated it",
	 .balance = true},
	{"inuse_space", PF_SOURCE_HEAP, "inuse_space", pf_render_text, pf_render_legacy,
	 "inuse_space", NULL, false, PF_COLLECTOR_HEAP, PF_FEATURE_HEAP,
	 "the same as heap: bytes in use"},
	{"inuse_objects", PF_SOURCE_HEAP, "inuse_objects", pf_render_text, pf_render_legacy,
	 "inuse_objects", NULL, false, PF_COLLECTOR_HEAP, PF_FEATURE_HEAP,
	 "how many objects are in use, by who allocated them"},
	{"allocs", PF_SOURCE_HEAP, "alloc_space", pf_render_text, pf_render_legacy, "allocs", NULL,
	 false, PF_COLLECTOR_HEAP, PF_FEATURE_HEAP, "all memory ever allocated, by who did it"},
	{"heap_peak", PF_SOURCE_HEAP_PEAK, NULL, pf_render_text, pf_render_legacy, "heap_peak", NULL,
	 false, PF_COLLECTOR_HEAP, PF_FEATURE_HEAP, "memory in use when it was most"},
	{"heap_leaks", PF_SOURCE_HEAP_LEAKS, NULL, pf_render_leaks, pf_render_legacy, "heap_leaks",
	 NULL, false, PF_COLLECTOR_HEAP, PF_FEATURE_HEAP,
	 "memory in use for long, largest first, with the ages of its blocks"},
	{"heap_lifetime", PF_SOURCE_HEAP_LIVES, NULL, pf_render_lifetime, pf_render_legacy,
	 "heap_lifetime", NULL, false, PF_COLLECTOR_HEAP, PF_FEATURE_HEAP,
	 "blocks that live briefly: allocations a second and median life, by who allocates them"},
	{"mutex", PF_SOURCE_MUTEX, "delay", pf_render_waiting, pf_render_legacy, "mutex", NULL, false,
	 PF_COLLECTOR_MUTEX, PF_FEATURE_MUTEX,
	 "who makes others wait for a lock: charged where it is released; and who waits now"},
	{"block", PF_SOURCE_BLOCK, "delay", pf_render_waiting, pf_render_legacy, "block", NULL, false,
	 PF_COLLECTOR_BLOCK, PF_FEATURE_BLOCK,
	 "who waits for other threads (config/block_kinds: sleeps and I/O, too); and who waits now"},
	{"threads", PF_SOURCE_THREADS, NULL, pf_render_threads, pf_render_stacks, "goroutine",
	 "goroutine", false, PF_COLLECTOR_COUNT, PF_FEATURE_THREADS,
	 "every thread and where it is now"},
	{"threadcreate", PF_SOURCE_THREADCREATE, NULL, pf_render_births, pf_render_legacy,
	 "threadcreate", NULL, false, PF_COLLECTOR_COUNT, PF_FEATURE_THREAD_HOOK,
	 "every thread ever created, by who did it; the living ones by name"},
	{"exceptions", PF_SOURCE_EXCEPTIONS, NULL, pf_render_throws, pf_render_legacy, "exceptions",
	 NULL, false, PF_COLLECTOR_EXCEPTIONS, PF_FEATURE_EXCEPTIONS,
	 "exceptions thrown and rethrown, by type and by who threw them"},
};

static const struct pf_view_row views[] = {
	{"",        NULL,             "text for people and awk"},
	{".txt",    NULL,             "the same text"},
	{".pprof",  pf_render_pprof,  "gzipped profile.proto: go tool pprof FILE"},
	{".folded", pf_render_folded, "one line a stack: flamegraph.pl FILE"},
	{".svg",    pf_render_svg,    "a flame graph as a picture", .page = true},
	{".html",   pf_render_html,   "an interactive flame graph, for any browser; needs nothing else",
	 .page = true},
};

static const struct pf_plain_row plains[] = {
	{"README",    pf_readme_show,     NULL, 0, "what every file here is, one line each"},
	{"index.html", pf_landing_show, NULL, 0,
	 "for browsers: health, profiles, captures, files, the last minutes in charts", .page = true},
	{"status",    pf_status_show,     NULL, 0,
	 "what the agent did and lost, its own cost, what is not possible here and why", .frozen = true},
	{"stats",     NULL, NULL, 0,
	 "the process in numbers: memory, heap, allocator, CPU time, threads, faults, descriptors;"
	 " stats?json=1", .answer = pf_stats_answer, .frozen = true, .living = true},
	{"metrics",   pf_metrics_show, NULL, PF_METRICS_PROMETHEUS,
	 "the same, and what the agent did and lost, for Prometheus", .frozen = true, .living = true},
	{"openmetrics", pf_metrics_show, NULL, PF_METRICS_OPEN, "the same in OpenMetrics' text form",
	 .living = true},
	{"history",   NULL, NULL, 0,
	 "a row of numbers a second: the last 10 minutes, or seconds= of the last day; n= rows",
	 .answer = pf_history_answer, .frozen = true},
	{"history.json", NULL, NULL, 1, "the same as JSON", .answer = pf_history_answer},
	{"buildinfo", pf_buildinfo_show,  NULL, 0,
	 "versions and build ids: of the program, of the agent, of what it was built with", .frozen = true},
	{"error_log", pf_error_log_show,  NULL, 0, "the last refused writes and queries, and reads that failed, in words"},
	{"cmdline",   pf_proc_cmdline_show,    NULL, 0,
	 "the program's arguments, each ended by a NUL, as in /proc/PID/cmdline", .frozen = true},
	{"enable",    pf_enable_show,     pf_enable_store, 0,
	 "collectors, on or off: write 1, 0, +NAME, -NAME, several at once; all of them or none"},
	{"gc",        pf_gc_show,         pf_gc_store, PF_GC_COLLECT,
	 "write 1: the program's own collector, then free memory back to the kernel; read: what came of it"},
	{"free_os_memory", pf_gc_show,    pf_gc_store, PF_GC_ALLOCATORS,
	 "the same, but a collector of the program's own is left alone"},
	{"profile_seconds", pf_seconds_show, pf_seconds_store, 0, "as cpu/seconds"}, /* profiles[0] */
	{"snapshot",  pf_freeze_show,     pf_freeze_store, 0,
	 "write NAME: keep every instant profile, in every form, of now as captures/NAME/"},
	{"events",    NULL, NULL, 0,
	 "a stream: a line for each start and end of a capture, refused write, gc, snapshot, loss",
	 .stream = true},
	{"debug/stats", NULL, NULL, 0, "as stats", .answer = pf_stats_answer, .living = true},
	{"debug/gc",  pf_gc_show,         pf_gc_store, PF_GC_COLLECT, "as gc"},
	{"debug/freeOSMemory", pf_gc_show, pf_gc_store, PF_GC_ALLOCATORS, "as free_os_memory"},
	{"debug/charts", pf_chart_show, NULL, 0, "as debug/charts.html", .page = true},
	{"debug/charts.html", pf_chart_show, NULL, 0,
	 "for browsers: CPU, memory, faults, threads, records, of 10 minutes to a day; stays live",
	 .page = true},
	{"debug/pprof/index.html", pf_landing_go_show, NULL, 0,
	 "Go's index: profiles, and how many records each has", .page = true},
	{"debug/pprof/cmdline", pf_proc_go_cmdline_show, NULL, 0, "the arguments as Go sends them"},
	{"debug/pprof/symbol", pf_symbol_show, NULL, 0,
	 "write 0xADDRESS+0xADDRESS, read their names on the same open file", .ask = pf_symbol_ask},
};

static const struct pf_plain_row windows[] = {
	{"seconds", pf_seconds_show, pf_seconds_store, 0,
	 "write N: start a capture of N seconds; 0: end it now and keep what it has"},
	{"enable",  pf_window_enable_show, pf_window_enable_store, 0,
	 "1: the recorder keeps the last seconds always (config/recorder_seconds)"},
	{"status",  pf_window_status_show, NULL, 0, "what is running and how far it is"},
	{"wait",    pf_window_status_show, NULL, 0,
	 "returns when the running capture has ended; at once when none runs", .waits = true},
};

static const struct pf_list_row lists[] = {
	{"captures", pf_kept_list, pf_kept_find, pf_kept_remove, NULL, 0,
	 "finished captures and snapshots, of real sizes; the oldest go first (config/captures_keep,"
	 " captures_keep_bytes); rm and rm -r free one"},
	{"custom", pf_defined_list, pf_defined_find, NULL, NULL, 0,
	 "profiles that the program defines itself (proffs_profile_new): NAME, NAME.pprof ..."},
	{"thread", pf_thread_list, pf_thread_find, NULL, pf_thread_members, PF_THREAD_MEMBER_COUNT,
	 "a directory per thread: name, state, stack, cpu_ns, age_ns, created_by, blocked_on",
	 .living = true},
};

/* gperftools' names, in the formats of its google-pprof. */
static const struct pf_other_row others[] = {
	{"pprof/profile", PF_SOURCE_CPU, {"*", pf_render_binary,
	 "30 s of CPU time, 'profile?seconds=5': google-pprof --text PROGRAM FILE"}},
	{"pprof/profile.sym", PF_SOURCE_CPU, {"*", pf_render_symbolized,
	 "the same with its names: google-pprof --text FILE"}},
	{"pprof/heap", PF_SOURCE_HEAP, {"*", pf_render_legacy,
	 "memory in use: google-pprof --text PROGRAM FILE"}},
	{"pprof/heap.sym", PF_SOURCE_HEAP, {"*", pf_render_symbolized,
	 "the same with its names: google-pprof --text FILE"}},
	{"pprof/contention", PF_SOURCE_BLOCK, {"*", pf_render_legacy,
	 "who waits for locks: google-pprof --text PROGRAM FILE"}},
	{"pprof/contention.sym", PF_SOURCE_BLOCK, {"*", pf_render_symbolized,
	 "the same with its names: google-pprof --text FILE"}},
	{"pprof/threadcreate", PF_SOURCE_THREADCREATE, {"*", pf_render_binary,
	 "who created threads, one sample each: google-pprof --text PROGRAM FILE"}},
	{"pprof/threadcreate.sym", PF_SOURCE_THREADCREATE, {"*", pf_render_symbolized,
	 "the same with its names: google-pprof --text FILE"}},
	{"pprof/exceptions", PF_SOURCE_EXCEPTIONS, {"*", pf_render_binary,
	 "who throws, one sample each: google-pprof --text PROGRAM FILE"}},
	{"pprof/exceptions.sym", PF_SOURCE_EXCEPTIONS, {"*", pf_render_symbolized,
	 "the same with its names: google-pprof --text FILE"}},
};

static const struct pf_link_row links[] = {
	{"pprof/symbol", "../debug/pprof/symbol"},
	{"pprof/cmdline", "../debug/pprof/cmdline"},
};

/* clang-format on */

const struct pf_table pf_table = {
    .profiles = profiles,
    .profile_count = PF_COUNT(profiles),
    .views = views,
    .view_count = PF_COUNT(views),
    .plains = plains,
    .plain_count = PF_COUNT(plains),
    .windows = windows,
    .window_count = PF_COUNT(windows),
    .lists = lists,
    .list_count = PF_COUNT(lists),
    .others = others,
    .other_count = PF_COUNT(others),
    .links = links,
    .link_count = PF_COUNT(links),
    .go_view = {"", pf_render_pprof, "as Go sends it"},
    .go_seconds_ns = 30ll * PF_NS_PER_SECOND,
};
