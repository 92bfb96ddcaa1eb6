/* Unwind row: what the call frame information says about one PC. Where the frame begins (its CFA)
 * and where each register of the caller is. Inside the unwinder only.
 *
 *   .eh_frame_hdr --search--> FDE (one function) --> CIE (what its kind has in common)
 *                              `--- instructions, run up to the PC ---> row
 */
#pragma once
#include "sampler/unwind.h"
#include "sampler/unwind_image.h"

enum pf_unwind_rule {
	PF_RULE_SAME, /* also where nothing is said, as libgcc and libunwind take it */
	PF_RULE_UNDEFINED,
	PF_RULE_AT_CFA,        /* saved at CFA + offset */
	PF_RULE_IS_CFA,        /* is CFA + offset */
	PF_RULE_REGISTER,      /* is in another register */
	PF_RULE_AT_EXPRESSION, /* saved at what the expression says */
	PF_RULE_IS_EXPRESSION,
};

/* Kind in 3 bits, the rest one number: small, since rows are copied by remember_state. */
struct pf_unwind_where {
	uint32_t kind : 3;
	int32_t value : 29; /* an offset, a register, or an expression's distance from row.base */
};

struct pf_unwind_row {
	struct pf_unwind_where cfa; /* IS_CFA: cfa_register + value; AT_EXPRESSION: as IS_ */
	uint32_t cfa_register;
	struct pf_unwind_where reg[PF_REG_COUNT];
};

/* The function a row belongs to, as far as the walk needs it. */
struct pf_unwind_frame {
	struct pf_unwind_row row;
	uint64_t base;          /* what expressions are counted from */
	uint32_t return_column; /* the register that holds the return address */
	bool signal; /* the kernel made this frame: its caller was interrupted anywhere */
};

enum pf_unwind_row_found {
	PF_UNWIND_ROW_NONE,
	PF_UNWIND_ROW_OK,
	PF_UNWIND_ROW_REFUSED, /* something in it that we do not interpret */
};

/* The row of a code address in its module. PF_SIGSAFE. */
enum pf_unwind_row_found pf_unwind_row_find(
    struct pf_unwind_image *image, uint64_t address, struct pf_unwind_frame *frame);

/* Where the function begins that the address lies in (or in the gap behind it), by the module's search table
 * alone; 0: it has none that we read. PF_SIGSAFE. */
uint64_t pf_unwind_row_function(struct pf_unwind_image *image, uint64_t address);
