#include "sampler/filter.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <string.h>

#if defined(__x86_64__)
enum { OUR_ARCHITECTURE = (int)AUDIT_ARCH_X86_64 };
#elif defined(__aarch64__)
enum { OUR_ARCHITECTURE = (int)AUDIT_ARCH_AARCH64 };
#endif

struct value {
	uint32_t is;
	bool known;
};

/* The two registers, as every way to an instruction leaves them. What is kept in the filter's memory
 * is not followed: read back, it may be anything. */
struct state {
	struct value a, x;
	bool reached;
};

static struct state states[BPF_MAXINSNS]; /* before each instruction; the one caller's */

static const struct value unknown = {0, false};

static struct value known(uint32_t is)
{
	return (struct value){is, true};
}

/* ---- what the kernel takes: seccomp_check_filter() and bpf_check_classic() ---- */

static bool is_known(uint16_t code)
{
	switch (code) {
	case BPF_LD | BPF_W | BPF_ABS:
	case BPF_LD | BPF_W | BPF_LEN:
	case BPF_LDX | BPF_W | BPF_LEN:
	case BPF_LD | BPF_IMM:
	case BPF_LDX | BPF_IMM:
	case BPF_LD | BPF_MEM:
	case BPF_LDX | BPF_MEM:
	case BPF_ST:
	case BPF_STX:
	case BPF_MISC | BPF_TAX:
	case BPF_MISC | BPF_TXA:
	case BPF_RET | BPF_K:
	case BPF_RET | BPF_A:
	case BPF_JMP | BPF_JA:
	case BPF_ALU | BPF_NEG:
		return true;
	default:
		if (BPF_CLASS(code) == BPF_ALU)
			return (code & ~0xff) == 0 && BPF_OP(code) <= BPF_XOR &&
			       BPF_OP(code) != BPF_NEG && BPF_OP(code) != BPF_MOD;
		return BPF_CLASS(code) == BPF_JMP && (code & ~0xff) == 0 &&
		       BPF_OP(code) >= BPF_JEQ && BPF_OP(code) <= BPF_JSET;
	}
}

static bool is_in_range(const struct sock_filter *i, size_t left)
{
	switch (i->code) {
	case BPF_LD | BPF_W | BPF_ABS:
		return i->k < sizeof(struct seccomp_data) && i->k % 4 == 0;
	case BPF_LD | BPF_MEM:
	case BPF_LDX | BPF_MEM:
	case BPF_ST:
	case BPF_STX:
		return i->k < BPF_MEMWORDS;
	case BPF_ALU | BPF_DIV | BPF_K:
		return i->k != 0;
	case BPF_ALU | BPF_LSH | BPF_K:
	case BPF_ALU | BPF_RSH | BPF_K:
		return i->k < 32;
	case BPF_JMP | BPF_JA:
		return i->k < left;
	default:
		return BPF_CLASS(i->code) != BPF_JMP || (i->jt < left && i->jf < left);
	}
}

bool pf_filter_is_one(const struct sock_filter *code, size_t count)
{
	if (count == 0 || count > BPF_MAXINSNS || BPF_CLASS(code[count - 1].code) != BPF_RET)
		return false;
	for (size_t at = 0; at < count; at++)
		if (!is_known(code[at].code) || !is_in_range(&code[at], count - at - 1))
			return false;
	return true;
}

/* ---- one instruction ---- */

/* A word of struct seccomp_data, as this machine (little end first) has it. */
static struct value word_of(const struct pf_filter_call *call, uint32_t at)
{
	uint32_t low = (uint32_t)offsetof(struct seccomp_data, args) + 8 * (call->told - 1);

	if (at == offsetof(struct seccomp_data, nr))
		return known(call->number);
	if (at == offsetof(struct seccomp_data, arch))
		return known((uint32_t)OUR_ARCHITECTURE);
	if (call->told && at == low)
		return known((uint32_t)call->argument);
	if (call->told && at == low + 4)
		return known((uint32_t)(call->argument >> 32));
	return unknown;
}

/* The right hand of an operation or a comparison. */
static struct value operand(const struct sock_filter *i, const struct state *s)
{
	return BPF_SRC(i->code) == BPF_X ? s->x : known(i->k);
}

/* False: it may divide by nothing, which ends the filter with a 0, and that is the end of a thread; or
 * there is no such operation. */
static bool compute(const struct sock_filter *i, struct state *s)
{
	struct value b = operand(i, s);
	struct value *a = &s->a;

	a->known = a->known && (b.known || BPF_OP(i->code) == BPF_NEG);
	switch (BPF_OP(i->code)) {
	case BPF_ADD:
		a->is += b.is;
		return true;
	case BPF_SUB:
		a->is -= b.is;
		return true;
	case BPF_MUL:
		a->is *= b.is;
		return true;
	case BPF_DIV:
		if (!b.known || b.is == 0)
			return false;
		a->is /= b.is;
		return true;
	case BPF_AND:
		a->is &= b.is;
		return true;
	case BPF_OR:
		a->is |= b.is;
		return true;
	case BPF_XOR:
		a->is ^= b.is;
		return true;
	case BPF_LSH:
		a->is <<= b.is & 31;
		return true;
	case BPF_RSH:
		a->is >>= b.is & 31;
		return true;
	case BPF_NEG:
		a->is = -a->is;
		return true;
	default:
		return false;
	}
}

static bool load(const struct sock_filter *i, const struct pf_filter_call *call, struct value *to)
{
	switch (BPF_MODE(i->code)) {
	case BPF_IMM:
		*to = known(i->k);
		return true;
	case BPF_ABS:
		*to = word_of(call, i->k);
		return true;
	case BPF_LEN:
		*to = known(sizeof(struct seccomp_data));
		return true;
	case BPF_MEM:
		*to = unknown;
		return true;
	default:
		return false;
	}
}

/* What the answer does to whoever made the call. */
static bool answer_ends(struct value answer)
{
	uint32_t action = answer.is & SECCOMP_RET_ACTION_FULL;

	if (!answer.known)
		return true;
	/* An errno of 0: the call is not made, and its caller is told that it was. */
	if (action == SECCOMP_RET_ERRNO)
		return (answer.is & SECCOMP_RET_DATA) == 0;
	return action != SECCOMP_RET_ALLOW && action != SECCOMP_RET_LOG;
}

/* ---- the ways ---- */

static struct value both(struct value a, struct value b)
{
	return a.known && b.known && a.is == b.is ? a : unknown;
}

/* A way leads to this instruction, too. False: it leads out of the filter. */
static bool go(size_t to, size_t count, const struct state *s)
{
	struct state *there;

	if (to >= count)
		return false;
	there = &states[to];
	if (there->reached) {
		there->a = both(there->a, s->a);
		there->x = both(there->x, s->x);
	} else {
		*there = *s;
	}
	return true;
}

static bool holds(const struct sock_filter *i, uint32_t a, uint32_t b)
{
	switch (BPF_OP(i->code)) {
	case BPF_JEQ:
		return a == b;
	case BPF_JGT:
		return a > b;
	case BPF_JGE:
		return a >= b;
	default:
		return a & b; /* BPF_JSET */
	}
}

static bool jump(const struct sock_filter *i, size_t at, size_t count, const struct state *s)
{
	struct value b = operand(i, s);

	if (BPF_OP(i->code) == BPF_JA)
		return go(at + 1 + i->k, count, s);
	if (BPF_OP(i->code) > BPF_JSET)
		return false;
	if (s->a.known && b.known)
		return go(at + 1 + (holds(i, s->a.is, b.is) ? i->jt : i->jf), count, s);
	return go(at + 1 + i->jt, count, s) && go(at + 1 + i->jf, count, s);
}

/* One that does not jump and does not answer. False: no such instruction. */
static bool act(const struct sock_filter *i, const struct pf_filter_call *call, struct state *s)
{
	switch (BPF_CLASS(i->code)) {
	case BPF_LD:
		return load(i, call, &s->a);
	case BPF_LDX:
		return load(i, call, &s->x);
	case BPF_ST:
	case BPF_STX:
		return true;
	case BPF_ALU:
		return compute(i, s);
	case BPF_MISC:
		if (i->code == (BPF_MISC | BPF_TAX))
			s->x = s->a;
		else
			s->a = s->x;
		return i->code == (BPF_MISC | BPF_TAX) || i->code == (BPF_MISC | BPF_TXA);
	default:
		return false;
	}
}

bool pf_filter_ends(const struct sock_filter *code, size_t count, const struct pf_filter_call *call)
{
	if (count == 0 || count > BPF_MAXINSNS)
		return true;
	memset(states, 0, count * sizeof(*states));
	states[0] = (struct state){known(0), known(0), true};
	for (size_t at = 0; at < count; at++) {
		const struct sock_filter *i = &code[at];
		struct state s = states[at];
		bool fine;

		if (!s.reached)
			continue;
		if (BPF_CLASS(i->code) == BPF_RET)
			fine = !answer_ends(BPF_RVAL(i->code) == BPF_A ? s.a : known(i->k));
		else if (BPF_CLASS(i->code) == BPF_JMP)
			fine = jump(i, at, count, &s);
		else
			fine = act(i, call, &s) && go(at + 1, count, &s);
		if (!fine)
			return true;
	}
	return false;
}
