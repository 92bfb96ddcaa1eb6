#include "sampler/label.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/counter.h"
#include "base/lock.h"
#include "base/profile.h"
#include "sampler/sampler.h"
#include "sampler/thread.h"

#include <errno.h>
#include <string.h>

enum { SETS_MAX = 16384, BUCKETS = 1024 };

struct pair {
	char key[PF_LABEL_TEXT_MAX];
	char value[PF_LABEL_TEXT_MAX];
};

struct set {
	uint32_t count;
	uint32_t next;       /* in its hash chain (lock) */
	struct pair pairs[]; /* in the order of their keys */
};

/* A set while it is being put together. */
struct draft {
	uint32_t count;
	struct pair pairs[PF_LABEL_KEYS_MAX];
};

static struct pf_lock lock = PF_LOCK_INIT(PF_LOCK_LEAF);
static struct set *sets[SETS_MAX]; /* atomic; by number, from 1 on; never changed, never freed */
static uint32_t set_count;         /* guarded by lock */
static uint32_t buckets[BUCKETS];  /* guarded by lock */

static const struct set *set_at(uint32_t number)
{
	return number < SETS_MAX ? __atomic_load_n(&sets[number], __ATOMIC_ACQUIRE) : NULL;
}

/* FNV-1a, of texts padded with zeros. */
static uint32_t hash_of(const struct draft *d)
{
	uint64_t hash = 0xcbf29ce484222325ull;
	const unsigned char *at = (const unsigned char *)d->pairs;

	for (size_t i = 0; i < d->count * sizeof(struct pair); i++)
		hash = (hash ^ at[i]) * 0x100000001b3ull;
	return (uint32_t)(hash ^ hash >> 32) % BUCKETS;
}

static uint32_t find_locked(const struct draft *d, uint32_t bucket)
{
	for (uint32_t at = buckets[bucket]; at; at = sets[at]->next)
		if (sets[at]->count == d->count &&
		    memcmp(sets[at]->pairs, d->pairs, d->count * sizeof(struct pair)) == 0)
			return at;
	return 0;
}

/* The number of a set like this one, new or old; 0: no room. */
static uint32_t intern_locked(const struct draft *d)
{
	uint32_t bucket = hash_of(d);
	uint32_t number = find_locked(d, bucket);
	struct set *set;

	if (number || set_count + 1 >= SETS_MAX)
		return number;
	set = pf_arena_take(sizeof(*set) + d->count * sizeof(struct pair));
	if (!set)
		return 0;
	set->count = d->count;
	memcpy(set->pairs, d->pairs, d->count * sizeof(struct pair));
	set->next = buckets[bucket];
	number = ++set_count;
	__atomic_store_n(&sets[number], set, __ATOMIC_RELEASE);
	buckets[bucket] = number;
	return number;
}

static void load(struct draft *d, uint32_t number)
{
	const struct set *set = set_at(number);

	memset(d, 0, sizeof(*d));
	if (!set)
		return;
	d->count = set->count;
	memcpy(d->pairs, set->pairs, set->count * sizeof(struct pair));
}

/* Where `key` is, or where it would be put in. */
static uint32_t place_of(const struct draft *d, const char *key)
{
	uint32_t at = 0;

	while (at < d->count && strcmp(d->pairs[at].key, key) < 0)
		at++;
	return at;
}

static bool has_at(const struct draft *d, uint32_t at, const char *key)
{
	return at < d->count && strcmp(d->pairs[at].key, key) == 0;
}

static int put(struct draft *d, const char *key, const char *value)
{
	uint32_t at = place_of(d, key);

	if (!has_at(d, at, key)) {
		if (d->count == PF_LABEL_KEYS_MAX)
			return -E2BIG;
		memmove(&d->pairs[at + 1], &d->pairs[at], (d->count - at) * sizeof(struct pair));
		d->count++;
		memset(&d->pairs[at], 0, sizeof(struct pair));
		memcpy(d->pairs[at].key, key, strlen(key));
	}
	memset(d->pairs[at].value, 0, sizeof(d->pairs[at].value));
	memcpy(d->pairs[at].value, value, strlen(value));
	return 0;
}

static void drop(struct draft *d, const char *key)
{
	uint32_t at = place_of(d, key);

	if (!has_at(d, at, key))
		return;
	d->count--;
	memmove(&d->pairs[at], &d->pairs[at + 1], (d->count - at) * sizeof(struct pair));
}

static int wear(struct pf_thread *t, const struct draft *d)
{
	uint32_t number = 0;

	if (d->count) {
		pf_lock_take(&lock);
		number = intern_locked(d);
		pf_lock_give(&lock);
		if (number == 0) {
			pf_count(PF_COUNTER_LABEL_LOST);
			return -ENOSPC;
		}
	}
	__atomic_store_n(&t->labels, number, __ATOMIC_RELAXED);
	return 0;
}

static bool fits(const char *text)
{
	return text && strnlen(text, PF_LABEL_TEXT_MAX) < PF_LABEL_TEXT_MAX;
}

int pf_label_set(const char *key, const char *value)
{
	struct pf_thread *t;
	struct draft d;
	int rc;

	if (!fits(key) || !*key || !fits(value))
		return -EINVAL;
	t = pf_thread_enrol_self();
	if (!t)
		return -ENOSPC;
	load(&d, t->labels);
	rc = put(&d, key, value);
	return rc < 0 ? rc : wear(t, &d);
}

int pf_label_clear(const char *key)
{
	struct pf_thread *t;
	struct draft d;

	if (key && !fits(key))
		return -EINVAL;
	t = pf_thread_enrol_self();
	if (!t)
		return -ENOSPC;
	load(&d, t->labels);
	if (key)
		drop(&d, key);
	else
		d.count = 0;
	return wear(t, &d);
}

void pf_label_fill(uint32_t number, struct pf_profile *profile)
{
	const struct set *set = set_at(number);

	for (uint32_t i = 0; set && i < set->count; i++)
		pf_profile_label_str(profile, set->pairs[i].key, set->pairs[i].value);
}

void pf_label_print(uint32_t number, struct pf_buf *out)
{
	const struct set *set = set_at(number);

	for (uint32_t i = 0; set && i < set->count; i++) {
		pf_buf_plain(out, set->pairs[i].key);
		pf_buf_char(out, '=');
		pf_buf_plain(out, set->pairs[i].value);
		pf_buf_char(out, '\n');
	}
}

PF_SIGSAFE void pf_label_fork_child(void)
{
	lock.word = 0;
}
