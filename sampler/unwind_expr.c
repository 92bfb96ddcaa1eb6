#include "sampler/unwind_expr.h"
#include "sampler/unwind_memory.h"

enum { /* DWARF 5 section 7.7.1 */
	OP_ADDR = 0x03,
	OP_DEREF = 0x06,
	OP_CONST1U = 0x08, /* 1u 1s 2u 2s 4u 4s 8u 8s, then the two LEBs */
	OP_CONST8S = 0x0f,
	OP_CONSTU = 0x10,
	OP_CONSTS = 0x11,
	OP_DUP = 0x12,
	OP_DROP = 0x13,
	OP_OVER = 0x14,
	OP_PICK = 0x15,
	OP_SWAP = 0x16,
	OP_ROT = 0x17,
	OP_ABS = 0x19,
	OP_AND = 0x1a,
	OP_DIV = 0x1b,
	OP_MINUS = 0x1c,
	OP_MOD = 0x1d,
	OP_MUL = 0x1e,
	OP_NEG = 0x1f,
	OP_NOT = 0x20,
	OP_OR = 0x21,
	OP_PLUS = 0x22,
	OP_PLUS_UCONST = 0x23,
	OP_SHL = 0x24,
	OP_SHR = 0x25,
	OP_SHRA = 0x26,
	OP_XOR = 0x27,
	OP_BRA = 0x28,
	OP_EQ = 0x29,
	OP_GE = 0x2a,
	OP_GT = 0x2b,
	OP_LE = 0x2c,
	OP_LT = 0x2d,
	OP_NE = 0x2e,
	OP_SKIP = 0x2f,
	OP_LIT0 = 0x30,
	OP_LIT31 = 0x4f,
	OP_BREG0 = 0x70,
	OP_BREG31 = 0x8f,
	OP_BREGX = 0x92,
	OP_DEREF_SIZE = 0x94,
	OP_NOP = 0x96,
};

enum { DEPTH_MAX = 16, STEPS_MAX = 256 };

struct machine {
	struct pf_unwind_reader *code;
	const struct pf_unwind_regs *regs;
	struct pf_unwind_memory *memory;
	bool failed;
	enum pf_unwind_end why;
	unsigned depth;
	uint64_t stack[DEPTH_MAX];
	uint64_t start; /* of the code: branches may go back to it */
};

static PF_SIGSAFE void fail(struct machine *m, enum pf_unwind_end why)
{
	if (!m->failed)
		m->why = why;
	m->failed = true;
}

static PF_SIGSAFE void push(struct machine *m, uint64_t value)
{
	if (m->depth == DEPTH_MAX)
		fail(m, PF_UNWIND_REFUSED);
	else
		m->stack[m->depth++] = value;
}

/* The entry `below` the top, which a wrong expression may not have. */
static PF_SIGSAFE uint64_t peek(struct machine *m, uint64_t below)
{
	if (below < m->depth)
		return m->stack[m->depth - 1 - below];
	fail(m, PF_UNWIND_REFUSED);
	return 0;
}

static PF_SIGSAFE uint64_t pop(struct machine *m)
{
	uint64_t value = peek(m, 0);

	if (!m->failed)
		m->depth--;
	return value;
}

static PF_SIGSAFE void push_register(struct machine *m, uint64_t reg)
{
	uint64_t offset = (uint64_t)pf_unwind_reader_sleb(m->code);

	if (reg >= PF_REG_COUNT || !(m->regs->known & PF_REG_BIT(reg)))
		fail(m, PF_UNWIND_UNKNOWN_REGISTER);
	else
		push(m, m->regs->value[reg] + offset);
}

/* Loads `size` bytes (1, 2, 4, 8) of the eight-byte word that holds them. */
static PF_SIGSAFE void dereference(struct machine *m, unsigned size)
{
	uint64_t address = pop(m), word = 0, within = address & 7;

	if (m->failed)
		return;
	if ((size != 1 && size != 2 && size != 4 && size != 8) || within + size > 8) {
		fail(m, PF_UNWIND_REFUSED);
		return;
	}
	if (!pf_unwind_load(m->memory, address - within, &word)) {
		fail(m, PF_UNWIND_BAD_MEMORY);
		return;
	}
	word >>= 8 * within;
	push(m, size == 8 ? word : word & ((1ull << (8 * size)) - 1));
}

/* const1u ... const8s: the odd ones are signed. */
PF_INLINE void push_constant(struct machine *m, uint8_t op)
{
	unsigned size = 1u << ((op - OP_CONST1U) / 2), unused = 64 - 8 * size;
	uint64_t value = pf_unwind_reader_fixed(m->code, size) << unused;

	push(m, op & 1 ? (uint64_t)((int64_t)value >> unused) : value >> unused);
}

/* Loads, constants and registers; false: not one of them. */
static PF_SIGSAFE bool run_push(struct machine *m, uint8_t op)
{
	if (op >= OP_LIT0 && op <= OP_LIT31)
		push(m, op - OP_LIT0);
	else if (op >= OP_BREG0 && op <= OP_BREG31)
		push_register(m, op - OP_BREG0);
	else if (op == OP_BREGX)
		push_register(m, pf_unwind_reader_uleb(m->code));
	else if (op >= OP_CONST1U && op <= OP_CONST8S)
		push_constant(m, op);
	else if (op == OP_CONSTU)
		push(m, pf_unwind_reader_uleb(m->code));
	else if (op == OP_CONSTS)
		push(m, (uint64_t)pf_unwind_reader_sleb(m->code));
	else if (op == OP_ADDR)
		push(m, pf_unwind_reader_fixed(m->code, 8));
	else if (op == OP_DEREF)
		dereference(m, 8);
	else if (op == OP_DEREF_SIZE)
		dereference(m, pf_unwind_reader_u8(m->code));
	else if (op == OP_PLUS_UCONST)
		push(m, pop(m) + pf_unwind_reader_uleb(m->code));
	else
		return false;
	return true;
}

/* Moves on the machine's stack; false: not one of them. */
static PF_SIGSAFE bool run_shuffle(struct machine *m, uint8_t op)
{
	uint64_t a, b, c;

	if (op == OP_DUP) {
		push(m, peek(m, 0));
	} else if (op == OP_DROP) {
		pop(m);
	} else if (op == OP_OVER) {
		push(m, peek(m, 1));
	} else if (op == OP_PICK) {
		push(m, peek(m, pf_unwind_reader_u8(m->code)));
	} else if (op == OP_SWAP) {
		a = pop(m);
		b = pop(m);
		push(m, a);
		push(m, b);
	} else if (op == OP_ROT) { /* the top becomes the third */
		a = pop(m);
		b = pop(m);
		c = pop(m);
		push(m, a);
		push(m, c);
		push(m, b);
	} else {
		return false;
	}
	return true;
}

PF_INLINE uint64_t negative(uint64_t value)
{
	return 0 - value;
}

/* Of one operand; false: not one of them. */
PF_INLINE bool run_unary(struct machine *m, uint8_t op)
{
	uint64_t a;

	if (op != OP_ABS && op != OP_NEG && op != OP_NOT)
		return false;
	a = pop(m);
	if (op == OP_NOT)
		push(m, ~a);
	else
		push(m, op == OP_NEG || (int64_t)a < 0 ? negative(a) : a);
	return true;
}

PF_INLINE uint64_t divide(struct machine *m, uint64_t a, uint64_t b)
{
	if (b == 0) {
		fail(m, PF_UNWIND_REFUSED);
		return 0;
	}
	return b == UINT64_MAX ? negative(a) : (uint64_t)((int64_t)a / (int64_t)b);
}

PF_INLINE uint64_t compare(uint8_t op, int64_t a, int64_t b)
{
	if (op == OP_EQ)
		return a == b;
	if (op == OP_NE)
		return a != b;
	if (op == OP_GE)
		return a >= b;
	if (op == OP_GT)
		return a > b;
	return op == OP_LE ? a <= b : a < b;
}

/* Of two operands: `a` below, `b` on top; false: not one of them. */
static PF_SIGSAFE bool run_binary(struct machine *m, uint8_t op)
{
	uint64_t a, b, result;

	if (op < OP_AND || (op > OP_XOR && op < OP_EQ) || op > OP_NE)
		return false;
	b = pop(m);
	a = pop(m);
	if (op == OP_AND)
		result = a & b;
	else if (op == OP_OR)
		result = a | b;
	else if (op == OP_XOR)
		result = a ^ b;
	else if (op == OP_PLUS)
		result = a + b;
	else if (op == OP_MINUS)
		result = a - b;
	else if (op == OP_MUL)
		result = a * b;
	else if (op == OP_DIV)
		result = divide(m, a, b);
	else if (op == OP_MOD)
		result = b == 0 ? divide(m, a, b) : a % b;
	else if (op == OP_SHL)
		result = b < 64 ? a << b : 0;
	else if (op == OP_SHR)
		result = b < 64 ? a >> b : 0;
	else if (op == OP_SHRA)
		result = (uint64_t)((int64_t)a >> (b < 63 ? b : 63));
	else
		result = compare(op, (int64_t)a, (int64_t)b);
	push(m, result);
	return true;
}

/* skip and bra; false: neither. */
static PF_SIGSAFE bool run_branch(struct machine *m, uint8_t op)
{
	struct pf_unwind_reader *code = m->code;
	int16_t distance;
	uint64_t to;

	if (op != OP_SKIP && op != OP_BRA)
		return false;
	distance = (int16_t)pf_unwind_reader_fixed(code, 2);
	if (op == OP_BRA && pop(m) == 0)
		return true;
	to = pf_unwind_reader_where(code) + (uint64_t)(int64_t)distance;
	if (to < m->start || to > code->limit)
		fail(m, PF_UNWIND_REFUSED);
	else
		pf_unwind_reader_init(code, code->image, to, code->limit);
	return true;
}

PF_SIGSAFE bool pf_unwind_expr_run(struct pf_unwind_reader *code, const struct pf_unwind_regs *regs,
    struct pf_unwind_memory *memory, const uint64_t *first, uint64_t *out, enum pf_unwind_end *why)
{
	struct machine m;

	m.code = code;
	m.regs = regs;
	m.memory = memory;
	m.failed = false;
	m.why = PF_UNWIND_REFUSED;
	m.depth = 0;
	m.start = pf_unwind_reader_where(code);
	if (first)
		push(&m, *first);
	for (int step = 0; pf_unwind_reader_more(code) && !m.failed; step++) {
		uint8_t op = pf_unwind_reader_u8(code);

		if (step == STEPS_MAX)
			fail(&m, PF_UNWIND_REFUSED);
		else if (!run_push(&m, op) && !run_shuffle(&m, op) && !run_unary(&m, op) &&
			 !run_binary(&m, op) && !run_branch(&m, op) && op != OP_NOP)
			fail(&m, PF_UNWIND_REFUSED);
	}
	if (code->failed)
		fail(&m, PF_UNWIND_REFUSED);
	*out = pop(&m);
	*why = m.why;
	return !m.failed;
}
