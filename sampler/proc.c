#include "sampler/proc.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/feature.h"
#include "base/knob.h"
#include "base/memory.h"
#include "sampler/callsite.h"
#include "sampler/copied_stack.h"
#include "sampler/crew.h"
#include "sampler/feed.h"
#include "sampler/past.h"
#include "sampler/task.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ATTEMPTS = 3, KEPT_DESCRIPTORS_MAX = 4096, KEPT_SHARE = 4 };

struct pf_proc_reader {
	bool keeps;   /* descriptors may stay open: this is a thread of the crew */
	int kept_max; /* by all readers together */
	struct pf_copied_stack stack;
};

static int kept_descriptors; /* atomic */

/* A part of what the process may open: the tree's own files come out of the same limit. */
static int kept_descriptors_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	return limit.rlim_cur / KEPT_SHARE < KEPT_DESCRIPTORS_MAX
		   ? (int)(limit.rlim_cur / KEPT_SHARE)
		   : KEPT_DESCRIPTORS_MAX;
}

struct pf_proc_reader *pf_proc_create(void)
{
	struct pf_proc_reader *reader = pf_memory_new(1, sizeof(*reader));

	if (!reader)
		return NULL;
	if (!pf_copied_stack_init(&reader->stack)) {
		pf_memory_free(reader);
		return NULL;
	}
	reader->keeps = pf_crew_has((pid_t)syscall(SYS_gettid));
	reader->kept_max = kept_descriptors_max();
	return reader;
}

void pf_proc_destroy(struct pf_proc_reader *reader)
{
	if (!reader)
		return;
	pf_copied_stack_finish(&reader->stack);
	pf_memory_free(reader);
}

/* ---- where it sleeps ---- */

/* The thread's `syscall` file, kept open where that is allowed: a fourth of the cost. */
static int kept_descriptor(const struct pf_proc_reader *r, struct pf_thread *t)
{
	uint32_t generation = pf_thread_generation(t);
	int fd;

	if (t->syscall_fd && t->fd_generation == generation)
		return t->syscall_fd - 1;
	if (t->syscall_fd) {
		close(t->syscall_fd - 1);
		t->syscall_fd = 0;
		__atomic_fetch_sub(&kept_descriptors, 1, __ATOMIC_RELAXED);
	}
	if (__atomic_load_n(&kept_descriptors, __ATOMIC_RELAXED) >= r->kept_max)
		return -EMFILE;
	fd = pf_task_open(t->tid, "syscall");
	if (fd < 0)
		return fd;
	__atomic_fetch_add(&kept_descriptors, 1, __ATOMIC_RELAXED);
	t->syscall_fd = fd + 1;
	t->fd_generation = generation;
	return fd;
}

static ssize_t read_syscall_file(
    const struct pf_proc_reader *r, struct pf_thread *t, bool keep, char *out, size_t size)
{
	int fd = keep ? kept_descriptor(r, t) : -EMFILE;
	ssize_t got;

	if (fd == -EMFILE || fd == -ENFILE)
		return pf_task_read(t->tid, "syscall", out, size);
	if (fd < 0)
		return fd;
	got = pread(fd, out, size, 0);
	return got < 0 ? -errno : got;
}

/* A sleep that was stopped, by Ctrl-Z or a debugger, goes on as restart_syscall: what it was is in the
 * code. */
static int before_restart(int number, uint64_t pc)
{
	int was = number == SYS_restart_syscall ? pf_callsite_syscall(pc) : -1;

	return was >= 0 ? was : number;
}

/* "running", or "NR ARGS... SP PC": the last two are what we want. */
static enum pf_proc_answer parse(const char *text, int *state, uint64_t *sp, uint64_t *pc)
{
	char *at;
	uint64_t words[9];
	size_t count = 0;

	if (text[0] == 'r') {
		*state = PF_STATE_RUNNING;
		return PF_PROC_RUNNING;
	}
	*state = (int)strtol(text, &at, 10);
	while (count < PF_COUNT(words) && *at == ' ')
		words[count++] = strtoull(at, &at, 16);
	if (count < 2 || words[count - 1] == 0)
		return PF_PROC_GONE;
	*sp = words[count - 2];
	*pc = words[count - 1];
	*state = before_restart(*state, *pc);
	return PF_PROC_ASLEEP;
}

/* Will it be so the next time, too? Then sleepers are asked by signal, which can break their sleep:
 * not because of a moment without descriptors. */
static bool is_refusal(int got)
{
	return got == 0 || got == -EACCES || got == -EPERM || got == -ENOENT;
}

static enum pf_proc_answer where(const struct pf_proc_reader *r, struct pf_thread *t, bool keep,
    int *state, uint64_t *sp, uint64_t *pc)
{
	char text[256];
	ssize_t got = read_syscall_file(r, t, keep, text, sizeof(text) - 1);

	if (got <= 0) {
		if (pf_clock_ns(pf_clock_of_thread(t->tid)) < 0)
			return PF_PROC_GONE;
		if (!is_refusal((int)got))
			return PF_PROC_FAILED;
		pf_feature_set(PF_FEATURE_SLEEPER_STACKS, PF_FEATURE_DEGRADED,
		    "/proc/self/task/TID/syscall cannot be read (privileges dropped, or no "
		    "/proc): sleeping threads are asked by signal");
		return PF_PROC_REFUSED;
	}
	text[got] = '\0';
	return parse(text, state, sp, pc);
}

/* ---- one thread ---- */

static void read_stack(
    struct pf_proc_reader *r, pid_t tid, uint64_t sp, uint64_t pc, struct pf_proc_stack *out)
{
	uint32_t depth = (uint32_t)pf_knob_get(PF_KNOB_STACK_DEPTH);
	enum pf_unwind_end end;
	uint64_t marker;

	out->pcs = out->own;
	out->count = pf_copied_stack_walk(&r->stack, tid, sp, pc, depth, out->own, &end);
	out->count = pf_stack_cut_own(out->own, out->count); /* it may wait in a hook of ours */
	marker = pf_unwind_marker(end);
	if (marker)
		out->own[out->count++] = marker;
}

static bool reuse(struct pf_thread *t, int64_t cpu_ns, struct pf_proc_stack *out)
{
	if (t->read_generation != pf_thread_generation(t) || t->read_cpu_ns != cpu_ns ||
	    t->read_stack == PF_STACK_OVERFLOW)
		return false;
	out->count = pf_stack_read(t->read_stack, &out->pcs);
	out->stack = t->read_stack;
	out->state = t->read_nr;
	out->reused = true;
	return true;
}

static void keep(struct pf_thread *t, const struct pf_proc_stack *stack)
{
	t->read_generation = pf_thread_generation(t);
	t->read_cpu_ns = stack->cpu_ns;
	t->read_stack = stack->stack;
	t->read_nr = stack->state;
}

/* The thread ran while it was read: RUNNING, or what the attempt gave with its clock unmoved. */
static enum pf_proc_answer attempt(
    struct pf_proc_reader *r, struct pf_thread *t, bool owned, struct pf_proc_stack *out)
{
	clockid_t clock = pf_clock_of_thread(t->tid);
	enum pf_proc_answer answer;
	uint64_t sp, pc;

	out->generation = pf_past_now(); /* of the modules it sleeps in */
	out->cpu_ns = pf_clock_ns(clock);
	if (out->cpu_ns < 0)
		return PF_PROC_GONE;
	if (owned && reuse(t, out->cpu_ns, out))
		return PF_PROC_ASLEEP;
	answer = where(r, t, owned && r->keeps, &out->state, &sp, &pc);
	if (answer != PF_PROC_ASLEEP)
		return answer;
	read_stack(r, t->tid, sp, pc, out);
	return pf_clock_ns(clock) == out->cpu_ns ? PF_PROC_ASLEEP : PF_PROC_RUNNING;
}

enum pf_proc_answer pf_proc_read(
    struct pf_proc_reader *r, struct pf_thread *t, struct pf_proc_stack *out)
{
	/* What is remembered of the thread has one user at a time; another does without. */
	bool owned = !__atomic_exchange_n(&t->reading, 1, __ATOMIC_ACQUIRE);
	enum pf_proc_answer answer = PF_PROC_RUNNING;

	out->reused = false;
	for (int i = 0; i < ATTEMPTS; i++) {
		answer = attempt(r, t, owned, out);
		if (answer != PF_PROC_RUNNING || out->state == PF_STATE_RUNNING)
			break;
		pf_count(PF_COUNTER_THREAD_MOVED);
	}
	if (answer == PF_PROC_ASLEEP && !out->reused) {
		pf_count(PF_COUNTER_THREAD_READ);
		if (pf_features[PF_FEATURE_SLEEPER_STACKS].state == PF_FEATURE_OFF)
			pf_feature_set(PF_FEATURE_SLEEPER_STACKS, PF_FEATURE_OK, NULL);
		out->stack = pf_stack_intern_of(out->pcs, out->count, out->generation);
		if (owned)
			keep(t, out);
	}
	if (owned)
		__atomic_store_n(&t->reading, 0, __ATOMIC_RELEASE);
	return answer;
}

bool pf_proc_may_sleep_in(const struct pf_proc_reader *r, struct pf_thread *t, int system_call)
{
	bool owned = !__atomic_exchange_n(&t->reading, 1, __ATOMIC_ACQUIRE);
	enum pf_proc_answer answer;
	int state = PF_STATE_NONE;
	uint64_t sp, pc;

	answer = where(r, t, owned && r->keeps, &state, &sp, &pc);
	if (owned)
		__atomic_store_n(&t->reading, 0, __ATOMIC_RELEASE);
	if (answer == PF_PROC_ASLEEP || answer == PF_PROC_RUNNING)
		return state == system_call;
	return answer != PF_PROC_GONE;
}

/* From the third field of `stat`, which everybody may read. */
static int state_from_stat(const struct pf_thread *t)
{
	char text[512];
	ssize_t got = pf_task_read(t->tid, "stat", text, sizeof(text) - 1);
	const char *name_end;

	if (got <= 0)
		return PF_STATE_NONE;
	text[got] = '\0';
	name_end = strrchr(text, ')');
	if (!name_end || name_end[1] != ' ')
		return PF_STATE_NONE;
	return name_end[2] == 'R' ? PF_STATE_RUNNING : PF_STATE_ASLEEP;
}

int pf_proc_state(const struct pf_thread *t)
{
	char text[256];
	ssize_t got = pf_task_read(t->tid, "syscall", text, sizeof(text) - 1);
	uint64_t sp, pc;
	int state;

	if (got <= 0)
		return state_from_stat(t);
	text[got] = '\0';
	parse(text, &state, &sp, &pc);
	return state;
}

PF_SIGSAFE void pf_proc_fork_child(void)
{
	kept_descriptors = 0;
}
