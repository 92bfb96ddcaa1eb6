/* Code without unwind info (JIT, hand-written assembly): is this really a return address? The
 * instruction before it must be a call. Inside the unwinder only. */
#pragma once
#include <stdint.h>

enum { PF_CODE_BEFORE = 8 }; /* bytes before a return address that are looked at */

enum pf_code_call { PF_CODE_NO_CALL, PF_CODE_CALL_INDIRECT, PF_CODE_CALL_DIRECT };

/* What the PF_CODE_BEFORE bytes that end at `return_address` end with; the target of a direct
 * call. PF_SIGSAFE. */
enum pf_code_call pf_unwind_code_call(
    const uint8_t *before, uint64_t return_address, uint64_t *target);
