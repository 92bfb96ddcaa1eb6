#include "sampler/custom.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/memory.h"
#include "base/profile.h"
#include "sampler/map.h"
#include "sampler/sampler.h"
#include "sampler/stack.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#ifdef PF_SMALL
enum { BUCKET_BITS = 4 };
#else
enum { BUCKET_BITS = 16 };
#endif
enum { PROFILES_MAX = 64, NAME_SIZE = 48 };

struct proffs_profile {
	uint32_t number;
	char name[NAME_SIZE];
};

struct entry {
	struct entry *next; /* in its chain, or of the free ones */
	const struct proffs_profile *profile;
	const void *key;
	uint32_t stack;
};

static struct pf_lock lock = PF_LOCK_INIT(PF_LOCK_LEAF);
static struct proffs_profile profiles[PROFILES_MAX]; /* written once, before it is counted */
static uint32_t profile_count;                       /* atomic; grows under the lock */
static struct entry **buckets;                       /* set once, before the first profile */
static struct entry *unused;                         /* guarded by lock */
static size_t entry_count;                           /* guarded by lock: all profiles' */

/* ---- profiles ---- */

static bool is_name(const char *name)
{
	size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz"
				     "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	return length > 0 && length < NAME_SIZE && name[length] == '\0';
}

static struct proffs_profile *find_locked(const char *name)
{
	for (uint32_t i = 0; i < profile_count; i++)
		if (strcmp(profiles[i].name, name) == 0)
			return &profiles[i];
	return NULL;
}

static int make_locked(struct proffs_profile **out, const char *name)
{
	if (!buckets)
		buckets = pf_arena_map(sizeof(*buckets) << BUCKET_BITS);
	if (!buckets)
		return -ENOMEM;
	if (profile_count == PROFILES_MAX)
		return -ENOSPC;
	*out = &profiles[profile_count];
	(*out)->number = profile_count;
	strcpy((*out)->name, name);
	__atomic_store_n(&profile_count, profile_count + 1, __ATOMIC_RELEASE);
	return 0;
}

int pf_custom_new(struct proffs_profile **out, const char *name)
{
	int rc = -EEXIST;

	*out = NULL;
	if (!name || !is_name(name))
		return -EINVAL;
	pf_lock_take(&lock);
	*out = find_locked(name);
	if (!*out)
		rc = make_locked(out, name);
	pf_lock_give(&lock);
	return rc;
}

const char *pf_custom_name(uint32_t number)
{
	if (number >= __atomic_load_n(&profile_count, __ATOMIC_ACQUIRE))
		return NULL;
	return profiles[number].name;
}

/* ---- keys ---- */

/* Fibonacci hashing: keys are often addresses, whose low bits say little. */
PF_INLINE struct entry **bucket_of(const struct proffs_profile *profile, const void *key)
{
	uint64_t mixed = ((uint64_t)(uintptr_t)key ^ profile->number) * 0x9e3779b97f4a7c15ull;

	return &buckets[mixed >> (64 - BUCKET_BITS)];
}

/* The link that leads to this key's entry; to NULL where there is none. */
PF_INLINE struct entry **find_entry_locked(const struct proffs_profile *profile, const void *key)
{
	struct entry **at = bucket_of(profile, key);

	while (*at && ((*at)->key != key || (*at)->profile != profile))
		at = &(*at)->next;
	return at;
}

PF_INLINE struct entry *take_unused_locked(void)
{
	struct entry *entry = unused;

	if (!entry)
		return pf_arena_take(sizeof(*entry));
	unused = entry->next;
	return entry;
}

/* In our section, so that the stack begins with who called. */
PF_HOOK int pf_custom_add(struct proffs_profile *profile, const void *key)
{
	struct entry **at, *entry;
	uint32_t stack;
	int rc = -EEXIST;

	if (!profile)
		return -EINVAL;
	stack = pf_stack_capture_here();
	pf_lock_take(&lock);
	at = find_entry_locked(profile, key);
	if (!*at) {
		entry = take_unused_locked();
		rc = entry ? 0 : -ENOMEM;
		if (entry) {
			entry->next = NULL;
			entry->profile = profile;
			entry->key = key;
			entry->stack = stack;
			*at = entry;
			entry_count++;
		}
	}
	pf_lock_give(&lock);
	return rc;
}

PF_HOOK int pf_custom_remove(struct proffs_profile *profile, const void *key)
{
	struct entry **at, *entry;

	if (!profile)
		return -EINVAL;
	pf_lock_take(&lock);
	at = find_entry_locked(profile, key);
	entry = *at;
	if (entry) {
		*at = entry->next;
		entry->next = unused;
		unused = entry;
		entry_count--;
	}
	pf_lock_give(&lock);
	return entry ? 0 : -ENOENT;
}

void pf_custom_fork_child(void)
{
	pf_lock_reset(&lock);
}

/* ---- collecting ---- */

/* The stacks of all keys of a profile, into room for `max`; how many keys all profiles have. */
static size_t copy_locked(
    const struct proffs_profile *profile, uint32_t *stacks, size_t max, size_t *count)
{
	*count = 0;
	for (size_t i = 0; entry_count <= max && i < (size_t)1 << BUCKET_BITS; i++)
		for (const struct entry *entry = buckets[i]; entry; entry = entry->next)
			if (entry->profile == profile)
				stacks[(*count)++] = entry->stack;
	return entry_count;
}

/* NULL without memory; the caller frees. Memory is taken outside the lock. */
static uint32_t *copy_stacks(const struct proffs_profile *profile, size_t *count)
{
	size_t need = 0, room;
	uint32_t *stacks = NULL;

	do {
		pf_memory_free(stacks);
		room = need + need / 8 + 64; /* others add meanwhile */
		stacks = pf_memory_new(room, sizeof(*stacks));
		if (!stacks)
			return NULL;
		pf_lock_take(&lock);
		need = copy_locked(profile, stacks, room, count);
		pf_lock_give(&lock);
	} while (need > room);
	return stacks;
}

int pf_custom_collect(uint32_t number, struct pf_profile *out)
{
	static const int64_t one = 1;
	const char *name = pf_custom_name(number);
	const uint64_t *pcs;
	uint32_t *stacks;
	size_t count;
	int rc;

	if (!name)
		return -ENOENT;
	stacks = copy_stacks(&profiles[number], &count);
	if (!stacks)
		return -ENOMEM;
	out->name = pf_profile_string(out, name);
	pf_profile_add_type(out, out->name, "count");
	pf_profile_set_period(out, out->name, "count", 1);
	out->time_ns = pf_clock_real_ns();
	out->leaf_is_return = true;
	for (size_t i = 0; i < count; i++) {
		uint32_t depth = pf_stack_read(stacks[i], &pcs);

		pf_profile_add_sample(out, pcs, depth, &one);
	}
	pf_memory_free(stacks);
	pf_profile_merge_same(out);
	rc = pf_map_fill(out);
	return rc < 0 ? rc : out->error;
}
