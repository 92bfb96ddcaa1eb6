#include "sampler/callsite_memo.h"
#include "sampler/past.h"

#ifdef PF_SMALL
enum { WORDS = 16 };
#else
enum { WORDS = 2048 };
#endif
enum { ANSWER_BITS = 24, ANSWER_MAX = 1 << (ANSWER_BITS - 1) };

/* By the lowest bits of the hash; the highest, and the answer below them. 0: nothing yet. Atomic. */
static uint64_t words[WORDS];

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15ull;
	return hash ^ (hash >> 32);
}

struct pf_callsite_memo pf_callsite_memo_of(
    enum pf_callsite_question question, uint64_t address, uint64_t with)
{
	uint64_t hash = mix(mix(mix(question + 1, pf_past_now()), address), with);

	return (struct pf_callsite_memo){.hash = mix(hash, 0)};
}

bool pf_callsite_memo_get(struct pf_callsite_memo memo, int64_t *answer)
{
	uint64_t word = __atomic_load_n(&words[memo.hash % WORDS], __ATOMIC_RELAXED);

	if (word == 0 || (word ^ memo.hash) >> ANSWER_BITS)
		return false;
	*answer = (int64_t)(word & (2 * ANSWER_MAX - 1)) - ANSWER_MAX;
	return true;
}

void pf_callsite_memo_set(struct pf_callsite_memo memo, int64_t answer)
{
	uint64_t biased = (uint64_t)(answer + ANSWER_MAX);

	if (answer <= -ANSWER_MAX || answer >= ANSWER_MAX)
		return;
	__atomic_store_n(&words[memo.hash % WORDS],
	    memo.hash >> ANSWER_BITS << ANSWER_BITS | biased, __ATOMIC_RELAXED);
}
