#include "sampler/sampler.h"
#include "base/arena.h"
#include "base/birth.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/forbid.h"
#include "base/lock.h"
#include "base/memory.h"
#include "sampler/allocator.h"
#include "sampler/blocked.h"
#include "sampler/boehm.h"
#include "sampler/contention.h"
#include "sampler/cpu.h"
#include "sampler/crew.h"
#include "sampler/custom.h"
#include "sampler/drain.h"
#include "sampler/filter_hook.h"
#include "sampler/gate.h"
#include "sampler/guard.h"
#include "sampler/heap.h"
#include "sampler/hold.h"
#include "sampler/label.h"
#include "sampler/last.h"
#include "sampler/map.h"
#include "sampler/module_watch.h"
#include "sampler/patch.h"
#include "sampler/real.h"
#include "sampler/release.h"
#include "sampler/shortcut.h"
#include "sampler/stack.h"
#include "sampler/task.h"
#include "sampler/thread.h"
#include "sampler/threadcreate.h"
#include "sampler/threads.h"
#include "sampler/throw.h"
#include "sampler/throw_last.h"
#include "sampler/unwind.h"
#include "sampler/waiter.h"
#include "sampler/wall.h"

static int64_t all_cpu_ns(void)
{
	return pf_crew_cpu_ns() + (int64_t)pf_counter_get(PF_COUNTER_CPU_HANDLER_NS);
}

static int64_t all_memory_bytes(void)
{
	return pf_arena_mapped_bytes() + pf_memory_held_bytes();
}

static struct pf_sampler door = {
    .version = PF_VERSION,
    .collectors =
	{
	    [PF_COLLECTOR_CPU] = {"cpu", pf_cpu_enabled, pf_cpu_enable},
	    [PF_COLLECTOR_WALL] = {"wall", pf_wall_enabled, pf_wall_enable},
	    [PF_COLLECTOR_HEAP] = {"heap", pf_heap_enabled, pf_heap_enable, true},
	    [PF_COLLECTOR_MUTEX] = {"mutex", pf_mutex_enabled, pf_mutex_enable},
	    [PF_COLLECTOR_BLOCK] = {"block", pf_block_enabled, pf_block_enable},
	    [PF_COLLECTOR_EXCEPTIONS] = {"exceptions", pf_throw_enabled, pf_throw_enable, true},
	},
    .collect =
	{
	    [PF_SOURCE_CPU] = pf_cpu_collect,
	    [PF_SOURCE_WALL] = pf_wall_collect,
	    [PF_SOURCE_HEAP] = pf_heap_collect,
	    [PF_SOURCE_HEAP_PEAK] = pf_heap_peak_collect,
	    [PF_SOURCE_HEAP_LEAKS] = pf_heap_leaks_collect,
	    [PF_SOURCE_HEAP_LIVES] = pf_heap_lifetime_collect,
	    [PF_SOURCE_MUTEX] = pf_mutex_collect,
	    [PF_SOURCE_BLOCK] = pf_block_collect,
	    [PF_SOURCE_THREADS] = pf_threads_collect,
	    [PF_SOURCE_THREADCREATE] = pf_threadcreate_collect,
	    [PF_SOURCE_EXCEPTIONS] = pf_throw_collect,
	},
    .records =
	{
	    [PF_SOURCE_HEAP] = pf_heap_records,
	    [PF_SOURCE_MUTEX] = pf_mutex_records,
	    [PF_SOURCE_BLOCK] = pf_block_records,
	    [PF_SOURCE_THREADS] = pf_task_count,
	},
    .heap_totals = pf_heap_totals,
    .heap_look = pf_heap_look_for_builtin,
    .allocator = pf_allocator_look,
    .threads = pf_threads_list,
    .thread = pf_threads_one,
    .blocked_on = pf_blocked_on,
    .print_labels = pf_label_print,
    .custom_name = pf_custom_name,
    .custom_collect = pf_custom_collect,
    .last_exception = pf_throw_last_collect,
    .release_memory = pf_release_memory,
    .mappings = pf_map_fill,
    .nobody_left = pf_last_nobody_left,
    .cpu_ns = all_cpu_ns,
    .memory_bytes = all_memory_bytes,
    .stack_usage = pf_stack_usage,
    .flush_counters = pf_waiter_flush,
    .start_thread = pf_crew_start,
};

const struct pf_sampler *pf_sampler_door(void)
{
	door.counters = pf_counter_values;
	door.knobs = pf_knobs;
	door.features = pf_features;
	door.births = pf_birth_shared();
	door.forbidden = pf_forbidden_to_all;
	door.clock_is_replaced = pf_clock_is_replaced;
	return &door;
}

void pf_sampler_init(void)
{
	static bool done;

	if (!done)
		pf_stack_init();
	done = true;
	/* The thread that brought us in has passed no hook of ours. */
	if (!pf_guard_held())
		pf_thread_enrol_self();
}

const char *pf_sampler_obstacle(void)
{
	/* Whoever starts asks this first, and what comes then waits by the clock. */
	pf_clock_is_replaced = pf_real_clock_is_replaced();
	if (!pf_real_sanitized())
		return NULL;
	return "it is built with a sanitizer, which would take the agent for a part of the program "
	       "(build without -fsanitize)";
}

void pf_sampler_start_early(const bool wanted[PF_COLLECTOR_COUNT])
{
	pf_sampler_init();
	for (int i = 0; i < PF_COLLECTOR_COUNT; i++)
		if (wanted[i] && door.collectors[i].early)
			door.collectors[i].enable(true);
	pf_thread_start();
}

int pf_sampler_start(void)
{
	int rc;

	pf_shortcut_program_runs();
	pf_sampler_init();
	door.started_ns = pf_clock_real_ns();
	rc = pf_drain_start();
	if (rc < 0)
		return rc;
	pf_module_watch_start(); /* without it new modules go unseen, and the rest works */
	pf_thread_start();       /* says in `status` what it could not do */
	return 0;
}

void pf_sampler_stop(void)
{
	for (int i = 0; i < PF_COLLECTOR_COUNT; i++)
		if (door.collectors[i].enable)
			door.collectors[i].enable(false);
	pf_contention_stop();
	pf_cpu_stop();
	pf_wall_stop();
	pf_thread_stop();
	pf_module_watch_stop();
	pf_drain_stop();
}

void pf_sampler_alone(void)
{
	pf_lock_all_free();
	pf_crew_bury();
	pf_gate_shut();
	pf_drain_fork_child();
}

void pf_sampler_fork_child(bool stays)
{
	pf_hold_fork_child();
	pf_stack_fork_child();
	pf_unwind_lib_fork_child();
	pf_map_fork_child();
	pf_custom_fork_child();
	pf_heap_fork_child(stays);
	pf_allocator_fork_child();
	pf_boehm_fork_child();
	pf_contention_fork_child();
	pf_throw_fork_child();
	pf_patch_fork_child();
	pf_filter_fork_child();
	pf_cpu_fork_child();
	pf_module_watch_fork_child();
}
