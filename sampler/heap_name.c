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

/* The bytes in front of the first zero (Mycroft's test finds it; little-endian); all eight: true. */
PF_INLINE bool cut(uint64_t *word)
{
	uint64_t zeros = (*word - 0x0101010101010101ull) & ~*word & 0x8080808080808080ull;

	if (zeros)
		*word &= ((zeros & -zeros) >> 7) - 1;
	return zeros == 0;
}

PF_INLINE void load(const struct pf_thread *t, uint64_t words[2])
{
	__builtin_memcpy(words, t->name, sizeof(t->name));
	words[1] &= UINT64_MAX >> 8; /* it ends there, however torn */
	if (!cut(&words[0]))
		words[1] = 0;
	cut(&words[1]);
}

PF_HOOK void pf_name_expect(void)
{
	const struct pf_thread *self = pf_thread_self;

	if (!self)
		return;
	__builtin_prefetch(self);
	__builtin_prefetch(&self->met_number);
}

static PF_HOOK uint16_t number_of(const uint64_t words[2])
{
	uint64_t hash;

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

PF_HOOK uint16_t pf_name_here(void)
{
	struct pf_thread *self = pf_thread_self;
	uint64_t words[2];
	uint16_t number;

	if (!self)
		return 0;
	load(self, words);
	if (self->met_number && words[0] == self->met_name[0] && words[1] == self->met_name[1])
		return self->met_number;
	number = number_of(words);
	self->met_number = 0; /* what is half written says nothing */
	__asm__ volatile("" ::: "memory");
	self->met_name[0] = words[0];
	self->met_name[1] = words[1];
	__asm__ volatile("" ::: "memory");
	self->met_number = number;
	return number;
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
