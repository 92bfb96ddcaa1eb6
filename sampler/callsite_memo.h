/* Call site memo: what the code was found to say, by address, for as long as no module comes or goes.
 *
 * A stack whose frame pointer has to be guessed asks about some forty addresses, each with up to a dozen
 * reads through the kernel, and a thread that wakes between two looks is asked about the same ones each time.
 *
 * A word of 64 bits holds a part of the question's hash and the answer: no lock, any thread. A wrong one
 * would be given for a question in 2^40 that were not asked before.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum pf_callsite_question {
	PF_CALLSITE_CALL,
	PF_CALLSITE_SIGRETURN,
	PF_CALLSITE_FRAME,
	PF_CALLSITE_FUNCTION,
	PF_CALLSITE_JUMPS,
};

struct pf_callsite_memo {
	uint64_t hash; /* of the question, and of the modules as they are while it is asked */
};

/* Take it before the code is read. */
struct pf_callsite_memo pf_callsite_memo_of(
    enum pf_callsite_question question, uint64_t address, uint64_t with);
bool pf_callsite_memo_get(struct pf_callsite_memo memo, int64_t *answer);
void pf_callsite_memo_set(struct pf_callsite_memo memo, int64_t answer);
