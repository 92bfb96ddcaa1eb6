#include "sampler/copied_stack.h"
#include "base/arena.h"
#include "base/feature.h"
#include "sampler/callsite.h"
#include "sampler/callsite_function.h"
#include "sampler/own_memory.h"
#include "sampler/stack.h"

#include <errno.h>
#include <string.h>

#ifdef PF_SMALL
enum { FIRST_COPY_BYTES = 512 };
#else
enum { FIRST_COPY_BYTES = 16 * 1024 };
#endif
enum { COPY_MAX_BYTES = 1024 * 1024 };
/* How far above the stack pointer a frame may begin, in bytes, and how many places are tried. */
enum { FRAME_MAX_BYTES = 65536, GUESSES_MAX = 200 };

bool pf_copied_stack_init(struct pf_copied_stack *s)
{
	s->copy = pf_arena_map(COPY_MAX_BYTES);
	return s->copy != NULL;
}

void pf_copied_stack_finish(struct pf_copied_stack *s)
{
	if (s->copy)
		pf_arena_unmap(s->copy, COPY_MAX_BYTES);
	s->copy = NULL;
}

/* Copies more of the stack: as much again as there is, at first FIRST_COPY_BYTES. */
static bool grow_copy(struct pf_copied_stack *s)
{
	size_t have = s->memory.high - s->memory.low;
	size_t more = have ? have : FIRST_COPY_BYTES;
	ssize_t got;

	if (s->whole || have + more > COPY_MAX_BYTES)
		return false;
	got = pf_own_memory_read(s->copy + have, (void *)s->memory.high, more);
	if (got < 0 && got != -EFAULT)
		pf_feature_set(PF_FEATURE_SLEEPER_STACKS, PF_FEATURE_DEGRADED,
		    "process_vm_readv and /proc/self/mem are refused (a seccomp filter?): of "
		    "sleeping threads only the innermost frame is known");
	s->whole = got < (ssize_t)more;
	if (got <= 0)
		return false;
	s->memory.high += (uint64_t)got & ~7ull;
	return got >= 8;
}

static uint64_t word_at(const struct pf_copied_stack *s, uint64_t address)
{
	uint64_t word;

	memcpy(&word, s->copy + (address - s->memory.low), sizeof(word));
	return word;
}

static bool has_word(const struct pf_copied_stack *s, uint64_t address)
{
	return address % 8 == 0 && address >= s->memory.low && address + 8 <= s->memory.high;
}

/* ---- the walk ---- */

static uint32_t walk(struct pf_copied_stack *s, uint64_t *pcs, enum pf_unwind_end *end)
{
	uint32_t count;

	do
		count = pf_unwind_cfi(&s->regs, &s->memory, pcs, s->depth, end);
	while (*end == PF_UNWIND_BAD_MEMORY && grow_copy(s));
	/* Rules that our own walker refuses are rare; libunwind takes its time. */
	if (*end == PF_UNWIND_REFUSED && pf_unwind_lib_open() == 0)
		count = pf_unwind_lib(&s->regs, &s->memory, pcs, s->depth, end);
	return count;
}

/* Does the walk come as far as its last frame when it may read the stack below `high` only? */
static bool reaches(struct pf_copied_stack *s, uint64_t high, uint32_t count)
{
	struct pf_unwind_memory part = {s->memory.low, high, s->memory.copy};
	uint64_t pcs[PF_STACK_DEPTH_MAX];
	enum pf_unwind_end end;

	return pf_unwind_cfi(&s->regs, &part, pcs, count, &end) == count;
}

/* The stack pointer in the last frame of a walk that stopped there. The walker does not say; but
 * the frame's return address is the word without which it does not get so far. 0: not found. */
static uint64_t frame_stack_pointer(struct pf_copied_stack *s, const uint64_t *pcs, uint32_t count)
{
	if (count == 1)
		return s->memory.low;
	for (uint64_t at = s->memory.low; has_word(s, at); at += 8)
		if (word_at(s, at) == pcs[count - 1] + 1 && reaches(s, at + 8, count) &&
		    !reaches(s, at, count))
			return at + 8;
	return 0;
}

/* Every caller's address must follow a call; what a signal interrupted need not. From frame `fitting`
 * on it must be a call of the function that was walked, as far as that can be told. */
static bool all_called(const uint64_t *pcs, uint32_t count, uint32_t fitting)
{
	for (uint32_t i = 1; i < count; i++) {
		bool fit = i >= fitting;
		enum pf_callsite site =
		    pf_callsite_look(pcs[i] + 1, fit ? pcs[i - 1] : PF_CALLSITE_ANY);

		if (pf_callsite_is_sigreturn(pcs[i]) || pf_callsite_is_sigreturn(pcs[i - 1]))
			continue;
		if (site == PF_CALLSITE_NONE || (fit && site == PF_CALLSITE_OTHER))
			return false;
	}
	return true;
}

/* A frame that keeps its caller's stack pointer in the frame pointer, and where its return address
 * would be if the frame pointer were `bp`: right above the saved one, or, in frames that align the
 * stack, below the address they keep (System V ABI; gcc's DRAP). 0: not in the copy. */
static uint64_t return_slot(const struct pf_copied_stack *s, uint64_t bp, bool aligned)
{
	uint64_t slot = bp + 8;

	if (aligned) {
		if (!has_word(s, bp - 8))
			return 0;
		slot = word_at(s, bp - 8) - 8;
		if (slot <= bp || slot > bp + FRAME_MAX_BYTES)
			return 0;
	}
	return has_word(s, slot) ? slot : 0;
}

struct guess {
	uint64_t callee; /* lookup address in the frame that needs its frame pointer */
	uint32_t known;  /* frames up to and with this one */
	bool aligned;
	bool by_prologue;
	bool strict;             /* all calls further out fit as well */
	enum pf_callsite wanted; /* NONE: any call */
};

/* Where no information is the way out, as on a fiber, only the prologue's word is taken. */
static bool is_whole(const struct pf_copied_stack *s, const struct guess *g)
{
	if (s->fiber && g->by_prologue &&
	    (s->end == PF_UNWIND_NO_INFO || s->end == PF_UNWIND_BAD_MEMORY))
		return true;
	return s->end == PF_UNWIND_ROOT || s->end == PF_UNWIND_TRUNCATED;
}

/* Walks with this frame pointer; true when that leads to the root, or as deep as stacks are kept,
 * over calls all the way. */
static bool try_guess(
    struct pf_copied_stack *s, const struct guess *g, uint64_t bp, uint64_t *pcs, uint32_t *count)
{
	uint64_t slot = return_slot(s, bp, g->aligned), to;
	enum pf_callsite site;

	if (!slot || s->guesses >= GUESSES_MAX)
		return false;
	to = word_at(s, slot);
	site = pf_callsite_look(to, g->callee);
	/* The kernel has called it: a handler. (What a program has made itself is not guessed: most words of a
	 * stack are no code at all, and to look there is a system call.) */
	if (site == PF_CALLSITE_NONE && pf_callsite_is_code(to) && pf_callsite_is_sigreturn(to))
		site = PF_CALLSITE_INDIRECT;
	if (site == PF_CALLSITE_NONE || (g->wanted != PF_CALLSITE_NONE && site != g->wanted))
		return false;
	s->guesses++;
	s->regs.value[PF_REG_BP] = bp;
	s->regs.known |= PF_REG_BIT(PF_REG_BP);
	*count = walk(s, pcs, &s->end);
	s->regs.known &= ~(PF_REG_BIT(PF_REG_BP));
	/* One that does not get past this frame says nothing. */
	return is_whole(s, g) && *count > g->known &&
	       all_called(pcs, *count, g->strict ? g->known + 1 : *count);
}

/* The prologue says how far the frame pointer lies above the stack pointer; pushes in the body may
 * have moved that by some words. */
static bool guess_by_prologue(
    struct pf_copied_stack *s, struct guess *g, uint64_t sp, uint64_t *pcs, uint32_t *count)
{
	int64_t distance = pf_callsite_frame_distance(g->callee, g->known == 1);

	if (distance < 0)
		return false;
	g->wanted = PF_CALLSITE_NONE;
	g->by_prologue = true;
	for (uint64_t words = 0; words < 9; words++)
		if (try_guess(s, g, sp + (uint64_t)distance + words * 8, pcs, count))
			return true;
	g->by_prologue = false;
	return false;
}

static bool guess_by_search(struct pf_copied_stack *s, struct guess *g, uint64_t sp,
    enum pf_callsite wanted, uint64_t *pcs, uint32_t *count)
{
	g->wanted = wanted;
	for (uint64_t bp = (sp + 15) & ~15ull; bp < sp + FRAME_MAX_BYTES; bp += 16) {
		if (!has_word(s, bp + 8) && !grow_copy(s))
			return false;
		if (try_guess(s, g, bp, pcs, count))
			return true;
	}
	return false;
}

static bool guess(
    struct pf_copied_stack *s, struct guess *g, uint64_t sp, uint64_t *pcs, uint32_t *count)
{
	static const enum pf_callsite order[] = {
	    PF_CALLSITE_MATCH, PF_CALLSITE_INDIRECT, PF_CALLSITE_OTHER};

	s->guesses = 0;
	g->aligned = false;
	if (guess_by_prologue(s, g, sp, pcs, count))
		return true;
	for (size_t i = 0; i < PF_COUNT(order); i++)
		for (int aligned = 0; aligned < 2; aligned++) {
			g->aligned = aligned;
			if (guess_by_search(s, g, sp, order[i], pcs, count))
				return true;
		}
	return false;
}

/* A walk has stopped at a frame that needs the frame pointer, which the kernel does not tell. No
 * frame so far has changed it: one guess at the start serves the whole walk. (stacks.md 5)
 *
 * What earlier calls have left in a large frame looks like frames, too, up to where the walk over them
 * meets the real ones: there is a call of some other function then, the one that stands there now. So
 * a walk in which all calls fit is better than any other; that a function which was called makes its
 * last call by a jump, so that nothing fits, is rarer. */
static bool guess_frame_pointer(struct pf_copied_stack *s, uint64_t *pcs, uint32_t *count)
{
	struct guess g = {.callee = pcs[*count - 1], .known = *count, .strict = true};
	uint64_t sp = frame_stack_pointer(s, pcs, *count);
	uint64_t found[PF_STACK_DEPTH_MAX];
	uint32_t found_count = 0;
	bool right;

	if (!sp)
		return false;
	right = guess(s, &g, sp, found, &found_count);
	g.strict = false;
	right = right || guess(s, &g, sp, found, &found_count);
	if (!right)
		return false;
	memcpy(pcs, found, found_count * sizeof(*pcs));
	*count = found_count;
	return true;
}

/* Is `sp` on another stack than the thread was made with? Unless a signal has brought it there: from
 * that it will return. */
static bool is_fiber(pid_t tid, uint64_t sp, const uint64_t *pcs, uint32_t count)
{
	uint64_t low, high;

	for (uint32_t i = 0; i < count; i++)
		if (pf_callsite_is_sigreturn(pcs[i]))
			return false;
	return pf_unwind_stack_of(tid, &low, &high) && (sp < low || sp >= high);
}

uint32_t pf_copied_stack_walk(struct pf_copied_stack *s, pid_t tid, uint64_t sp, uint64_t pc,
    uint32_t depth, uint64_t *pcs, enum pf_unwind_end *end)
{
	uint32_t count;

	s->regs = (struct pf_unwind_regs){.known = PF_REG_BIT(PF_REG_SP) | PF_REG_BIT(PF_REG_PC)};
	s->regs.value[PF_REG_SP] = sp;
	s->regs.value[PF_REG_PC] = pc;
	s->memory =
	    (struct pf_unwind_memory){.low = sp & ~7ull, .high = sp & ~7ull, .copy = s->copy};
	s->whole = false;
	s->depth = depth;
	grow_copy(s);
	count = walk(s, pcs, end);
	s->fiber =
	    *end != PF_UNWIND_ROOT && *end != PF_UNWIND_TRUNCATED && is_fiber(tid, sp, pcs, count);
	if (*end == PF_UNWIND_UNKNOWN_REGISTER && count > 0 && guess_frame_pointer(s, pcs, &count))
		*end = s->end;
	if (s->fiber && (*end == PF_UNWIND_NO_INFO || *end == PF_UNWIND_BAD_MEMORY))
		*end = PF_UNWIND_FIBER;
	return count;
}
