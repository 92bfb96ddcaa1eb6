/* A machine of three registers and four words of stack frame, for functions like
 *
 *     mov 0x8(%rdi),%rax; ret            return text_.c_str();         (-O2)
 *     lea 0xcbd(%rip),%rax; ret          return "no such file";
 *     push %rbp; mov %rsp,%rbp; mov %rdi,-8(%rbp); ... call c_str; leave; ret       (-O0)
 */
#if defined(__x86_64__)
#include "base/mark.h"
#include "sampler/throw_message.h"
#include "sampler/throw_what.h"

#include <stddef.h>

enum { STEPS_MAX = 64, CALLS_MAX = 3, FRAME_WORDS = 8 };

struct machine {
	const uint8_t *at;
	uint64_t rax, rdi, object;
	bool rax_known;
	uint64_t frame[FRAME_WORDS]; /* -8(%rbp), -16(%rbp) ... of the function at hand */
	struct {
		const uint8_t *back;
		uint64_t frame[FRAME_WORDS];
	} calls[CALLS_MAX];
	int depth;
};

enum verdict { UNKNOWN, GOES_ON, RETURNS };

static PF_HOOK int64_t number(const uint8_t *at, int bytes)
{
	int64_t value = (int8_t)at[bytes - 1];

	for (int i = bytes - 2; i >= 0; i--)
		value = (int64_t)((uint64_t)value << 8 | at[i]);
	return value;
}

/* Members of the object are there; what they point to has to be asked for. */
static PF_HOOK bool load(const struct machine *m, uint64_t address, uint64_t *value)
{
	if (address - m->object >= 256 && !pf_throw_readable((const void *)(uintptr_t)address))
		return false;
	*value = *(const uint64_t *)(uintptr_t)address;
	return true;
}

static PF_HOOK uint64_t *frame_word(struct machine *m, int64_t offset)
{
	if (offset >= 0 || offset % 8 != 0 || -offset / 8 > FRAME_WORDS)
		return NULL;
	return &m->frame[-offset / 8 - 1];
}

/* The address that a ModRM byte names: rax, rdi, rip, or the sum of the first two, and a number. */
static PF_HOOK bool address_of(
    struct machine *m, const uint8_t *modrm, uint64_t *address, int *length)
{
	int mode = *modrm >> 6, base = *modrm & 7, at = 1;
	int bytes = mode == 1 ? 1 : mode == 2 ? 4 : 0;

	if (mode == 3)
		return false;
	if (mode == 0 && base == 5) {
		bytes = 4;
		*address = (uint64_t)(modrm + 5);
	} else if (base == 7) {
		*address = m->rdi;
	} else if (base == 0 && m->rax_known) {
		*address = m->rax;
	} else if (base == 4 && m->rax_known && (modrm[1] == 0x07 || modrm[1] == 0x38)) {
		*address = m->rax + m->rdi;
		at = 2;
	} else {
		return false;
	}
	if (bytes)
		*address += (uint64_t)number(modrm + at, bytes);
	*length = at + bytes;
	return true;
}

/* 48 8b and 48 8d: mov and lea into rax or rdi. */
static PF_HOOK enum verdict move(struct machine *m, bool reads)
{
	const uint8_t *modrm = m->at + 2;
	int to = *modrm >> 3 & 7, length = 0;
	uint64_t *in_frame, value;

	if (to != 0 && to != 7)
		return UNKNOWN;
	if (*modrm >> 6 == 1 && (*modrm & 7) == 5) { /* from the frame */
		in_frame = frame_word(m, number(modrm + 1, 1));
		if (!in_frame || !reads)
			return UNKNOWN;
		value = *in_frame;
		length = 2;
	} else if (!address_of(m, modrm, &value, &length) || (reads && !load(m, value, &value))) {
		return UNKNOWN;
	}
	if (to == 0) {
		m->rax = value;
		m->rax_known = true;
	} else {
		m->rdi = value;
	}
	m->at += 2 + length;
	return GOES_ON;
}

/* 48 89: mov from rdi or rax into the frame, or between the two; mov %rsp,%rbp. */
static PF_HOOK enum verdict store(struct machine *m)
{
	uint8_t modrm = m->at[2];
	uint64_t *in_frame;

	if (modrm == 0xe5) {
		m->at += 3;
		return GOES_ON;
	}
	if (modrm == 0xc7 || modrm == 0xf8) { /* rax to rdi, rdi to rax */
		if (modrm == 0xc7 && !m->rax_known)
			return UNKNOWN;
		*(modrm == 0xc7 ? &m->rdi : &m->rax) = modrm == 0xc7 ? m->rax : m->rdi;
		m->rax_known = true;
		m->at += 3;
		return GOES_ON;
	}
	if (modrm != 0x7d && !(modrm == 0x45 && m->rax_known))
		return UNKNOWN;
	in_frame = frame_word(m, number(m->at + 3, 1));
	if (!in_frame)
		return UNKNOWN;
	*in_frame = modrm == 0x7d ? m->rdi : m->rax;
	m->at += 4;
	return GOES_ON;
}

/* 48 83 and 48 81: add and sub of a number. */
static PF_HOOK enum verdict add(struct machine *m)
{
	int bytes = m->at[1] == 0x83 ? 1 : 4;
	uint8_t modrm = m->at[2];
	uint64_t by = (uint64_t)number(m->at + 3, bytes);

	m->at += 3 + bytes;
	if (modrm == 0xec || modrm == 0xc4)
		return GOES_ON; /* the stack pointer: room for the frame */
	if (modrm == 0xc0 && m->rax_known)
		m->rax += by;
	else if (modrm == 0xc7)
		m->rdi += by;
	else if (modrm == 0xef)
		m->rdi -= by;
	else
		return UNKNOWN;
	return GOES_ON;
}

/* 48 03 78: add of what rax points at to rdi, the thunk of a virtual base. */
static PF_HOOK enum verdict add_loaded(struct machine *m)
{
	uint64_t address, by;
	int length;

	if ((m->at[2] >> 3 & 7) != 7 || !address_of(m, m->at + 2, &address, &length) ||
	    !load(m, address, &by))
		return UNKNOWN;
	m->rdi += by;
	m->at += 2 + length;
	return GOES_ON;
}

static PF_HOOK enum verdict call(struct machine *m)
{
	if (m->depth == CALLS_MAX)
		return UNKNOWN;
	m->calls[m->depth].back = m->at + 5;
	for (int i = 0; i < FRAME_WORDS; i++)
		m->calls[m->depth].frame[i] = m->frame[i];
	m->depth++;
	m->at += 5 + number(m->at + 1, 4);
	return GOES_ON;
}

static PF_HOOK enum verdict back(struct machine *m)
{
	if (m->depth == 0)
		return m->rax_known ? RETURNS : UNKNOWN;
	m->depth--;
	m->at = m->calls[m->depth].back;
	for (int i = 0; i < FRAME_WORDS; i++)
		m->frame[i] = m->calls[m->depth].frame[i];
	return GOES_ON;
}

static PF_HOOK bool starts_with(const char *text, const char *start)
{
	while (*start && *text == *start)
		text++, start++;
	return !*start;
}

/* ff 25: through a slot, as a PLT entry does. */
static PF_HOOK enum verdict jump_through(struct machine *m, const uint8_t *at)
{
	const uint64_t *slot = (const uint64_t *)(const void *)(at + 6 + number(at + 2, 4));

	m->at = (const uint8_t *)(uintptr_t)*slot;
	return GOES_ON;
}

/* A PLT entry before its first call pushes the number of its relocation. Two of the functions that
 * may be behind it are known by name: std::string's c_str() and data(), which read its first word. */
static PF_HOOK enum verdict call_unbound(struct machine *m)
{
	static const char start[] = "_ZNKSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE";
	const char *name = pf_throw_plt_name(m->at, (uint32_t)number(m->at + 1, 4));
	size_t i = 0;

	while (name && start[i] && name[i] == start[i])
		i++;
	if (!name || start[i] ||
	    !(starts_with(name + i, "5c_strEv") || starts_with(name + i, "4dataEv")) ||
	    !load(m, m->rdi, &m->rax))
		return UNKNOWN;
	m->rax_known = true;
	return back(m);
}

static PF_HOOK bool starts(const uint8_t *at, uint8_t a, uint8_t b)
{
	return at[0] == a && at[1] == b;
}

static PF_HOOK enum verdict step(struct machine *m)
{
	const uint8_t *at = m->at;

	if (starts(at, 0x48, 0x8b) || starts(at, 0x48, 0x8d))
		return move(m, at[1] == 0x8b);
	if (starts(at, 0x48, 0x89))
		return store(m);
	if (starts(at, 0x48, 0x83) || starts(at, 0x48, 0x81))
		return add(m);
	if (starts(at, 0x48, 0x03))
		return add_loaded(m);
	if (at[0] == 0xc3)
		return back(m);
	if (at[0] == 0xe8)
		return call(m);
	if (at[0] == 0x68)
		return call_unbound(m);
	if (starts(at, 0xff, 0x25))
		return jump_through(m, at);
	if (starts(at, 0xf2, 0xff) && at[2] == 0x25)
		return jump_through(m, at + 1);
	if (at[0] == 0xb8) { /* mov $number,%eax */
		m->rax = (uint32_t)number(at + 1, 4);
		m->rax_known = true;
		m->at += 5;
		return GOES_ON;
	}
	if (starts(at, 0xf3, 0x0f) && at[2] == 0x1e && at[3] == 0xfa)
		m->at += 4; /* endbr64 */
	else if (at[0] == 0xe9)
		m->at += 5 + number(at + 1, 4);
	else if (at[0] == 0xeb)
		m->at += 2 + number(at + 1, 1);
	else if (at[0] == 0x55 || at[0] == 0x5d || at[0] == 0xc9 || at[0] == 0x90)
		m->at++; /* push %rbp, pop %rbp, leave, nop */
	else
		return UNKNOWN;
	return GOES_ON;
}

PF_HOOK bool pf_throw_what(const void *function, const void *object, uint64_t *result)
{
	struct machine m;
	enum verdict verdict = GOES_ON;

	m.at = function;
	m.rdi = m.object = (uint64_t)(uintptr_t)object;
	m.rax = 0;
	m.rax_known = false;
	m.depth = 0;
	for (int i = 0; i < FRAME_WORDS; i++)
		m.frame[i] = 0;
	for (int i = 0; i < STEPS_MAX && verdict == GOES_ON; i++)
		verdict = step(&m);
	*result = m.rax;
	return verdict == RETURNS;
}
#endif
