/* Tables of the AMD64 manual, volume 3, appendix A: one character per opcode says what follows it.
 *
 *   .  nothing    m  ModRM    b  8 bits    w  16 bits    z  32 bits (16 with prefix 66)
 *   M  ModRM and 8 bits       Z  ModRM and 32 bits (16)  v  as z, but 64 bits with REX.W
 *   t  ModRM, and 8 bits when it is the /0 or /1 form    T  the same with 32 bits (16)
 *   ?  not decoded (invalid in 64-bit mode, or not written by compilers)
 */
#if defined(__x86_64__)
#include "sampler/x86_length.h"

#include <stdbool.h>

static const char one_byte[] =
    "mmmmbz??mmmmbz??"  /* 00: add or (0f: two_byte) */
    "mmmmbz??mmmmbz??"  /* 10: adc sbb */
    "mmmmbz??mmmmbz??"  /* 20: and sub */
    "mmmmbz??mmmmbz??"  /* 30: xor cmp */
    "????????????????"  /* 40: REX */
    "................"  /* 50: push pop */
    "???m????zZbM????"  /* 60: movslq push imul */
    "bbbbbbbbbbbbbbbb"  /* 70: jcc */
    "MZ?Mmmmmmmmmmmm?"  /* 80: group 1, test xchg mov lea (8f: also XOP) */
    "..........?....."  /* 90: xchg cltq pushf */
    "????....bz......"  /* a0: movs cmps test stos lods scas */
    "bbbbbbbbvvvvvvvv"  /* b0: mov */
    "MMw.??MZ?.??.b??"  /* c0: shifts ret mov leave int */
    "mmmm???.mmmmmmmm"  /* d0: shifts, x87 */
    "bbbb????zz?b????"  /* e0: loop call jmp */
    "????..tT..??..mm"; /* f0: hlt group 3, clc.. group 4 5 */

static const char two_byte[] = "mm?m?.?...?.?m??"  /* 0f 00: syscall ud2 prefetch */
			       "mmmmmmmmmmmmmmmm"  /* 10: movups.. nop */
			       "????????mmmmmmmm"  /* 20: movaps cvt */
			       ".............???"  /* 30: rdtsc.. (38, 3a: three-byte) */
			       "mmmmmmmmmmmmmmmm"  /* 40: cmov */
			       "mmmmmmmmmmmmmmmm"  /* 50: sse */
			       "mmmmmmmmmmmmmmmm"  /* 60: sse */
			       "MMMMmmm.mmmmmmmm"  /* 70: pshuf shifts */
			       "zzzzzzzzzzzzzzzz"  /* 80: jcc */
			       "mmmmmmmmmmmmmmmm"  /* 90: setcc */
			       "...mMm??...mMmmm"  /* a0: cpuid bt shld.. imul */
			       "mmmmmmmmmmMmmmmm"  /* b0: cmpxchg movz bts popcnt */
			       "mmMmMMMm........"  /* c0: xadd cmpps shufps bswap */
			       "mmmmmmmmmmmmmmmm"  /* d0: sse */
			       "mmmmmmmmmmmmmmmm"  /* e0: sse */
			       "mmmmmmmmmmmmmmmm"; /* f0: sse */

struct cursor {
	const uint8_t *at;
	bool short_operand; /* prefix 66 */
	bool wide;          /* REX.W */
};

/* ModRM, SIB and displacement. */
static void skip_operand(struct cursor *c)
{
	uint8_t modrm = *c->at++;
	int mode = modrm >> 6;
	int place = modrm & 7;

	if (mode == 3)
		return;
	if (place == 4) {
		uint8_t sib = *c->at++;

		if (mode == 0 && (sib & 7) == 5)
			c->at += 4;
	} else if (mode == 0 && place == 5) {
		c->at += 4;
	}
	c->at += mode == 1 ? 1 : mode == 2 ? 4 : 0;
}

static int number_size(const struct cursor *c)
{
	return c->short_operand && !c->wide ? 2 : 4;
}

/* What follows the opcode; false: not known. */
static bool skip_rest(struct cursor *c, char form)
{
	bool first_two = (*c->at & 0x38) < 0x10;

	if (form == '?')
		return false;
	if (form == 'm' || form == 'M' || form == 'Z' || form == 't' || form == 'T')
		skip_operand(c);
	if (form == 'b' || form == 'M' || (form == 't' && first_two))
		c->at += 1;
	else if (form == 'w')
		c->at += 2;
	else if (form == 'z' || form == 'Z' || (form == 'T' && first_two))
		c->at += number_size(c);
	else if (form == 'v')
		c->at += c->wide ? 8 : number_size(c);
	return true;
}

static bool skip_prefixes(struct cursor *c)
{
	const uint8_t *end = c->at + 4;

	for (; c->at < end; c->at++) {
		if (*c->at == 0x66)
			c->short_operand = true;
		else if (*c->at != 0xf0 && *c->at != 0xf2 && *c->at != 0xf3 && *c->at != 0x2e &&
			 *c->at != 0x3e && *c->at != 0x64 && *c->at != 0x65 && *c->at != 0x67)
			return true;
	}
	return false;
}

/* VEX: two or three bytes, then an opcode of map 1 (as 0f), 2 (no number) or 3 (8 bits). */
static bool skip_vex(struct cursor *c)
{
	int map = 1;
	uint8_t opcode;

	if (*c->at++ == 0xc4)
		map = *c->at++ & 0x1f;
	c->at++;
	opcode = *c->at++;
	if (map == 1)
		return opcode == 0x77 || skip_rest(c, two_byte[opcode]);
	return (map == 2 && skip_rest(c, 'm')) || (map == 3 && skip_rest(c, 'M'));
}

/* EVEX: four bytes, then an opcode of map 1 (as 0f), 3 (8 bits), or others (no number). */
static bool skip_evex(struct cursor *c)
{
	int map = c->at[1] & 7;
	uint8_t opcode = c->at[4];

	c->at += 5;
	return skip_rest(c, map == 1 ? two_byte[opcode] : map == 3 ? 'M' : 'm');
}

static bool skip_two_byte(struct cursor *c)
{
	uint8_t opcode = *c->at++;

	if (opcode == 0x38 || opcode == 0x3a) {
		c->at++;
		return skip_rest(c, opcode == 0x38 ? 'm' : 'M');
	}
	return skip_rest(c, two_byte[opcode]);
}

int pf_x86_length(const uint8_t *code)
{
	struct cursor c = {.at = code};
	uint8_t opcode;
	bool known;

	if (!skip_prefixes(&c))
		return 0;
	if ((*c.at & 0xf0) == 0x40)
		c.wide = *c.at++ & 8;
	opcode = *c.at;
	if (opcode == 0xc4 || opcode == 0xc5) {
		known = skip_vex(&c);
	} else if (opcode == 0x62) {
		known = skip_evex(&c);
	} else {
		c.at++;
		known = opcode == 0x0f ? skip_two_byte(&c) : skip_rest(&c, one_byte[opcode]);
	}
	return known ? (int)(c.at - code) : 0;
}
#endif
