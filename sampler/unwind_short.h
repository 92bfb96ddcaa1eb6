/* Unwind short: what nearly every row says, in 22 bits. Inside the unwinder only.
 *
 *   21           8 7    3 2  0     bp: 0 same, 1..29 saved at CFA - 8*bp, 30 at *bp, 31 lost
 *   [ CFA offset ] [ bp ] [kind]   (on aarch64 bp has three bits more, the offset three less)
 *
 * The return address is at CFA - 8; on aarch64 beside the saved bp. Zero is no row.
 */
#pragma once
#include "sampler/unwind_cache.h"
#include "sampler/unwind_row.h"

enum { /* its kind */
	SHORT_NONE,
	SHORT_FROM_SP, /* CFA = sp + offset */
	SHORT_FROM_BP, /* CFA = bp + offset */
	SHORT_AT_BP,   /* CFA = *(bp + offset): a realigned stack */
	SHORT_ROOT,
	SHORT_LEAF, /* CFA = sp + offset, and the return address is still in its register */
};
enum { /* its bp */
	BP_SAME = 0,
	BP_LOST = (1 << PF_SHORT_BP_BITS) - 1,
	BP_AT_BP = BP_LOST - 1,
	BP_SLOT_MAX = BP_LOST - 2,
};
enum { OFFSET_SHIFT = 3 + PF_SHORT_BP_BITS, OFFSET_BITS = PF_SHORT_BITS - OFFSET_SHIFT };

/* The short row of a frame, or SHORT_NONE when it takes a long step. PF_SIGSAFE. */
uint32_t pf_unwind_short_pack(struct pf_unwind_image *image, const struct pf_unwind_frame *frame);
