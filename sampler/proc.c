#include "sampler/proc.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/feature.h"
#include "base/knob.h"
#include "sampler/callsite.h"
#include "sampler/crew.h"
#include "sampler/feed.h"
#include "sampler/task.h"
#include "sampler/unwind.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifdef PF_SMALL
enum { FIRST_COPY_BYTES = 512 };
#else
enum { FIRST_COPY_BYTES = 16 * 1024 };
#endif
enum { COPY_MAX_BYTES = 1024 * 1024 };
enum { ATTEMPTS = 3, KEPT_DESCRIPTORS_MAX = 4096 };
/* How far above the stack pointer a frame may begin, in bytes, and how many places are tried. */
enum { FRAME_MAX_BYTES = 65536, GUESSES_MAX = 200 };

struct pf_proc_reader {
	bool keeps; /* descriptors may stay open: this is a thread of the crew */
	struct pf_unwind_regs regs;
	struct pf_unwind_memory memory;
	bool whole;     /* the copy reaches the end of what can be read */
	uint32_t depth; /* config/stack_depth */
	int guesses;
	enum pf_unwind_end end; /* of the last guess */
	char *copy;             /* COPY_MAX_BYTES */
};

static int kept_descriptors; /* atomic */

struct pf_proc_reader *pf_proc_create(void)
{
	struct pf_proc_reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return NULL;
	reader->copy = pf_arena_map(COPY_MAX_BYTES);
	if (!reader->copy) {
		free(reader);
		return NULL;
	}
	reader->keeps = pf_crew_has((pid_t)syscall(SYS_gettid));
	return reader;
}

void pf_proc_destroy(struct pf_proc_reader *reader)
{
	if (!reader)
		return;
	pf_arena_unmap(reader->copy, COPY_MAX_BYTES);
	free(reader);
}

/* ---- where it sleeps ---- */

/* The thread's `syscall` file, kept open where that is allowed: a fourth of the cost. */
static int kept_descriptor(struct pf_thread *t)
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
	if (__atomic_load_n(&kept_descriptors, __ATOMIC_RELAXED) >= KEPT_DESCRIPTORS_MAX)
		return -EMFILE;
	fd = pf_task_open(t->tid, "syscall");
	if (fd < 0)
		return fd;
	__atomic_fetch_add(&kept_descriptors, 1, __ATOMIC_RELAXED);
	t->syscall_fd = fd + 1;
	t->fd_generation = generation;
	return fd;
}

static ssize_t read_syscall_file(struct pf_thread *t, bool keep, char *out, size_t size)
{
	int fd = keep ? kept_descriptor(t) : -EMFILE;
	ssize_t got;

	if (fd == -EMFILE || fd == -ENFILE)
		return pf_task_read(t->tid, "syscall", out, size);
	if (fd < 0)
		return fd;
	got = pread(fd, out, size, 0);
	return got < 0 ? -errno : got;
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
	return PF_PROC_ASLEEP;
}

static enum pf_proc_answer where(
    struct pf_thread *t, bool keep, int *state, uint64_t *sp, uint64_t *pc)
{
	char text[256];
	ssize_t got = read_syscall_file(t, keep, text, sizeof(text) - 1);

	if (got == -ENOENT || got == -ESRCH || got == 0)
		return PF_PROC_GONE;
	if (got < 0) {
		pf_feature_set(PF_FEATURE_SLEEPER_STACKS, PF_FEATURE_DEGRADED,
		    "/proc/self/task/TID/syscall cannot be read (privileges dropped?): sleeping "
		    "threads are asked by signal");
		return PF_PROC_REFUSED;
	}
	text[got] = '\0';
	return parse(text, state, sp, pc);
}

/* ---- the copy ---- */

/* Copies more of the stack: as much again as there is, at first FIRST_COPY_BYTES. */
static bool grow_copy(struct pf_proc_reader *r)
{
	size_t have = r->memory.high - r->memory.low;
	size_t more = have ? have : FIRST_COPY_BYTES;
	struct iovec local, remote;
	ssize_t got;

	if (r->whole || have + more > COPY_MAX_BYTES)
		return false;
	local = (struct iovec){r->copy + have, more};
	remote = (struct iovec){(void *)r->memory.high, more};
	got = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
	r->whole = got < (ssize_t)more;
	if (got <= 0)
		return false;
	r->memory.high += (uint64_t)got & ~7ull;
	return got >= 8;
}

static uint64_t word_at(const struct pf_proc_reader *r, uint64_t address)
{
	uint64_t word;

	memcpy(&word, r->copy + (address - r->memory.low), sizeof(word));
	return word;
}

static bool has_word(const struct pf_proc_reader *r, uint64_t address)
{
	return address % 8 == 0 && address >= r->memory.low && address + 8 <= r->memory.high;
}

/* ---- the walk ---- */

static uint32_t walk(struct pf_proc_reader *r, uint64_t *pcs, enum pf_unwind_end *end)
{
	uint32_t count;

	do
		count = pf_unwind_cfi(&r->regs, &r->memory, pcs, r->depth, end);
	while (*end == PF_UNWIND_BAD_MEMORY && grow_copy(r));
	/* Rules that our own walker refuses are rare; libunwind takes its time. */
	if (*end == PF_UNWIND_REFUSED && pf_unwind_lib_open() == 0)
		count = pf_unwind_lib(&r->regs, &r->memory, pcs, r->depth, end);
	return count;
}

/* Does the walk come as far as its last frame when it may read the stack below `high` only? */
static bool reaches(struct pf_proc_reader *r, uint64_t high, uint32_t count)
{
	struct pf_unwind_memory part = {r->memory.low, high, r->memory.copy};
	uint64_t pcs[PF_STACK_DEPTH_MAX];
	enum pf_unwind_end end;

	return pf_unwind_cfi(&r->regs, &part, pcs, count, &end) == count;
}

/* The stack pointer in the last frame of a walk that stopped there. The walker does not say; but
 * the frame's return address is the word without which it does not get so far. 0: not found. */
static uint64_t frame_stack_pointer(struct pf_proc_reader *r, const uint64_t *pcs, uint32_t count)
{
	if (count == 1)
		return r->memory.low;
	for (uint64_t at = r->memory.low; has_word(r, at); at += 8)
		if (word_at(r, at) == pcs[count - 1] + 1 && reaches(r, at + 8, count) &&
		    !reaches(r, at, count))
			return at + 8;
	return 0;
}

/* Every caller's address must follow a call; what a signal interrupted need not. */
static bool all_called(const uint64_t *pcs, uint32_t count)
{
	for (uint32_t i = 1; i < count; i++)
		if (pf_callsite_look(pcs[i] + 1, pcs[i - 1]) == PF_CALLSITE_NONE &&
		    !pf_callsite_is_sigreturn(pcs[i - 1]))
			return false;
	return true;
}

/* A frame that keeps its caller's stack pointer in the frame pointer, and where its return address
 * would be if the frame pointer were `bp`: right above the saved one, or, in frames that align the
 * stack, below the address they keep (System V ABI; gcc's DRAP). 0: not in the copy. */
static uint64_t return_slot(const struct pf_proc_reader *r, uint64_t bp, bool aligned)
{
	uint64_t slot = bp + 8;

	if (aligned) {
		if (!has_word(r, bp - 8))
			return 0;
		slot = word_at(r, bp - 8) - 8;
		if (slot <= bp || slot > bp + FRAME_MAX_BYTES)
			return 0;
	}
	return has_word(r, slot) ? slot : 0;
}

struct guess {
	uint64_t callee; /* lookup address in the frame that needs its frame pointer */
	uint32_t known;  /* frames up to and with this one */
	bool aligned;
	enum pf_callsite wanted; /* NONE: any call */
};

/* Walks with this frame pointer; true when that leads to the root, or as deep as stacks are kept,
 * over calls all the way. */
static bool try_guess(
    struct pf_proc_reader *r, const struct guess *g, uint64_t bp, uint64_t *pcs, uint32_t *count)
{
	uint64_t slot = return_slot(r, bp, g->aligned);
	enum pf_callsite site;

	if (!slot || r->guesses >= GUESSES_MAX)
		return false;
	site = pf_callsite_look(word_at(r, slot), g->callee);
	if (site == PF_CALLSITE_NONE || (g->wanted != PF_CALLSITE_NONE && site != g->wanted))
		return false;
	r->guesses++;
	r->regs.value[PF_REG_BP] = bp;
	r->regs.known |= 1u << PF_REG_BP;
	*count = walk(r, pcs, &r->end);
	r->regs.known &= ~(1u << PF_REG_BP);
	/* One that does not get past this frame says nothing. */
	return (r->end == PF_UNWIND_ROOT || r->end == PF_UNWIND_TRUNCATED) && *count > g->known &&
	       all_called(pcs, *count);
}

/* The prologue says how far the frame pointer lies above the stack pointer; pushes in the body may
 * have moved that by some words. */
static bool guess_by_prologue(
    struct pf_proc_reader *r, struct guess *g, uint64_t sp, uint64_t *pcs, uint32_t *count)
{
	int64_t distance = pf_callsite_frame_distance(g->callee, g->known == 1);

	if (distance < 0)
		return false;
	g->wanted = PF_CALLSITE_NONE;
	for (uint64_t words = 0; words < 9; words++)
		if (try_guess(r, g, sp + (uint64_t)distance + words * 8, pcs, count))
			return true;
	return false;
}

static bool guess_by_search(struct pf_proc_reader *r, struct guess *g, uint64_t sp,
    enum pf_callsite wanted, uint64_t *pcs, uint32_t *count)
{
	g->wanted = wanted;
	for (uint64_t bp = (sp + 15) & ~15ull; bp < sp + FRAME_MAX_BYTES; bp += 16) {
		if (!has_word(r, bp + 8) && !grow_copy(r))
			return false;
		if (try_guess(r, g, bp, pcs, count))
			return true;
	}
	return false;
}

/* A walk has stopped at a frame that needs the frame pointer, which the kernel does not tell. No
 * frame so far has changed it: one guess at the start serves the whole walk. (stacks.md 5) */
static bool guess_frame_pointer(struct pf_proc_reader *r, uint64_t *pcs, uint32_t *count)
{
	static const enum pf_callsite order[] = {
	    PF_CALLSITE_MATCH, PF_CALLSITE_INDIRECT, PF_CALLSITE_OTHER};
	struct guess g = {.callee = pcs[*count - 1], .known = *count};
	uint64_t sp = frame_stack_pointer(r, pcs, *count);
	uint64_t found[PF_STACK_DEPTH_MAX];
	uint32_t found_count = 0;
	bool right = false;

	r->guesses = 0;
	if (!sp)
		return false;
	right = guess_by_prologue(r, &g, sp, found, &found_count);
	for (size_t i = 0; !right && i < PF_COUNT(order); i++) {
		g.aligned = false;
		right = guess_by_search(r, &g, sp, order[i], found, &found_count);
		g.aligned = true;
		right = right || guess_by_search(r, &g, sp, order[i], found, &found_count);
	}
	if (!right)
		return false;
	memcpy(pcs, found, found_count * sizeof(*pcs));
	*count = found_count;
	return true;
}

static void read_stack(
    struct pf_proc_reader *r, uint64_t sp, uint64_t pc, struct pf_proc_stack *out)
{
	enum pf_unwind_end end;
	uint64_t marker;

	r->regs = (struct pf_unwind_regs){.known = 1u << PF_REG_SP | 1u << PF_REG_PC};
	r->regs.value[PF_REG_SP] = sp;
	r->regs.value[PF_REG_PC] = pc;
	r->memory = (struct pf_unwind_memory){sp & ~7ull, sp & ~7ull, r->copy};
	r->whole = false;
	r->depth = (uint32_t)pf_knob_get(PF_KNOB_STACK_DEPTH);
	grow_copy(r);
	out->pcs = out->own;
	out->count = walk(r, out->own, &end);
	if (end == PF_UNWIND_UNKNOWN_REGISTER && out->count > 0 &&
	    guess_frame_pointer(r, out->own, &out->count))
		end = r->end;
	marker = pf_unwind_marker(end);
	if (marker)
		out->own[out->count++] = marker;
}

/* ---- one thread ---- */

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

	out->cpu_ns = pf_clock_ns(clock);
	if (out->cpu_ns < 0)
		return PF_PROC_GONE;
	if (owned && reuse(t, out->cpu_ns, out))
		return PF_PROC_ASLEEP;
	answer = where(t, owned && r->keeps, &out->state, &sp, &pc);
	if (answer != PF_PROC_ASLEEP)
		return answer;
	read_stack(r, sp, pc, out);
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
		out->stack = pf_stack_intern(out->pcs, out->count);
		if (owned)
			keep(t, out);
	}
	if (owned)
		__atomic_store_n(&t->reading, 0, __ATOMIC_RELEASE);
	return answer;
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
