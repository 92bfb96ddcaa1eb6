#include "sampler/throw_type.h"
#include "base/arena.h"
#include "base/counter.h"

#include <stdbool.h>
#include <string.h>

#ifdef PF_SMALL
enum { TYPES_MAX = 16 };
#else
enum { TYPES_MAX = 2048 };
#endif

static struct pf_throw_type other = {.name = "[other types]"};

static struct pf_throw_type *types[TYPES_MAX]; /* atomic; by hash, the next free one */

/* Names of one hash are compared, so this need only be quick. Length into *length. */
static PF_HOOK uint32_t hash_of(const char *name, uint32_t *length)
{
	uint32_t hash = 2166136261u, n = 0;

	for (; n < PF_THROW_NAME_MAX && name[n]; n++)
		hash = (hash ^ (unsigned char)name[n]) * 16777619u;
	*length = n;
	return hash ^ hash >> 15;
}

static PF_HOOK struct pf_throw_type *make(const char *name, uint32_t hash, uint32_t length)
{
	struct pf_throw_type *type = pf_arena_take(sizeof(*type) + length + 1);

	if (!type)
		return NULL;
	type->hash = hash;
	type->length = length;
	memcpy(type->name, name, length);
	return type;
}

static PF_HOOK bool is(
    const struct pf_throw_type *t, const char *name, uint32_t hash, uint32_t length)
{
	return t->hash == hash && t->length == length && memcmp(t->name, name, length) == 0;
}

PF_HOOK uint32_t pf_throw_type_find(const char *name)
{
	uint32_t length, hash = hash_of(name, &length);
	struct pf_throw_type *fresh = NULL;

	for (uint32_t i = 0; i < TYPES_MAX; i++) {
		uint32_t place = (hash + i) % TYPES_MAX;
		struct pf_throw_type *found = __atomic_load_n(&types[place], __ATOMIC_ACQUIRE);

		if (!found) {
			if (!fresh)
				fresh = make(name, hash, length);
			if (!fresh)
				break;
			if (__atomic_compare_exchange_n(&types[place], &found, fresh, false,
				__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
				return place + 1;
		}
		if (is(found, name, hash, length))
			return place + 1;
	}
	pf_count(PF_COUNTER_EXCEPTION_TYPES_FULL);
	return 0;
}

PF_HOOK struct pf_throw_type *pf_throw_type_at(uint32_t number)
{
	if (number == 0)
		return &other;
	return number <= TYPES_MAX ? __atomic_load_n(&types[number - 1], __ATOMIC_ACQUIRE) : NULL;
}

uint32_t pf_throw_type_limit(void)
{
	return TYPES_MAX + 1;
}

void pf_throw_type_clear(void)
{
	for (uint32_t i = 0; i < pf_throw_type_limit(); i++) {
		struct pf_throw_type *type = pf_throw_type_at(i);

		for (int how = 0; type && how < PF_THROW_HOWS; how++)
			__atomic_store_n(&type->pending[how], 0, __ATOMIC_RELAXED);
	}
}
