/* Call sites and prologues of x86-64. (AMD64 Architecture Programmer's Manual, volume 3.) */
#if defined(__x86_64__)
#include "sampler/callsite.h"
#include "sampler/callsite_function.h"
#include "sampler/callsite_memo.h"
#include "sampler/x86_length.h"

#include <string.h>

/* The longest call is 8 bytes: with a prefix, ModRM, SIB and a 32-bit offset. */
enum { BEFORE = 8 };
enum { PROLOGUE_BYTES = 256, PROLOGUE_STEPS = 60 };
/* How much of a function is searched for jumps out of it, and how much of it is read at once. */
enum { SEARCH_BYTES = 4096, SEARCH_PIECE = 512, JUMP_BYTES = 5 };

/* ---- calls ---- */

/* Does an indirect call (FF /2) end at `end`? Every length it can have is tried. */
static bool is_indirect_call(const uint8_t *end)
{
	for (int length = 2; length <= 7; length++) {
		const uint8_t *at = end - length;

		if (at[0] == 0xff && (at[1] & 0x38) == 0x10 && pf_x86_length(at) == length)
			return true;
	}
	return false;
}

static bool is_same_function(uint64_t a, uint64_t b)
{
	uint64_t start = pf_callsite_function(a);

	return start && start == pf_callsite_function(b);
}

/* Where a jump through the linkage table leads: endbr64, bnd, jmp *slot(%rip). 0: no such stub. */
static uint64_t stub_target(uint64_t at)
{
	uint8_t code[16];
	const uint8_t *c = code;
	uint64_t target;
	int32_t offset;

	if (!pf_callsite_peek(at, code, sizeof(code)))
		return 0;
	if (memcmp(c, "\xf3\x0f\x1e\xfa", 4) == 0)
		c += 4;
	if (*c == 0xf2)
		c++;
	if (c[0] != 0xff || c[1] != 0x25)
		return 0;
	memcpy(&offset, c + 2, sizeof(offset));
	at += (uint64_t)(c - code) + 6 + (uint64_t)(int64_t)offset;
	return pf_callsite_peek(at, &target, sizeof(target)) ? target : 0;
}

static int64_t jump_target(const uint8_t *code, uint64_t at)
{
	bool jump = code[0] == 0xe9;
	bool conditional = code[-1] == 0x0f && (code[0] & 0xf0) == 0x80;
	int32_t offset;

	if (!jump && !conditional)
		return -1;
	memcpy(&offset, code + 1, sizeof(offset));
	return (int64_t)(at + JUMP_BYTES + (uint64_t)(int64_t)offset);
}

/* Does the function at `start` jump into the one that begins at `callee_start`? So are parts of a
 * function entered that the compiler has split off (.part.0, .cold), and last calls made. Bytes are
 * not told from instructions: by chance four of them hardly lead into just that function. */
static bool jumps_into(uint64_t start, uint64_t callee_start)
{
	uint8_t code[1 + SEARCH_PIECE + JUMP_BYTES] = {0};

	for (uint64_t from = start; from < start + SEARCH_BYTES; from += SEARCH_PIECE) {
		if (!pf_callsite_peek(from, code + 1, sizeof(code) - 1))
			return false;
		for (uint64_t i = 0; i < SEARCH_PIECE; i++) {
			int64_t target = jump_target(code + 1 + i, from + i);

			if (target < 0 || target - (int64_t)callee_start > SEARCH_BYTES ||
			    target < (int64_t)callee_start)
				continue;
			if (pf_callsite_function((uint64_t)target) == callee_start)
				return pf_callsite_function(from + i) == start;
		}
		if (pf_callsite_function(from + SEARCH_PIECE) != start)
			return false;
		code[0] = code[SEARCH_PIECE];
	}
	return false;
}

static bool is_known_to_jump(uint64_t start, uint64_t callee_start)
{
	struct pf_callsite_memo memo = pf_callsite_memo_of(PF_CALLSITE_JUMPS, start, callee_start);
	int64_t known;

	if (!pf_callsite_is_code(start))
		return jumps_into(start, callee_start);
	if (!pf_callsite_memo_get(memo, &known)) {
		known = jumps_into(start, callee_start);
		pf_callsite_memo_set(memo, known);
	}
	return known;
}

/* What a slot in memory leads to is for the moment, unless it leads where was asked. */
struct look {
	uint64_t return_address, callee;
	bool for_the_moment;
};

static enum pf_callsite look_at_direct(struct look *look, uint64_t target)
{
	uint64_t behind, start, callee = look->callee;

	if (!pf_callsite_is_code(target))
		return PF_CALLSITE_NONE;
	if (callee == PF_CALLSITE_ANY)
		return PF_CALLSITE_OTHER;
	if (is_same_function(target, callee))
		return PF_CALLSITE_MATCH;
	behind = stub_target(target);
	if (behind && is_same_function(behind, callee))
		return PF_CALLSITE_MATCH;
	start = pf_callsite_function(callee);
	if (start && is_known_to_jump(behind ? behind : target, start))
		return PF_CALLSITE_MATCH;
	look->for_the_moment = behind != 0;
	return PF_CALLSITE_OTHER;
}

static enum pf_callsite look_afresh(struct look *look)
{
	uint8_t code[BEFORE];
	const uint8_t *end = code + BEFORE;
	int32_t offset;
	uint64_t target;

	if (!pf_callsite_peek(look->return_address - BEFORE, code, BEFORE))
		return PF_CALLSITE_NONE;
	memcpy(&offset, end - 4, sizeof(offset));
	target = look->return_address + (uint64_t)(int64_t)offset;
	if (end[-5] == 0xe8) {
		enum pf_callsite site = look_at_direct(look, target);

		if (site != PF_CALLSITE_NONE)
			return site;
	}
	/* call *slot(%rip), as -fno-plt compiles it: the slot says whom. */
	if (end[-6] == 0xff && end[-5] == 0x15) {
		if (pf_callsite_peek(target, &target, sizeof(target)) &&
		    is_same_function(target, look->callee))
			return PF_CALLSITE_MATCH;
		look->for_the_moment = true;
		return PF_CALLSITE_INDIRECT;
	}
	return is_indirect_call(end) ? PF_CALLSITE_INDIRECT : PF_CALLSITE_NONE;
}

enum pf_callsite pf_callsite_look(uint64_t return_address, uint64_t callee)
{
	struct pf_callsite_memo memo =
	    pf_callsite_memo_of(PF_CALLSITE_CALL, return_address, callee);
	struct look look = {.return_address = return_address, .callee = callee};
	enum pf_callsite site;
	int64_t known;

	if (!pf_callsite_is_code(return_address - 1))
		return PF_CALLSITE_NONE;
	if (pf_callsite_memo_get(memo, &known))
		return (enum pf_callsite)known;
	site = look_afresh(&look);
	if (!look.for_the_moment)
		pf_callsite_memo_set(memo, site);
	return site;
}

/* mov $NUMBER,%eax; syscall. Functions that take the number from their caller are not read. */
int pf_callsite_syscall(uint64_t pc)
{
	uint8_t code[7];
	int32_t number;

	if (!pf_callsite_peek(pc - sizeof(code), code, sizeof(code)) || code[0] != 0xb8 ||
	    code[5] != 0x0f || code[6] != 0x05)
		return -1;
	memcpy(&number, code + 1, sizeof(number));
	return number;
}

static bool is_sigreturn(uint64_t pc)
{
	static const uint8_t body[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
	uint8_t code[sizeof(body) + 1];

	return pf_callsite_peek(pc, code, sizeof(code)) &&
	       (memcmp(code, body, sizeof(body)) == 0 || memcmp(code + 1, body, sizeof(body)) == 0);
}

bool pf_callsite_is_sigreturn(uint64_t pc)
{
	struct pf_callsite_memo memo = pf_callsite_memo_of(PF_CALLSITE_SIGRETURN, pc, 0);
	int64_t known;

	if (!pf_callsite_is_code(pc)) /* what the program has written itself may change */
		return is_sigreturn(pc);
	if (!pf_callsite_memo_get(memo, &known)) {
		known = is_sigreturn(pc);
		pf_callsite_memo_set(memo, known);
	}
	return known;
}

/* ---- prologues ---- */

static bool is_mov_rbp_rsp(const uint8_t *c)
{
	return c[0] == 0x48 && ((c[1] == 0x89 && c[2] == 0xe5) || (c[1] == 0x8b && c[2] == 0xec));
}

static bool is_push(const uint8_t *c, int length)
{
	return (length == 1 && c[0] >= 0x50 && c[0] <= 0x57) ||
	       (length == 2 && c[0] == 0x41 && c[1] >= 0x50 && c[1] <= 0x57);
}

/* sub $n,%rsp (or add of a negative): its n, else -1. */
static int64_t stack_taken(const uint8_t *c)
{
	int32_t n;

	if (c[0] != 0x48)
		return -1;
	if (c[1] == 0x83 && c[2] == 0xec)
		return (int8_t)c[3];
	if (c[1] == 0x83 && c[2] == 0xc4 && (int8_t)c[3] < 0)
		return -(int8_t)c[3];
	if (c[1] != 0x81 || c[2] != 0xec)
		return -1;
	memcpy(&n, c + 3, sizeof(n));
	return n;
}

static bool ends_prologue(const uint8_t *c)
{
	return c[0] == 0xe8 || c[0] == 0xe9 || c[0] == 0xeb || c[0] == 0xc3 ||
	       (c[0] & 0xf0) == 0x70 || (c[0] == 0x0f && (c[1] & 0xf0) == 0x80) ||
	       (c[0] == 0x48 && c[1] == 0x83 && c[2] == 0xe4); /* and: aligned, no constant */
}

/* Bytes between the frame pointer, once set, and the lowest of the pushes and the reservation. */
static int64_t decode_prologue(const uint8_t *code, size_t size)
{
	int64_t distance = -1;
	size_t at = 0;

	for (int step = 0; step < PROLOGUE_STEPS && at + 16 <= size; step++) {
		const uint8_t *c = code + at;
		int length = pf_x86_length(c);

		if (length == 0 || ends_prologue(c))
			break;
		if (is_mov_rbp_rsp(c))
			distance = 0;
		else if (distance >= 0 && is_push(c, length))
			distance += 8;
		else if (distance >= 0 && stack_taken(c) >= 0)
			return distance + stack_taken(c);
		at += (size_t)length;
	}
	return distance;
}

/* Arguments on the stack, which the caller takes off behind the call: add $n,%rsp or a pop. */
static int64_t arguments_behind(uint64_t return_address)
{
	uint8_t code[4];

	if (!pf_callsite_peek(return_address, code, sizeof(code)))
		return 0;
	if (code[0] == 0x48 && code[1] == 0x83 && code[2] == 0xc4 && (int8_t)code[3] > 0)
		return (int8_t)code[3];
	return code[0] >= 0x58 && code[0] <= 0x5f && code[0] != 0x5b && code[0] != 0x5d ? 8 : 0;
}

static int64_t frame_distance(uint64_t pc, bool exact)
{
	uint8_t code[PROLOGUE_BYTES + 16] = {0};
	uint64_t start = pf_callsite_function(pc);
	size_t size = PROLOGUE_BYTES;
	int64_t distance;

	if (!start || start >= pc)
		return -1;
	/* Only what has run by now: padded with zeros, where decoding ends. */
	if (pc - start < size)
		size = pc - start;
	if (!pf_callsite_peek(start, code, size))
		return -1;
	distance = decode_prologue(code, size + 16);
	if (distance >= 0 && !exact)
		distance += arguments_behind(pc + 1);
	return distance;
}

int64_t pf_callsite_frame_distance(uint64_t pc, bool exact)
{
	struct pf_callsite_memo memo = pf_callsite_memo_of(PF_CALLSITE_FRAME, pc, exact);
	int64_t distance;

	if (pf_callsite_memo_get(memo, &distance))
		return distance;
	distance = frame_distance(pc, exact);
	if (pf_callsite_is_code(pc))
		pf_callsite_memo_set(memo, distance);
	return distance;
}
#endif
