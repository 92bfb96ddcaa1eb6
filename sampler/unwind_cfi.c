/* Back end B: up the stack by the compiler's own notes.
 *
 *   PC --cache--> short row -----------------------> CFA, return address, bp     10 ns a frame
 *    `--miss----> module -> FDE -> row --packed----^                             80 ns
 *                                   `--otherwise---> every register by its rule  (long step)
 *
 * Short steps follow pc, sp and bp alone. When a long step then needs another register, the walk
 * begins again and follows them all: rare (a realigned frame, the dynamic loader's trampoline).
 * Code without unwind info is left by its frame pointer, if everything about that looks right.
 */
#include "base/kernel.h"
#include "base/profile.h"
#include "sampler/unwind.h"
#include "sampler/unwind_cache.h"
#include "sampler/unwind_code.h"
#include "sampler/unwind_expr.h"
#include "sampler/unwind_image.h"
#include "sampler/unwind_memory.h"
#include "sampler/unwind_recent.h"
#include "sampler/unwind_row.h"
#include "sampler/unwind_short.h"

#include <sys/syscall.h>

uint64_t pf_unwind_cache[1 << PF_CACHE_BITS];
uint32_t pf_unwind_generation PF_WARM;

enum { FRAME_BY_POINTER_MAX = 1 << 16 }; /* bytes between sp and a frame pointer we believe */

#define FOLLOWED (PF_REG_BIT(PF_REG_PC) | PF_REG_BIT(PF_REG_SP) | PF_REG_BIT(PF_REG_BP))

struct walk {
	struct pf_unwind_regs regs;
	struct pf_unwind_memory memory;
	uint64_t look;  /* where the unwind info of this frame is looked up */
	bool exact;     /* the PC was interrupted, not returned to */
	bool first;     /* the leaf */
	bool all;       /* all registers are followed, not only FOLLOWED */
	bool copies;    /* modules are read through the kernel: nobody keeps them from going */
	bool doubtful;  /* a frame was guessed: what is above it may be none of the thread's */
	bool is_return; /* a call stands before the PC: looked at already */
	enum pf_unwind_end end;
	uint64_t *out;
	uint32_t count, max;
	struct pf_unwind_recent *recent; /* or NULL */
};

PF_INLINE bool knows(const struct walk *w, uint32_t reg)
{
	return (w->regs.known & PF_REG_BIT(reg)) != 0;
}

/* The walk ends here. */
PF_INLINE bool stop(struct walk *w, enum pf_unwind_end end)
{
	w->end = end;
	return false;
}

PF_INLINE bool emit(struct walk *w, uint64_t address)
{
	if (PF_UNLIKELY(w->count == w->max))
		return stop(w, PF_UNWIND_TRUNCATED);
	w->out[w->count++] = address;
	return true;
}

/* On to the caller. */
PF_INLINE bool go_on(struct walk *w, uint64_t pc, uint64_t sp, bool exact)
{
	pc = pf_unwind_strip(pc);
	w->regs.value[PF_REG_PC] = pc;
	w->regs.value[PF_REG_SP] = sp;
	w->exact = exact;
	w->first = false;
	w->is_return = false;
	w->look = exact ? pc : pc - 1;
	if (PF_UNLIKELY(pc == 0))
		return stop(w, PF_UNWIND_ROOT);
	return true;
}

PF_INLINE bool short_cfa(struct walk *w, uint32_t row, uint32_t kind, uint64_t *cfa)
{
	uint32_t top = row << (32 - PF_SHORT_BITS); /* the offset at the top, to keep its sign */
	int64_t offset = (int64_t)((int32_t)top >> (32 - OFFSET_BITS)) * PF_SHORT_UNIT;

	if (kind == SHORT_FROM_SP || kind == SHORT_LEAF) {
		*cfa = w->regs.value[PF_REG_SP] + (uint64_t)offset;
		return true;
	}
	if (!knows(w, PF_REG_BP))
		return stop(w, PF_UNWIND_UNKNOWN_REGISTER);
	*cfa = w->regs.value[PF_REG_BP] + (uint64_t)offset;
	if (kind == SHORT_AT_BP && !pf_unwind_load(&w->memory, *cfa, cfa))
		return stop(w, PF_UNWIND_BAD_MEMORY);
	return true;
}

PF_INLINE bool short_bp(struct walk *w, uint32_t bp, uint64_t cfa)
{
	uint64_t at;

	if (bp == BP_SAME)
		return true;
	if (bp == BP_LOST) {
		w->regs.known &= ~PF_REG_BIT(PF_REG_BP);
		return true;
	}
	if (bp == BP_AT_BP && !knows(w, PF_REG_BP))
		return stop(w, PF_UNWIND_UNKNOWN_REGISTER);
	at = bp == BP_AT_BP ? w->regs.value[PF_REG_BP] : cfa - 8 * bp;
	if (!pf_unwind_load(&w->memory, at, &w->regs.value[PF_REG_BP]))
		return stop(w, PF_UNWIND_BAD_MEMORY);
	w->regs.known |= PF_REG_BIT(PF_REG_BP);
	return true;
}

/* To the caller by a short row. */
PF_INLINE bool step_short(struct walk *w, uint32_t row)
{
	uint32_t kind = row & 7, bp = row >> 3 & BP_LOST;
	uint64_t cfa, pc;

	if (PF_UNLIKELY(kind == SHORT_ROOT))
		return stop(w, PF_UNWIND_ROOT);
	if (!short_cfa(w, row, kind, &cfa))
		return false;
	if (kind == SHORT_LEAF) {
		if (!w->first || !knows(w, PF_REG_RETURN))
			return stop(w, PF_UNWIND_UNKNOWN_REGISTER);
		w->regs.known &= FOLLOWED;
		return go_on(w, w->regs.value[PF_REG_RETURN], cfa, false);
	}
	if (cfa <= w->regs.value[PF_REG_SP])
		return stop(w, PF_UNWIND_LOOP);
	if (!pf_unwind_load(
		&w->memory, PF_REG_RETURN == PF_REG_PC ? cfa - 8 : cfa - 8 * bp + 8, &pc))
		return stop(w, PF_UNWIND_BAD_MEMORY);
	w->regs.known &= FOLLOWED;
	return short_bp(w, bp, cfa) && go_on(w, pc, cfa, false);
}

/* The value of an expression of this frame. */
static PF_SIGSAFE bool evaluate(struct walk *w, struct pf_unwind_image *image,
    const struct pf_unwind_frame *frame, const struct pf_unwind_where *rule, const uint64_t *first,
    uint64_t *out)
{
	struct pf_unwind_reader code;
	uint64_t at = frame->base + (uint64_t)(int64_t)rule->value, size;

	/* Its length first: at most what is left of the segment. */
	if (!pf_unwind_image_reach(image, at, 1))
		return stop(w, PF_UNWIND_REFUSED);
	pf_unwind_reader_init(&code, image, at, image->high);
	size = pf_unwind_reader_uleb(&code);
	at = pf_unwind_reader_where(&code);
	if (code.failed || size > image->high - at)
		return stop(w, PF_UNWIND_REFUSED);
	pf_unwind_reader_init(&code, image, at, at + size);
	return pf_unwind_expr_run(&code, &w->regs, &w->memory, first, out, &w->end);
}

PF_INLINE bool long_cfa(struct walk *w, struct pf_unwind_image *image,
    const struct pf_unwind_frame *frame, uint64_t *cfa)
{
	const struct pf_unwind_row *row = &frame->row;

	if (row->cfa.kind == PF_RULE_IS_EXPRESSION)
		return evaluate(w, image, frame, &row->cfa, NULL, cfa);
	if (!knows(w, row->cfa_register))
		return stop(w, PF_UNWIND_UNKNOWN_REGISTER);
	*cfa = w->regs.value[row->cfa_register] + (uint64_t)(int64_t)row->cfa.value;
	return true;
}

/* One register of the caller. A register that cannot be had is unknown; whether that matters shows
 * when somebody needs it. w->end says why. */
static PF_SIGSAFE bool long_register(struct walk *w, struct pf_unwind_image *image,
    const struct pf_unwind_frame *frame, uint32_t reg, uint64_t cfa, uint64_t *out)
{
	const struct pf_unwind_where *rule = &frame->row.reg[reg];
	uint32_t source = reg;
	uint64_t at = cfa + (uint64_t)(int64_t)rule->value;

	if (rule->kind == PF_RULE_UNDEFINED)
		return stop(w, PF_UNWIND_UNKNOWN_REGISTER);
	if (rule->kind == PF_RULE_SAME || rule->kind == PF_RULE_REGISTER) {
		if (rule->kind == PF_RULE_REGISTER)
			source = (uint32_t)rule->value;
		if (source >= PF_REG_COUNT || !knows(w, source))
			return stop(w, PF_UNWIND_UNKNOWN_REGISTER);
		*out = w->regs.value[source];
		return true;
	}
	*out = at;
	if (rule->kind == PF_RULE_IS_CFA)
		return true;
	if (rule->kind != PF_RULE_AT_CFA && !evaluate(w, image, frame, rule, &cfa, out))
		return false;
	if (rule->kind != PF_RULE_IS_EXPRESSION && !pf_unwind_load(&w->memory, *out, out))
		return stop(w, PF_UNWIND_BAD_MEMORY);
	return true;
}

/* gcc forgets to say that the epilogue of a realigned frame has popped bp. While it is at *bp, bp
 * points into this frame; popped, it is the caller's and does not. */
PF_INLINE bool bp_is_popped(const struct walk *w, const struct pf_unwind_row *row, uint64_t cfa)
{
	uint64_t sp = w->regs.value[PF_REG_SP];

	return row->reg[PF_REG_BP].kind == PF_RULE_AT_EXPRESSION &&
	       row->cfa.kind == PF_RULE_IS_CFA && row->cfa_register != PF_REG_BP &&
	       w->regs.value[PF_REG_BP] - sp >= cfa - sp;
}

/* The registers of the caller in `caller`; false when pc or sp cannot be had. */
static PF_SIGSAFE bool long_registers(struct walk *w, struct pf_unwind_image *image,
    struct pf_unwind_frame *frame, struct pf_unwind_regs *caller)
{
	uint64_t cfa, wanted = w->all ? PF_REG_BIT(PF_REG_COUNT) - 1 : FOLLOWED;

	if (!long_cfa(w, image, frame, &cfa))
		return false;
	if (!frame->signal && bp_is_popped(w, &frame->row, cfa))
		frame->row.reg[PF_REG_BP].kind = PF_RULE_SAME;
	caller->known = PF_REG_BIT(PF_REG_SP);
	caller->value[PF_REG_SP] = cfa;
	for (uint32_t reg = 0; reg < PF_REG_COUNT; reg++) {
		if (!(wanted & PF_REG_BIT(reg)) || reg == PF_REG_PC ||
		    (reg == PF_REG_SP && frame->row.reg[reg].kind == PF_RULE_SAME))
			continue;
		if (long_register(w, image, frame, reg, cfa, &caller->value[reg]))
			caller->known |= PF_REG_BIT(reg);
		else
			caller->known &= ~PF_REG_BIT(reg);
	}
	if (!long_register(w, image, frame, frame->return_column, cfa, &caller->value[PF_REG_PC]))
		return false;
	caller->known |= PF_REG_BIT(PF_REG_PC);
	return (caller->known & PF_REG_BIT(PF_REG_SP)) || stop(w, PF_UNWIND_BAD_MEMORY);
}

/* The registers that a signal interrupted, where the kernel keeps them. */
PF_INLINE bool signal_registers(struct walk *w, struct pf_unwind_regs *caller)
{
	uint64_t at = w->regs.value[PF_REG_SP] + PF_REG_SIGNAL_FRAME;

	for (uint32_t reg = 0; reg < PF_REG_COUNT; reg++) {
		if (!pf_unwind_load(&w->memory, at + 8 * reg, &caller->value[reg]))
			return stop(w, PF_UNWIND_BAD_MEMORY);
	}
	caller->known = PF_REG_BIT(PF_REG_COUNT) - 1;
	return true;
}

/* Interrupted anywhere: perhaps on another stack than the handler's. */
static PF_SIGSAFE void follow_interrupted(struct walk *w)
{
	uint64_t sp = w->regs.value[PF_REG_SP];

	if (sp >= w->memory.low && sp < w->memory.high)
		return;
	if (w->memory.copy || w->memory.remote) {
		w->memory = (struct pf_unwind_memory){.remote = true};
		w->memory.low = w->memory.high = sp - PF_REG_RED_ZONE;
	} else {
		pf_unwind_bounds(sp, &w->memory);
	}
}

/* To the caller by the whole row. */
static PF_SIGSAFE bool step_long(
    struct walk *w, struct pf_unwind_image *image, struct pf_unwind_frame *frame)
{
	struct pf_unwind_regs caller;
	uint64_t sp = w->regs.value[PF_REG_SP];
	bool leaf = w->first; /* it may have no frame at all: the return address in a register */

	if (frame->row.reg[frame->return_column].kind == PF_RULE_UNDEFINED)
		return stop(w, PF_UNWIND_ROOT);
	if (PF_REG_SIGNAL_FRAME && frame->signal ? !signal_registers(w, &caller)
						 : !long_registers(w, image, frame, &caller))
		return false;
	for (uint32_t reg = 0; reg < PF_REG_COUNT; reg++) {
		w->regs.value[reg] = caller.value[reg];
		__asm__ volatile("" ::: "memory"); /* stays a loop */
	}
	w->regs.known = caller.known & (w->all ? ~0ull : FOLLOWED);
	if (!go_on(w, caller.value[PF_REG_PC], caller.value[PF_REG_SP], frame->signal))
		return false;
	if (frame->signal) {
		follow_interrupted(w);
		return true;
	}
	if (w->regs.value[PF_REG_SP] < sp + !leaf)
		return stop(w, PF_UNWIND_LOOP);
	return true;
}

/* From a guessed frame on, modules are copied as in copied stacks. Not where the thread has a filter
 * of system calls: such a filter may end the program for process_vm_readv, and then announced closes
 * (pf_unwind_image_hold) are all that we are safe from. */
static PF_SIGSAFE void doubt(struct walk *w)
{
	enum { GET_SECCOMP = 21 }; /* PR_GET_SECCOMP of linux/prctl.h: 0 without a filter */

	if (w->doubtful || w->copies)
		return;
	w->doubtful = true;
	w->copies = pf_kernel(SYS_prctl, GET_SECCOMP, 0, 0, 0, 0, 0) == 0;
}

/* Eight bytes of what may be code. Asked of the kernel first: it may be anything else, and gone between
 * two instructions of ours. */
static PF_SIGSAFE bool read_code(const struct walk *w, uint64_t at, uint64_t *code)
{
	bool there;

	if (at < PF_PC_MARKER_END)
		return false;
	if (w->copies)
		return pf_unwind_memory_copy(at, code, sizeof(*code));
	if (!pf_unwind_image_hold())
		return false;
	there = pf_unwind_memory_probe(at);
	if (there)
		*code = pf_unwind_peek(at);
	pf_unwind_image_let_go();
	return there;
}

/* Is there a call in front of `pc`? */
static PF_SIGSAFE enum pf_code_call call_before(const struct walk *w, uint64_t pc, uint64_t *target)
{
	uint64_t code;

	if (pc < PF_CODE_BEFORE || !read_code(w, pc - PF_CODE_BEFORE, &code))
		return PF_CODE_NO_CALL;
	return pf_unwind_code_call((const uint8_t *)&code, pc, target);
}

/* The first instructions of a function, before it has made a frame: a stub that jumps on, or a jump
 * to where there is no code at all. Only where the caller says so itself: by a direct call of this
 * very place, or by any call when there is nothing else to believe in. */
static PF_SIGSAFE bool step_from_entry(struct walk *w)
{
	enum { STUB_BYTES = 32 };
	uint64_t pc = w->regs.value[PF_REG_PC], sp = w->regs.value[PF_REG_SP], back, target = 0;
	enum pf_code_call call;

	if (PF_REG_RETURN != PF_REG_PC) {
		if (!knows(w, PF_REG_RETURN))
			return false;
		back = pf_unwind_strip(w->regs.value[PF_REG_RETURN]);
	} else if (!pf_unwind_load(&w->memory, sp, &back)) {
		return false;
	} else {
		sp += 8;
	}
	call = call_before(w, back, &target);
	if (call == PF_CODE_NO_CALL)
		return false;
	if ((call != PF_CODE_CALL_DIRECT || pc - target >= STUB_BYTES) && pc >= PF_PC_MARKER_END &&
	    pf_unwind_memory_probe(pc))
		return false;
	w->regs.known &= FOLLOWED;
	go_on(w, back, sp, false);
	w->is_return = true;
	return true;
}

/* To the caller by the frame pointer: [bp] is the caller's bp, [bp + 8] the return address. */
static PF_SIGSAFE bool step_by_pointer(struct walk *w)
{
	uint64_t bp = w->regs.value[PF_REG_BP], above = bp - w->regs.value[PF_REG_SP];
	uint64_t pc, next, target;

	if (!knows(w, PF_REG_BP) || above > FRAME_BY_POINTER_MAX)
		return stop(w, PF_UNWIND_NO_INFO);
	/* Of a copied stack more may be had. */
	if (!pf_unwind_load(&w->memory, bp, &next) || !pf_unwind_load(&w->memory, bp + 8, &pc))
		return stop(w, w->memory.copy ? PF_UNWIND_BAD_MEMORY : PF_UNWIND_NO_INFO);
	pc = pf_unwind_strip(pc);
	if (pc != 0 && call_before(w, pc, &target) == PF_CODE_NO_CALL)
		return stop(w, PF_UNWIND_NO_INFO);
	w->regs.known &= FOLLOWED;
	w->regs.value[PF_REG_BP] = next;
	if (!go_on(w, pc, bp + 16, false))
		return false;
	w->is_return = true;
	return true;
}

/* Is this the kernel's way back from a handler, at its first or its second instruction? Machines that
 * keep the registers at a known place of the signal frame have it in the vdso, without unwind info
 * (aarch64 since Linux 5.8). */
static PF_SIGSAFE bool is_way_back(const struct walk *w)
{
	enum { FIRST_BYTES = 4 };
	uint64_t pc = w->regs.value[PF_REG_PC], code;

	if (!PF_REG_SIGNAL_FRAME || pc < FIRST_BYTES)
		return false;
	return (read_code(w, pc, &code) && code == PF_REG_SIGRETURN) ||
	       (read_code(w, pc - FIRST_BYTES, &code) && code == PF_REG_SIGRETURN);
}

static PF_SIGSAFE bool step_signal(struct walk *w)
{
	struct pf_unwind_regs caller;

	if (!emit(w, w->regs.value[PF_REG_PC]) || !signal_registers(w, &caller))
		return false;
	for (uint32_t reg = 0; reg < PF_REG_COUNT; reg++) {
		w->regs.value[reg] = caller.value[reg];
		__asm__ volatile("" ::: "memory"); /* stays a loop */
	}
	w->regs.known = caller.known & (w->all ? ~0ull : FOLLOWED);
	if (!go_on(w, caller.value[PF_REG_PC], caller.value[PF_REG_SP], true))
		return false;
	follow_interrupted(w);
	return true;
}

/* Code without unwind info: made at run time, or written by hand. */
static PF_SIGSAFE bool climb_without(struct walk *w)
{
	uint64_t pc = w->regs.value[PF_REG_PC], target;

	doubt(w);
	if (is_way_back(w))
		return step_signal(w);
	if (!w->exact && !w->is_return && call_before(w, pc, &target) == PF_CODE_NO_CALL)
		return stop(w, PF_UNWIND_NO_INFO); /* no call came from there: not a frame */
	if (w->look >= PF_PC_MARKER_END && !emit(w, w->look))
		return false;
	if (w->first && w->exact && step_from_entry(w))
		return true;
	return step_by_pointer(w);
}

/* A PC that the cache does not know. */
static PF_SIGSAFE bool climb_slowly(struct walk *w)
{
	struct pf_unwind_image image;
	struct pf_unwind_frame frame;
	uint32_t generation = __atomic_load_n(&pf_unwind_generation, __ATOMIC_ACQUIRE), row;
	enum pf_unwind_image_found found = pf_unwind_image_open(&image, w->look, w->copies);
	enum pf_unwind_row_found rule;
	bool on;

	if (found == PF_UNWIND_IMAGE_NONE)
		return climb_without(w);
	if (found == PF_UNWIND_IMAGE_CLOSING)
		return emit(w, w->look) && stop(w, PF_UNWIND_CLOSING);
	rule = pf_unwind_row_find(&image, w->look, &frame);
	if (rule == PF_UNWIND_ROW_NONE) {
		pf_unwind_image_close(&image);
		return climb_without(w);
	}
	/* The return address of a handler is the very start of the kernel's trampoline. */
	on = emit(w, frame.signal ? w->regs.value[PF_REG_PC] : w->look);
	if (on && rule == PF_UNWIND_ROW_REFUSED)
		on = stop(w, PF_UNWIND_REFUSED);
	row = on && !w->all ? pf_unwind_short_pack(&image, &frame) : SHORT_NONE;
	if (row != SHORT_NONE) {
		/* A copy may have been made of two modules, of which one took the other's place. */
		if (!image.copied || pf_unwind_image_is_there(&image, w->look))
			pf_unwind_cache_put(w->look, row, image.permanent, generation);
		on = step_short(w, row);
	} else if (on) {
		on = step_long(w, &image, &frame);
	}
	pf_unwind_image_close(&image);
	return on;
}

/* The short row of this frame, or SHORT_NONE. */
PF_INLINE uint32_t known_row(struct walk *w)
{
	uint32_t row = SHORT_NONE;
	bool permanent;

	if (w->recent) {
		pf_recent_note(w->recent, w->count, w->regs.value[PF_REG_SP]);
		row = pf_recent_get(w->recent, w->look);
	}
	if (row == SHORT_NONE) {
		row = pf_unwind_cache_get(w->look, &permanent);
		if (row != SHORT_NONE && permanent && w->recent)
			pf_recent_put(w->recent, w->look, row);
	}
	return row;
}

static PF_SIGSAFE void climb(struct walk *w, const struct pf_unwind_regs *regs,
    const struct pf_unwind_memory *memory, bool all)
{
	uint32_t row;
	bool on = true;

	for (uint32_t reg = 0; reg < PF_REG_COUNT; reg++) {
		w->regs.value[reg] = regs->value[reg];
		__asm__ volatile("" ::: "memory");
	}
	w->regs.known = regs->known;
	w->memory = *memory;
	w->copies = memory->copy != NULL;
	w->doubtful = false;
	w->all = all;
	w->count = 0;
	w->first = true;
	w->is_return = false;
	w->exact = !regs->pc_is_return;
	w->look = regs->value[PF_REG_PC] - regs->pc_is_return;
	while (on) {
		row = all ? SHORT_NONE : known_row(w);
		if (PF_LIKELY(row != SHORT_NONE))
			on = emit(w, w->look) && step_short(w, row);
		else
			on = climb_slowly(w);
	}
}

PF_SIGSAFE uint32_t pf_unwind_cfi_again(struct pf_unwind_recent *recent,
    const struct pf_unwind_regs *regs, const struct pf_unwind_memory *memory, uint64_t *out,
    uint32_t max, enum pf_unwind_end *end)
{
	struct walk w;

	w.out = out;
	w.max = max;
	w.recent = recent;
	if (recent)
		pf_recent_begin(recent, regs->value[PF_REG_SP]);
	climb(&w, regs, memory, false);
	if (recent)
		pf_recent_end(recent, w.count);
	if (w.end == PF_UNWIND_UNKNOWN_REGISTER && (regs->known & ~FOLLOWED) != 0)
		climb(&w, regs, memory, true);
	*end = w.end;
	if (pf_unwind_memory_is_fiber(&w.memory) &&
	    (w.end == PF_UNWIND_ROOT || w.end == PF_UNWIND_NO_INFO ||
		w.end == PF_UNWIND_BAD_MEMORY))
		*end = PF_UNWIND_FIBER;
	return w.count;
}

PF_SIGSAFE uint32_t pf_unwind_cfi(const struct pf_unwind_regs *regs,
    const struct pf_unwind_memory *memory, uint64_t *out, uint32_t max, enum pf_unwind_end *end)
{
	return pf_unwind_cfi_again(NULL, regs, memory, out, max, end);
}

PF_SIGSAFE void pf_unwind_flush(void)
{
	uint32_t now = __atomic_load_n(&pf_unwind_generation, __ATOMIC_RELAXED), next;

	do
		next = (now + 1) & PF_GENERATION_MASK;
	while (!__atomic_compare_exchange_n(
	    &pf_unwind_generation, &now, next, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	/* Rows of this generation's last turn, 128 closes ago, must not come to life again. */
	for (uint32_t i = 0; next == 0 && i < PF_COUNT(pf_unwind_cache); i++)
		__atomic_store_n(&pf_unwind_cache[i], 0, __ATOMIC_RELAXED);
}
