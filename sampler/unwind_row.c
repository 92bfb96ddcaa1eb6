#include "sampler/unwind_row.h"
#include "sampler/unwind_reader.h"

enum { /* the instructions of call frame information, DWARF 5 section 7.24 and LSB */
	CFA_NOP = 0x00,
	CFA_SET_LOC = 0x01,
	CFA_ADVANCE_LOC1 = 0x02,
	CFA_ADVANCE_LOC2 = 0x03,
	CFA_ADVANCE_LOC4 = 0x04,
	CFA_OFFSET_EXTENDED = 0x05,
	CFA_RESTORE_EXTENDED = 0x06,
	CFA_UNDEFINED = 0x07,
	CFA_SAME_VALUE = 0x08,
	CFA_REGISTER = 0x09,
	CFA_REMEMBER_STATE = 0x0a,
	CFA_RESTORE_STATE = 0x0b,
	CFA_DEF_CFA = 0x0c,
	CFA_DEF_CFA_REGISTER = 0x0d,
	CFA_DEF_CFA_OFFSET = 0x0e,
	CFA_DEF_CFA_EXPRESSION = 0x0f,
	CFA_EXPRESSION = 0x10,
	CFA_OFFSET_EXTENDED_SF = 0x11,
	CFA_DEF_CFA_SF = 0x12,
	CFA_DEF_CFA_OFFSET_SF = 0x13,
	CFA_VAL_OFFSET = 0x14,
	CFA_VAL_OFFSET_SF = 0x15,
	CFA_VAL_EXPRESSION = 0x16,
	CFA_NEGATE_RA_STATE =
	    0x2d, /* aarch64; on others GNU_window_save, which has no operand too */
	CFA_GNU_ARGS_SIZE = 0x2e,
	CFA_GNU_NEGATIVE_OFFSET = 0x2f,
	CFA_ADVANCE_LOC = 0x40, /* these three carry an operand in the low six bits */
	CFA_OFFSET = 0x80,
	CFA_RESTORE = 0xc0,
};

enum { REMEMBER_MAX = 6 }; /* gcc and clang nest one or two deep */

struct cie {
	uint64_t code_factor;
	int64_t data_factor;
	uint64_t code, limit; /* its instructions */
	uint8_t pointers;     /* encoding of the addresses in its FDEs */
	bool augmented;       /* the FDEs have a length and data before their instructions */
};

/* One run of instructions. */
struct run {
	struct pf_unwind_reader in;
	const struct cie *cie;
	struct pf_unwind_frame *frame;
	const struct pf_unwind_row *initial; /* as the CIE left it: what `restore` restores */
	uint64_t at, target;                 /* code addresses */
	bool refused;
	unsigned remembered;
	struct pf_unwind_row memory[REMEMBER_MAX];
};

/* Rows are copied word by word, so that no compiler makes a memcpy of it. */
static PF_SIGSAFE void copy_row(struct pf_unwind_row *to, const struct pf_unwind_row *from)
{
	to->cfa = from->cfa;
	to->cfa_register = from->cfa_register;
	for (int i = 0; i < PF_REG_COUNT; i++) {
		to->reg[i] = from->reg[i];
		__asm__ volatile("" ::: "memory");
	}
}

static PF_SIGSAFE void set_where(
    struct run *run, struct pf_unwind_where *where, enum pf_unwind_rule kind, int64_t value)
{
	where->kind = kind;
	where->value = (int32_t)value;
	if (where->value != value)
		run->refused = true;
}

/* Registers that we do not follow (vector registers of aarch64, say) may have any rule. */
PF_INLINE void set_reg(struct run *run, uint64_t reg, enum pf_unwind_rule kind, int64_t value)
{
	if (reg < PF_REG_COUNT)
		set_where(run, &run->frame->row.reg[reg], kind, value);
}

PF_INLINE void restore_reg(struct run *run, uint64_t reg)
{
	if (reg < PF_REG_COUNT)
		run->frame->row.reg[reg] = run->initial->reg[reg];
}

PF_INLINE void set_cfa(struct run *run, uint64_t reg, int64_t offset)
{
	run->frame->row.cfa_register = (uint32_t)reg;
	set_where(run, &run->frame->row.cfa, PF_RULE_IS_CFA, offset);
	if (reg >= PF_REG_COUNT)
		run->refused = true;
}

/* An expression stays where it is; we note how far from base. */
PF_INLINE int64_t take_expression(struct run *run)
{
	int64_t distance = (int64_t)(pf_unwind_reader_where(&run->in) - run->frame->base);

	pf_unwind_reader_skip(&run->in, pf_unwind_reader_uleb(&run->in));
	return distance;
}

PF_INLINE int64_t take_factored(struct run *run, bool is_signed)
{
	int64_t raw =
	    is_signed ? pf_unwind_reader_sleb(&run->in) : (int64_t)pf_unwind_reader_uleb(&run->in);

	return (int64_t)((uint64_t)raw * (uint64_t)run->cie->data_factor);
}

/* Rules of the CFA; false: not one of them. */
static PF_SIGSAFE bool apply_cfa(struct run *run, uint8_t op)
{
	struct pf_unwind_row *row = &run->frame->row;
	uint64_t reg;

	if (op == CFA_DEF_CFA_OFFSET) {
		set_cfa(run, row->cfa_register, (int64_t)pf_unwind_reader_uleb(&run->in));
	} else if (op == CFA_DEF_CFA) {
		reg = pf_unwind_reader_uleb(&run->in);
		set_cfa(run, reg, (int64_t)pf_unwind_reader_uleb(&run->in));
	} else if (op == CFA_DEF_CFA_REGISTER) {
		set_cfa(run, pf_unwind_reader_uleb(&run->in), row->cfa.value);
	} else if (op == CFA_DEF_CFA_EXPRESSION) {
		set_where(run, &row->cfa, PF_RULE_IS_EXPRESSION, take_expression(run));
	} else if (op == CFA_DEF_CFA_SF) {
		reg = pf_unwind_reader_uleb(&run->in);
		set_cfa(run, reg, take_factored(run, true));
	} else if (op == CFA_DEF_CFA_OFFSET_SF) {
		set_cfa(run, row->cfa_register, take_factored(run, true));
	} else {
		return false;
	}
	return true;
}

/* Rules of a register, its number first; false: not one of them. */
static PF_SIGSAFE bool apply_register(struct run *run, uint8_t op)
{
	uint64_t reg;

	if ((op < CFA_OFFSET_EXTENDED || op > CFA_REGISTER) && op != CFA_EXPRESSION &&
	    op != CFA_OFFSET_EXTENDED_SF && op != CFA_GNU_NEGATIVE_OFFSET &&
	    (op < CFA_VAL_OFFSET || op > CFA_VAL_EXPRESSION))
		return false;
	reg = pf_unwind_reader_uleb(&run->in);
	if (op == CFA_OFFSET_EXTENDED)
		set_reg(run, reg, PF_RULE_AT_CFA, take_factored(run, false));
	else if (op == CFA_RESTORE_EXTENDED)
		restore_reg(run, reg);
	else if (op == CFA_UNDEFINED)
		set_reg(run, reg, PF_RULE_UNDEFINED, 0);
	else if (op == CFA_SAME_VALUE)
		set_reg(run, reg, PF_RULE_SAME, 0);
	else if (op == CFA_REGISTER)
		set_reg(run, reg, PF_RULE_REGISTER, (int64_t)pf_unwind_reader_uleb(&run->in));
	else if (op == CFA_EXPRESSION)
		set_reg(run, reg, PF_RULE_AT_EXPRESSION, take_expression(run));
	else if (op == CFA_OFFSET_EXTENDED_SF)
		set_reg(run, reg, PF_RULE_AT_CFA, take_factored(run, true));
	else if (op == CFA_VAL_OFFSET)
		set_reg(run, reg, PF_RULE_IS_CFA, take_factored(run, false));
	else if (op == CFA_VAL_OFFSET_SF)
		set_reg(run, reg, PF_RULE_IS_CFA, take_factored(run, true));
	else if (op == CFA_VAL_EXPRESSION)
		set_reg(run, reg, PF_RULE_IS_EXPRESSION, take_expression(run));
	else
		set_reg(run, reg, PF_RULE_AT_CFA, -take_factored(run, false));
	return true;
}

/* Whole rows, and what changes nothing here; anything else is refused. */
static PF_SIGSAFE void apply_rest(struct run *run, uint8_t op)
{
	struct pf_unwind_row *row = &run->frame->row;

	if (op == CFA_REMEMBER_STATE && run->remembered < REMEMBER_MAX)
		copy_row(&run->memory[run->remembered++], row);
	else if (op == CFA_RESTORE_STATE && run->remembered > 0)
		copy_row(row, &run->memory[--run->remembered]);
	else if (op == CFA_GNU_ARGS_SIZE)
		pf_unwind_reader_uleb(&run->in);
	else if (op != CFA_NOP && op != CFA_NEGATE_RA_STATE)
		run->refused = true;
}

/* Moves on in the code; false when that is past the target: the row is the one in force there. */
static PF_SIGSAFE bool advance(struct run *run, uint8_t op)
{
	uint64_t to = run->at;

	if (op == CFA_SET_LOC)
		to = pf_unwind_reader_pointer(&run->in, run->cie->pointers);
	else if (op >= CFA_ADVANCE_LOC)
		to += (op & 0x3f) * run->cie->code_factor;
	else
		to += pf_unwind_reader_fixed(&run->in, 1u << (op - CFA_ADVANCE_LOC1)) *
		      run->cie->code_factor;
	if (to > run->target)
		return false;
	run->at = to;
	return true;
}

PF_INLINE bool is_advance(uint8_t op)
{
	return (op & 0xc0) == CFA_ADVANCE_LOC || (op >= CFA_SET_LOC && op <= CFA_ADVANCE_LOC4);
}

/* Runs the instructions; false when something is refused or cut off. */
static PF_SIGSAFE bool run_rules(struct run *run)
{
	while (pf_unwind_reader_more(&run->in) && !run->refused) {
		uint8_t op = pf_unwind_reader_u8(&run->in);

		if (is_advance(op)) {
			if (!advance(run, op))
				break;
		} else if ((op & 0xc0) == CFA_OFFSET) {
			set_reg(run, op & 0x3f, PF_RULE_AT_CFA, take_factored(run, false));
		} else if ((op & 0xc0) == CFA_RESTORE) {
			restore_reg(run, op & 0x3f);
		} else if (!apply_cfa(run, op) && !apply_register(run, op)) {
			apply_rest(run, op);
		}
	}
	return !run->in.failed && !run->refused;
}

/* Of a module's binary search table. */
struct entry {
	int32_t function, fde; /* from the table's header */
};

/* The entry of the function that the address lies in, or in the gap behind it. */
static PF_SIGSAFE bool find_entry(
    struct pf_unwind_image *image, uint64_t address, struct entry *found)
{
	enum { VERSION = 1, POINTER = 0x1b, COUNT = 0x03, TABLE = 0x3b };
	struct {
		uint8_t version, pointer, count, table;
		uint32_t eh_frame, entries;
	} header_room;
	struct entry entry_room;
	const struct entry *entry;
	const __typeof__(header_room) *header;
	int64_t wanted = (int64_t)(address - image->table);
	uint32_t low = 0, high;

	header = pf_unwind_image_view(image, image->table, &header_room, sizeof(header_room));
	if (image->table % sizeof(uint32_t) != 0 || !header || header->version != VERSION ||
	    header->pointer != POINTER || header->count != COUNT || header->table != TABLE)
		return false;
	high = header->entries;
	if (!pf_unwind_image_reach(image, image->table + 12, (uint64_t)high * sizeof(*entry)))
		return false;
	while (low < high) { /* the first one behind `wanted` */
		uint32_t middle = low + (high - low) / 2;

		entry = pf_unwind_image_view(image, image->table + 12 + middle * sizeof(*entry),
		    &entry_room, sizeof(*entry));
		if (!entry)
			return false;
		if (entry->function <= wanted)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return false;
	entry = pf_unwind_image_view(
	    image, image->table + 12 + (low - 1) * sizeof(*entry), &entry_room, sizeof(*entry));
	if (!entry)
		return false;
	*found = *entry;
	return true;
}

PF_SIGSAFE uint64_t pf_unwind_row_function(struct pf_unwind_image *image, uint64_t address)
{
	struct entry entry;

	return find_entry(image, address, &entry) ? image->table + (uint64_t)(int64_t)entry.function
						  : 0;
}

/* Opens the entry (CIE or FDE) at `at`, behind its length; false for what is none. */
static PF_SIGSAFE bool open_entry(
    struct pf_unwind_reader *in, struct pf_unwind_image *image, uint64_t at)
{
	uint32_t room, size;
	const void *length = pf_unwind_image_view(image, at, &room, sizeof(room));

	if (!length)
		return false;
	__builtin_memcpy(&size, length, sizeof(size)); /* perhaps at an odd address */
	if (size == 0 || size >= 0xfffffff0)
		return false;
	pf_unwind_reader_init(in, image, at + sizeof(room), at + sizeof(room) + size);
	return !in->failed;
}

/* What the letters of a CIE's augmentation announce; false for letters nobody told us of. */
PF_INLINE bool read_augmentation(struct pf_unwind_reader *in, struct pf_unwind_reader *letters,
    struct cie *cie, struct pf_unwind_frame *frame)
{
	uint8_t letter;

	while ((letter = pf_unwind_reader_u8(letters)) != 0) {
		if (letter == 'R')
			cie->pointers = pf_unwind_reader_u8(in);
		else if (letter == 'P') /* whom exceptions ask: not us; indirect or not */
			pf_unwind_reader_pointer(in, pf_unwind_reader_u8(in) & 0x7f);
		else if (letter == 'L')
			pf_unwind_reader_u8(in);
		else if (letter == 'S')
			frame->signal = true;
		else if (letter != 'B' && letter != 'G') /* aarch64: signed, tagged; no operand */
			return false;
	}
	return true;
}

static PF_SIGSAFE bool read_cie(
    struct pf_unwind_image *image, uint64_t at, struct cie *cie, struct pf_unwind_frame *frame)
{
	struct pf_unwind_reader in, letters;
	uint8_t version;
	uint64_t size;

	if (!open_entry(&in, image, at) || pf_unwind_reader_fixed(&in, 4) != 0)
		return false;
	version = pf_unwind_reader_u8(&in);
	if (version != 1 && version != 3 && version != 4)
		return false;
	letters = in;
	cie->augmented = pf_unwind_reader_u8(&letters) == 'z';
	while (pf_unwind_reader_u8(&in) != 0)
		; /* the letters, read again below when the numbers they announce are at hand */
	if (version == 4)
		pf_unwind_reader_fixed(&in, 2); /* address size, segment size */
	cie->code_factor = pf_unwind_reader_uleb(&in);
	cie->data_factor = pf_unwind_reader_sleb(&in);
	frame->return_column =
	    version == 1 ? pf_unwind_reader_u8(&in) : (uint32_t)pf_unwind_reader_uleb(&in);
	if (cie->augmented) {
		size = pf_unwind_reader_uleb(&in);
		cie->code = pf_unwind_reader_where(&in) + size;
		if (!read_augmentation(&in, &letters, cie, frame))
			return false;
	} else {
		cie->code = pf_unwind_reader_where(&in);
	}
	cie->limit = in.limit;
	return !in.failed && !letters.failed && frame->return_column < PF_REG_COUNT;
}

static PF_SIGSAFE void clear_frame(struct pf_unwind_frame *frame, uint64_t base)
{
	frame->base = base;
	frame->signal = false;
	frame->row.cfa.kind = PF_RULE_UNDEFINED;
	frame->row.cfa.value = 0;
	frame->row.cfa_register = 0;
	for (int i = 0; i < PF_REG_COUNT; i++) {
		frame->row.reg[i].kind = PF_RULE_SAME;
		frame->row.reg[i].value = 0;
		__asm__ volatile("" ::: "memory");
	}
}

/* First the CIE's instructions, then the FDE's up to the target. */
static PF_SIGSAFE bool interpret(struct pf_unwind_image *image, const struct cie *cie,
    struct pf_unwind_frame *frame, uint64_t code, uint64_t limit, uint64_t start, uint64_t target)
{
	struct pf_unwind_row initial;
	struct run run;

	run.cie = cie;
	run.frame = frame;
	run.initial = &frame->row; /* nothing to restore yet */
	run.refused = false;
	run.remembered = 0;
	run.at = run.target = 0;
	pf_unwind_reader_init(&run.in, image, cie->code, cie->limit);
	if (!run_rules(&run))
		return false;
	copy_row(&initial, &frame->row);
	run.initial = &initial;
	run.at = start;
	run.target = target;
	run.remembered = 0;
	pf_unwind_reader_init(&run.in, image, code, limit);
	return run_rules(&run) && frame->row.cfa.kind != PF_RULE_UNDEFINED;
}

PF_SIGSAFE enum pf_unwind_row_found pf_unwind_row_find(
    struct pf_unwind_image *image, uint64_t address, struct pf_unwind_frame *frame)
{
	struct pf_unwind_reader in;
	struct cie cie;
	struct entry entry;
	uint64_t fde, cie_at, start, size;

	if (!find_entry(image, address, &entry))
		return PF_UNWIND_ROW_NONE;
	fde = image->table + (uint64_t)(int64_t)entry.fde;
	clear_frame(frame, fde);
	cie.pointers = 0;
	if (!open_entry(&in, image, fde))
		return PF_UNWIND_ROW_REFUSED;
	cie_at = pf_unwind_reader_where(&in);
	cie_at -= pf_unwind_reader_fixed(&in, 4);
	uint64_t limit = in.limit, body = pf_unwind_reader_where(&in);

	if (in.failed || cie_at == body - 4 || !read_cie(image, cie_at, &cie, frame))
		return PF_UNWIND_ROW_REFUSED;
	pf_unwind_reader_init(&in, image, body, limit);
	start = pf_unwind_reader_pointer(&in, cie.pointers);
	size = pf_unwind_reader_pointer(&in, cie.pointers & 0x0f);
	if (in.failed)
		return PF_UNWIND_ROW_REFUSED;
	if (address - start >= size)
		return PF_UNWIND_ROW_NONE; /* a gap between two functions */
	if (cie.augmented)
		pf_unwind_reader_skip(&in, pf_unwind_reader_uleb(&in));
	body = pf_unwind_reader_where(&in);
	if (in.failed || !interpret(image, &cie, frame, body, limit, start, address))
		return PF_UNWIND_ROW_REFUSED;
	return PF_UNWIND_ROW_OK;
}
