#include "sampler/heap_name.h"
#include "base/counter.h"
#include "sampler/heap_site.h"
#include "sampler/thread.h"

#include <stddef.h>
#include <string.h>

#ifdef PF_SMALL
enum { NAMES = 8 };
#else
enum { NAMES = 1024 };
#endif
enum { PROBES = 8 };
_Static_assert((int)NAMES <= (int)PF_SITE_NAME_MAX, "a row has room for the number");

/* A name as two words: sixteen letters, padded with zeros. */
struct name {
	uint64_t state; /* atomic */
	uint64_t words[2];
};

enum { FREE, TAKEN, READY };

static struct name names[NAMES]; /* a number is its place + 1 */

static PF_HOOK void load(const struct pf_thread *t, uint64_t words[2])
{
	const volatile char *from = t->name;
	bool ended = false;

	words[0] = words[1] = 0;
	for (int i = 0; i < PF_THREAD_NAME - 1 && !ended; i++) {
		ended = from[i] == '\0';
		if (!ended)
			words[i / 8] |= (uint64_t)(unsigned char)from[i] << (i % 8 * 8);
	}
}

PF_HOOK void pf_name_expect(void)
{
	__builtin_prefetch(pf_thread_self);
}

PF_HOOK uint16_t pf_name_here(void)
{
	const struct pf_thread *self = pf_thread_self;
	uint64_t words[2], hash;

	if (!self)
		return 0;
	load(self, words);
	if (words[0] == 0)
		return 0;
	hash = (words[0] ^ words[1] * 0x9e3779b97f4a7c15ull) * 0x9e3779b97f4a7c15ull >> 32;
	for (uint32_t probe = 0; probe < PROBES; probe++) {
		uint32_t place = (uint32_t)(hash + probe) % NAMES;
		struct name *name = &names[place];
		uint64_t state = __atomic_load_n(&name->state, __ATOMIC_ACQUIRE);

		if (state == FREE && __atomic_compare_exchange_n(&name->state, &state, TAKEN, false,
					 __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
			name->words[0] = words[0];
			name->words[1] = words[1];
			__atomic_store_n(&name->state, READY, __ATOMIC_RELEASE);
			return (uint16_t)(place + 1);
		}
		/* One that is just being written is another's, or becomes a second entry of ours. */
		if (state == READY && name->words[0] == words[0] && name->words[1] == words[1])
			return (uint16_t)(place + 1);
	}
	pf_count(PF_COUNTER_HEAP_NAMES_FULL);
	return 0;
}

const char *pf_name_text(uint16_t number)
{
	const struct name *name;

	if (number == 0 || number > NAMES)
		return NULL;
	name = &names[number - 1];
	if (__atomic_load_n(&name->state, __ATOMIC_ACQUIRE) != READY)
		return NULL;
	return (const char *)name->words; /* its last letter is zero */
}
