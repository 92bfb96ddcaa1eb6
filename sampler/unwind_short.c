#include "sampler/unwind_short.h"
#include "sampler/unwind_reader.h"

/* Does the expression say just `bp + offset`, or `*(bp + offset)` where that is asked for? */
static PF_SIGSAFE bool is_by_bp(struct pf_unwind_image *image, const struct pf_unwind_frame *frame,
    const struct pf_unwind_where *rule, bool dereferenced, int64_t *offset)
{
	enum { BREG0 = 0x70, DEREF = 0x06 };
	struct pf_unwind_reader in;
	uint64_t at = frame->base + (uint64_t)(int64_t)rule->value, size;

	pf_unwind_reader_init(&in, image, at, at + 8);
	size = pf_unwind_reader_uleb(&in) + pf_unwind_reader_where(&in) - at;
	if (in.failed || size > 8 || pf_unwind_reader_u8(&in) != BREG0 + PF_REG_BP)
		return false;
	*offset = pf_unwind_reader_sleb(&in);
	if (dereferenced && pf_unwind_reader_u8(&in) != DEREF)
		return false;
	return !in.failed && pf_unwind_reader_where(&in) == at + size;
}

PF_INLINE bool pack_bp(
    struct pf_unwind_image *image, const struct pf_unwind_frame *frame, uint32_t *bp)
{
	const struct pf_unwind_where *rule = &frame->row.reg[PF_REG_BP];
	int64_t offset = 0;

	if (rule->kind == PF_RULE_SAME)
		*bp = BP_SAME;
	else if (rule->kind == PF_RULE_UNDEFINED)
		*bp = BP_LOST;
	else if (rule->kind == PF_RULE_AT_CFA && rule->value % 8 == 0 && rule->value < 0 &&
		 rule->value >= -8 * BP_SLOT_MAX)
		*bp = (uint32_t)(-rule->value / 8);
	else if (rule->kind == PF_RULE_AT_EXPRESSION &&
		 is_by_bp(image, frame, rule, false, &offset) && offset == 0)
		*bp = BP_AT_BP;
	else
		return false;
	return true;
}

PF_INLINE bool pack_cfa(struct pf_unwind_image *image, const struct pf_unwind_frame *frame,
    uint32_t *kind, int64_t *offset)
{
	const struct pf_unwind_row *row = &frame->row;

	*offset = row->cfa.value;
	if (row->cfa.kind == PF_RULE_IS_CFA && row->cfa_register == PF_REG_SP)
		*kind = SHORT_FROM_SP;
	else if (row->cfa.kind == PF_RULE_IS_CFA && row->cfa_register == PF_REG_BP)
		*kind = SHORT_FROM_BP;
	else if (row->cfa.kind == PF_RULE_IS_EXPRESSION &&
		 is_by_bp(image, frame, &row->cfa, true, offset))
		*kind = SHORT_AT_BP;
	else
		return false;
	return *offset % PF_SHORT_UNIT == 0 && *offset / PF_SHORT_UNIT < (1 << (OFFSET_BITS - 1)) &&
	       *offset / PF_SHORT_UNIT >= -(1 << (OFFSET_BITS - 1));
}

/* Where a short row expects the return address: at CFA - 8; on aarch64 beside the saved bp, or, in
 * a leaf, nowhere but in its register. */
PF_INLINE bool pack_return(const struct pf_unwind_frame *frame, uint32_t *kind, uint32_t bp)
{
	const struct pf_unwind_where *rule = &frame->row.reg[PF_REG_RETURN];

	if (frame->return_column != PF_REG_RETURN)
		return false;
	if (PF_REG_RETURN == PF_REG_PC)
		return rule->kind == PF_RULE_AT_CFA && rule->value == -8;
	if (rule->kind == PF_RULE_SAME && bp == BP_SAME && *kind == SHORT_FROM_SP) {
		*kind = SHORT_LEAF;
		return true;
	}
	return rule->kind == PF_RULE_AT_CFA && bp >= 1 && bp <= BP_SLOT_MAX &&
	       rule->value == 8 - 8 * (int64_t)bp;
}

PF_SIGSAFE uint32_t pf_unwind_short_pack(
    struct pf_unwind_image *image, const struct pf_unwind_frame *frame)
{
	uint32_t kind, bp;
	int64_t offset;

	if (frame->signal)
		return SHORT_NONE;
	if (frame->row.reg[frame->return_column].kind == PF_RULE_UNDEFINED)
		return SHORT_ROOT;
	if (frame->row.reg[PF_REG_SP].kind != PF_RULE_SAME ||
	    !pack_cfa(image, frame, &kind, &offset) || !pack_bp(image, frame, &bp) ||
	    !pack_return(frame, &kind, bp))
		return SHORT_NONE;
	if (kind == SHORT_FROM_SP && bp == BP_AT_BP)
		bp = BP_SAME; /* see bp_is_popped in unwind_cfi.c */
	return ((uint32_t)(offset / PF_SHORT_UNIT) & ((1 << OFFSET_BITS) - 1)) << OFFSET_SHIFT |
	       bp << 3 | kind;
}
