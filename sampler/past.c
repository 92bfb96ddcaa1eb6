/* A table of lives: a file, where it was, from when to when. Both ends are known to within a look:
 * `born` may be early, `died` late. Lives are read without a lock, each with its version before and
 * after; they are written under `lock`. When the table is full the life that ended first makes room,
 * and stacks from before its end are trusted no more where nobody else vouches for them.
 */
#include "sampler/past.h"
#include "base/arena.h"
#include "base/counter.h"
#include "base/lock.h"
#include "base/profile.h"
#include "sampler/unwind_image.h"

#include <string.h>

#ifdef PF_SMALL
enum { LIVES_MAX = 64, FILES_MAX = 32 };
#else
enum { LIVES_MAX = 2048, FILES_MAX = 1024 };
#endif

enum { ALIVE = UINT32_MAX, NEAR = 4 };

static const uint64_t GRAVE_ALIGNMENT = 1 << 21;

struct life {
	uint32_t version;      /* atomic; odd while it is written, 0: never used */
	uint32_t born, died;   /* atomic; generations */
	uint32_t file;         /* atomic; number, 0: the table of files was full */
	uint64_t start, limit; /* atomic */
	uint64_t hash;         /* of the file; written as the rest */
	uint32_t seen;         /* atomic: the last look that met it */
};

struct file {
	struct pf_past_file file;
	uint64_t grave;
	const char *path; /* atomic; NULL: not known yet */
};

uint32_t pf_past_generation PF_WARM = 1;
uint32_t pf_past_last_end PF_WARM;

static struct pf_lock lock = PF_LOCK_INIT(PF_LOCK_LEAF);
static struct life lives[LIVES_MAX];
static uint32_t life_count;          /* atomic */
static uint32_t horizon;             /* atomic: lives that ended up to here may be forgotten */
static struct file files[FILES_MAX]; /* by number; 0 is nobody's */
static uint32_t file_count = 1;      /* atomic */
static uint64_t next_grave = PF_PAST_GRAVES_LOW;

/* Guarded by lock, from here on. */
static uint64_t seen_opened, seen_closed;
static uint32_t looks;
static uint32_t look_generation = 1; /* when the look at hand began: it is the bound of the next */
static uint32_t born_generation;     /* when the look before it began */

/* ---- who was there ---- */

struct found {
	uint32_t file, died;
	uint64_t start;
};

enum answer { NOBODY, ONE, UNSURE };

/* What a life says, whole; false while it is being written. */
static PF_SIGSAFE bool read_life(const struct life *from, struct life *out)
{
	uint32_t version = __atomic_load_n(&from->version, __ATOMIC_ACQUIRE);

	out->born = __atomic_load_n(&from->born, __ATOMIC_RELAXED);
	out->died = __atomic_load_n(&from->died, __ATOMIC_RELAXED);
	out->file = __atomic_load_n(&from->file, __ATOMIC_RELAXED);
	out->start = __atomic_load_n(&from->start, __ATOMIC_RELAXED);
	out->limit = __atomic_load_n(&from->limit, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return version % 2 == 0 && version == __atomic_load_n(&from->version, __ATOMIC_RELAXED);
}

static PF_SIGSAFE enum answer ask(uint64_t pc, uint32_t first, uint32_t last, struct found *found)
{
	uint32_t count = __atomic_load_n(&life_count, __ATOMIC_ACQUIRE);
	enum answer answer = NOBODY;
	bool met = false; /* somebody, some time */
	struct life life;

	for (uint32_t i = 0; i < count; i++) {
		/* Cheap and mostly enough: what is read here is looked at again. */
		if (pc - __atomic_load_n(&lives[i].start, __ATOMIC_RELAXED) >=
		    __atomic_load_n(&lives[i].limit, __ATOMIC_RELAXED) -
			__atomic_load_n(&lives[i].start, __ATOMIC_RELAXED))
			continue;
		if (!read_life(&lives[i], &life))
			return UNSURE;
		if (pc < life.start || pc >= life.limit)
			continue;
		met = true;
		if (life.born > last || life.died < first)
			continue;
		if (answer == ONE && (found->file != life.file || found->start != life.start))
			return UNSURE;
		if (answer == NOBODY || life.died == ALIVE)
			*found = (struct found){life.file, life.died, life.start};
		answer = ONE;
	}
	if (answer == NOBODY && met)
		return UNSURE;
	if (answer == NOBODY && first <= __atomic_load_n(&horizon, __ATOMIC_RELAXED) &&
	    !pf_unwind_image_is_permanent(pc))
		return UNSURE;
	return answer;
}

static PF_SIGSAFE bool is_fixed(uint64_t pc)
{
	return pc < PF_PC_MARKER_END || (pc >= PF_PAST_GRAVES_LOW && pc < PF_PAST_GRAVES_HIGH);
}

PF_SIGSAFE uint64_t pf_past_place(uint64_t pc, uint32_t first, uint32_t last)
{
	struct found found;
	enum answer answer;

	if (is_fixed(pc))
		return pc;
	answer = ask(pc, first, last, &found);
	if (answer == NOBODY || (answer == ONE && found.died == ALIVE))
		return pc;
	if (answer == UNSURE || found.file == 0)
		return PF_PC_UNKNOWN;
	return files[found.file].grave + (pc - found.start);
}

PF_SIGSAFE bool pf_past_same(const uint64_t *pcs, uint32_t count, uint32_t one, uint32_t other)
{
	for (uint32_t i = 0; i < count; i++) {
		struct found then, now;
		enum answer answer;

		if (is_fixed(pcs[i]))
			continue;
		answer = ask(pcs[i], one, one, &then);
		if (answer == UNSURE || answer != ask(pcs[i], other, other, &now))
			return false;
		if (answer == ONE &&
		    (then.file != now.file || then.start != now.start || !now.file))
			return false;
	}
	return true;
}

/* ---- files ---- */

static PF_HOOK const char *copy_name(const char *name)
{
	size_t length = 0;
	char *copy;

	while (length < PF_PAST_NAME_MAX - 1 && name[length] != '\0')
		length++;
	copy = pf_arena_take(length + 1);
	if (copy)
		memcpy(copy, name, length);
	return copy;
}

/* Its number, known or new; 0: no room. */
static PF_HOOK uint32_t number_locked(const struct pf_past_file *file)
{
	struct file *fresh = &files[file_count];

	for (uint32_t i = 1; i < file_count; i++)
		if (files[i].file.hash == file->hash)
			return i;
	if (file_count == FILES_MAX ||
	    file->size + GRAVE_ALIGNMENT >= PF_PAST_GRAVES_HIGH - next_grave)
		return 0;
	fresh->file = *file;
	fresh->file.name = copy_name(file->name);
	if (!fresh->file.name)
		return 0;
	fresh->grave = next_grave;
	next_grave = (next_grave + file->size + GRAVE_ALIGNMENT) & ~(GRAVE_ALIGNMENT - 1);
	return __atomic_fetch_add(&file_count, 1, __ATOMIC_RELEASE);
}

/* ---- lives ---- */

static PF_HOOK bool is_alive(const struct life *life)
{
	return life->version != 0 && life->died == ALIVE;
}

static PF_HOOK void end_locked(struct life *life)
{
	uint32_t now = pf_past_now();

	__atomic_store_n(&life->died, now, __ATOMIC_RELAXED);
	__atomic_store_n(&pf_past_last_end, now, __ATOMIC_RELEASE);
}

/* A place for a new life: a free one, or that of the one that ended first. NULL: all are alive. */
static PF_HOOK struct life *room_locked(void)
{
	struct life *oldest = NULL;

	if (life_count < LIVES_MAX)
		return &lives[life_count];
	for (uint32_t i = 0; i < LIVES_MAX; i++)
		if (!is_alive(&lives[i]) && (!oldest || lives[i].died < oldest->died))
			oldest = &lives[i];
	pf_count(PF_COUNTER_MODULES_FORGOTTEN);
	if (oldest && oldest->died > horizon)
		__atomic_store_n(&horizon, oldest->died, __ATOMIC_RELEASE);
	return oldest;
}

static PF_HOOK void be_born_locked(uint32_t look, uint64_t start, const struct pf_past_file *file)
{
	struct life *life = room_locked();

	if (!life) {
		/* Whoever is in it is not told from whoever comes after. */
		__atomic_store_n(&horizon, ALIVE - 1, __ATOMIC_RELEASE);
		return;
	}
	__atomic_store_n(&life->version, life->version + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	__atomic_store_n(&life->born, born_generation, __ATOMIC_RELAXED);
	__atomic_store_n(&life->died, ALIVE, __ATOMIC_RELAXED);
	__atomic_store_n(&life->file, number_locked(file), __ATOMIC_RELAXED);
	__atomic_store_n(&life->start, start, __ATOMIC_RELAXED);
	__atomic_store_n(&life->limit, start + file->size, __ATOMIC_RELAXED);
	life->hash = file->hash;
	__atomic_store_n(&life->seen, look, __ATOMIC_RELAXED);
	__atomic_store_n(&life->version, life->version + 1, __ATOMIC_RELEASE);
	if (life == &lives[life_count])
		__atomic_store_n(&life_count, life_count + 1, __ATOMIC_RELEASE);
	if (life->file == 0)
		pf_count(PF_COUNTER_MODULES_FORGOTTEN);
}

static PF_HOOK bool overlaps(const struct life *life, uint64_t start, uint64_t limit)
{
	return life->version != 0 && life->start < limit && start < life->limit;
}

/* The last life there, if it was the same file's: it may go on, nobody was there in between. */
static PF_HOOK struct life *last_one_locked(uint64_t start, const struct pf_past_file *file)
{
	struct life *last = NULL;

	for (uint32_t i = 0; i < life_count; i++)
		if (overlaps(&lives[i], start, start + file->size) &&
		    (!last || lives[i].died >= last->died))
			last = &lives[i];
	return last && last->start == start && last->hash == file->hash ? last : NULL;
}

/* ---- a look ---- */

PF_HOOK bool pf_past_look_begin(uint64_t opened, uint64_t closed, uint32_t *look)
{
	bool changed;

	pf_lock_take(&lock);
	changed = looks == 0 || opened != seen_opened || closed != seen_closed;
	seen_opened = opened;
	seen_closed = closed;
	born_generation = look_generation;
	look_generation = pf_past_now();
	*look = changed ? ++looks : 0;
	pf_lock_give(&lock);
	return changed;
}

/* Modules come in the order in which they were met first, mostly: is it the next one? Without the lock:
 * looks are one after the other, behind the loader's lock, and nobody else gives a life away. (Who
 * ends one at this moment has looked before us, and the next look brings it back.) */
static PF_HOOK bool is_next(uint32_t look, uint64_t start, uint64_t hash)
{
	static uint32_t next; /* guarded by the loader's lock */
	uint32_t count = __atomic_load_n(&life_count, __ATOMIC_RELAXED);

	for (uint32_t tries = 0; tries < NEAR && tries < count; tries++) {
		struct life *life = &lives[next < count ? next : 0];

		next = next + 1 < count ? next + 1 : 0;
		if (life->start != start || life->hash != hash || !is_alive(life))
			continue;
		__atomic_store_n(&life->seen, look, __ATOMIC_RELAXED);
		return true;
	}
	return false;
}

PF_HOOK void pf_past_look_see(uint32_t look, uint64_t start, const struct pf_past_file *file)
{
	struct life *life;

	if (is_next(look, start, file->hash))
		return;
	pf_lock_take(&lock);
	for (uint32_t i = 0; i < life_count; i++)
		if (is_alive(&lives[i]) && overlaps(&lives[i], start, start + file->size) &&
		    (lives[i].start != start || lives[i].hash != file->hash))
			end_locked(&lives[i]); /* gone unseen: another one is in its place */
	life = last_one_locked(start, file);
	if (life) {
		__atomic_store_n(&life->seen, look, __ATOMIC_RELAXED);
		__atomic_store_n(&life->died, ALIVE, __ATOMIC_RELEASE);
	} else {
		be_born_locked(look, start, file);
	}
	pf_lock_give(&lock);
}

PF_HOOK void pf_past_look_end(uint32_t look)
{
	pf_lock_take(&lock);
	for (uint32_t i = 0; look != 0 && i < life_count; i++)
		if (is_alive(&lives[i]) &&
		    (int32_t)(__atomic_load_n(&lives[i].seen, __ATOMIC_RELAXED) - look) < 0)
			end_locked(&lives[i]);
	pf_lock_give(&lock);
	pf_past_step();
}

PF_HOOK void pf_past_step(void)
{
	__atomic_fetch_add(&pf_past_generation, 1, __ATOMIC_ACQ_REL);
}

/* ---- for people ---- */

uint32_t pf_past_file_at(uint64_t address)
{
	uint32_t low = 1, high = __atomic_load_n(&file_count, __ATOMIC_ACQUIRE);

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (address < files[middle].grave)
			high = middle;
		else if (address - files[middle].grave >= files[middle].file.size)
			low = middle + 1;
		else
			return middle;
	}
	return 0;
}

const struct pf_past_file *pf_past_file(uint32_t number, const char **path)
{
	const char *known = __atomic_load_n(&files[number].path, __ATOMIC_ACQUIRE);

	*path = known ? known : "";
	return &files[number].file;
}

uint64_t pf_past_grave(uint32_t number)
{
	return files[number].grave;
}

uint64_t pf_past_loaded_at(uint32_t number)
{
	uint64_t start = 0;

	pf_lock_take(&lock);
	for (uint32_t i = 0; i < life_count && start == 0; i++)
		if (is_alive(&lives[i]) && lives[i].file == number)
			start = lives[i].start;
	pf_lock_give(&lock);
	return start;
}

bool pf_past_wants_paths(void)
{
	bool wants = false;

	pf_lock_take(&lock);
	for (uint32_t i = 0; i < life_count && !wants; i++)
		wants = is_alive(&lives[i]) && lives[i].file && !files[lives[i].file].path;
	pf_lock_give(&lock);
	return wants;
}

void pf_past_learn_path(uint64_t start, const char *path)
{
	pf_lock_take(&lock);
	for (uint32_t i = 0; i < life_count; i++) {
		struct file *file = &files[lives[i].file];

		if (is_alive(&lives[i]) && lives[i].start == start && lives[i].file && !file->path)
			__atomic_store_n(&file->path, copy_name(path), __ATOMIC_RELEASE);
	}
	pf_lock_give(&lock);
}

PF_SIGSAFE void pf_past_fork_child(void)
{
	lock.word = 0;
}
