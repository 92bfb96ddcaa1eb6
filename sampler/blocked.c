#include "sampler/blocked.h"
#include "base/clock.h"
#include "base/mark.h"
#include "base/memory.h"
#include "base/profile.h"
#include "sampler/cpu.h"
#include "sampler/lock_word.h"
#include "sampler/map.h"
#include "sampler/own_memory.h"
#include "sampler/proc.h"
#include "sampler/task.h"
#include "sampler/thread.h"
#include "sampler/tick.h"
#include "sampler/waiter.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Longer chains are followed no further. */
enum { CHAIN_MAX = 256 };

/* One thread's wait. */
struct blocked {
	struct pf_thread *thread;
	pid_t tid, owner; /* owner 0: not known */
	uint64_t lock;
	enum pf_wait_kind kind;
	bool lock_like;
	int64_t since_ns; /* monotonic; 0: no hook has seen it begin */
	int64_t cpu_ns;   /* of its CPU clock then */
	uint32_t circle;  /* number; 0: in none */
};

/* ---- memory of the program, which may vanish at any time ---- */

static bool read_memory(uint64_t address, void *to, size_t size)
{
	return pf_own_memory_read(to, (const void *)(uintptr_t)address, size) == (ssize_t)size;
}

/* `tid`, if it is a thread of this process; else 0. */
static pid_t known(uint32_t tid)
{
	return tid && tid <= INT32_MAX && pf_clock_ns(pf_clock_of_thread((pid_t)tid)) >= 0
		   ? (pid_t)tid
		   : 0;
}

static pid_t owner_of_mutex(uint64_t lock)
{
	pthread_mutex_t m;

	return read_memory(lock, &m, sizeof(m)) ? known((uint32_t)m.__data.__owner) : 0;
}

static pid_t owner_of_rwlock(uint64_t lock)
{
	pthread_rwlock_t l;

	return read_memory(lock, &l, sizeof(l)) ? known((uint32_t)l.__data.__cur_writer) : 0;
}

/* ---- where the kernel says it sleeps ---- */

struct futex {
	uint64_t address;
	uint32_t command, value;
	bool shared; /* between processes, or said to be */
};

enum sleep { RUNS, IN_FUTEX, ELSEWHERE, UNTOLD };

static enum sleep read_sleep(pid_t tid, struct futex *futex)
{
	char text[256], *at;
	uint64_t args[3] = {0};
	ssize_t got = pf_task_read(tid, "syscall", text, sizeof(text) - 1);

	if (got <= 0)
		return UNTOLD;
	text[got] = '\0';
	if (text[0] == 'r')
		return RUNS;
	if (strtol(text, &at, 10) != SYS_futex)
		return ELSEWHERE;
	for (size_t i = 0; i < PF_COUNT(args) && *at == ' '; i++)
		args[i] = strtoull(at, &at, 16);
	futex->address = args[0];
	futex->command = (uint32_t)args[1] & FUTEX_CMD_MASK;
	futex->value = (uint32_t)args[2];
	futex->shared = !(args[1] & FUTEX_PRIVATE_FLAG);
	return IN_FUTEX;
}

/* Is there a rwlock at `lock` whose word `place` is slept by with this value? It has a writer, who is one of our
 * threads; or the writer who is next waits for the readers to leave, nobody holds it alone, and either it is he who
 * sleeps here, or a reader behind him where writers are preferred. */
static bool is_rwlock(uint64_t lock, size_t place, uint32_t value, pid_t *writer)
{
	pthread_rwlock_t l;

	if (!read_memory(lock, &l, sizeof(l)) || l.__data.__pad3 || l.__data.__pad4 ||
	    l.__data.__flags > PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP ||
	    !(l.__data.__readers & PF_RWLOCK_WRITER))
		return false;
	*writer = known((uint32_t)l.__data.__cur_writer);
	if (place == offsetof(pthread_rwlock_t, __data.__readers))
		return l.__data.__flags == PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP &&
		       l.__data.__cur_writer == 0 && value >> PF_RWLOCK_READER_SHIFT != 0;
	if (l.__data.__cur_writer)
		return *writer;
	return place == offsetof(pthread_rwlock_t, __data.__wrphase_futex) &&
	       value == PF_RWLOCK_SLEPT_FOR && l.__data.__readers >> PF_RWLOCK_READER_SHIFT != 0;
}

/* Two of the words by which glibc's rwlocks are slept for are a 2 or a 3 meanwhile; the third is the word of the
 * readers. */
static bool judge_rwlock(const struct futex *futex, struct blocked *b)
{
	static const uint8_t places[] = {offsetof(pthread_rwlock_t, __data.__readers),
	    offsetof(pthread_rwlock_t, __data.__wrphase_futex),
	    offsetof(pthread_rwlock_t, __data.__writers_futex)};
	const uint32_t behind = PF_RWLOCK_READER_WAITS | PF_RWLOCK_WRITER;
	size_t first = 1, end = PF_COUNT(places);
	pid_t writer;

	if ((futex->value & (behind | PF_RWLOCK_WRITE_PHASE)) == behind)
		first = 0, end = 1;
	else if ((futex->value & ~1u) != PF_RWLOCK_SLEPT_FOR)
		return false;
	for (size_t i = first; i < end; i++) {
		uint64_t lock = futex->address - places[i];

		if (!is_rwlock(lock, places[i], futex->value, &writer))
			continue;
		b->kind = PF_WAIT_RWLOCK;
		b->lock = lock;
		b->owner = writer;
		b->lock_like = true;
		return true;
	}
	return false;
}

/* A thread's id in the word slept at: a PI or robust mutex, which have the bit of those waited for as well, or, as joined
 * threads have it, the thread whose end is waited for: no lock, and glibc sleeps there as if it were shared. Any other
 * word may be a small number, as ids are in a container. */
static bool names_thread(const struct futex *futex, uint32_t word)
{
	return word == futex->value && (word & FUTEX_TID_MASK) > 2 &&
	       ((word & FUTEX_WAITERS) || futex->shared);
}

/* What the word slept at says by itself. A 2: perhaps a mutex of glibc, and then what follows looks like one, or a rwlock, and then what is
 * before it does. */
static void judge_futex(const struct futex *futex, struct blocked *b)
{
	bool pi = futex->command == FUTEX_LOCK_PI || futex->command == FUTEX_LOCK_PI2;
	pthread_mutex_t m;
	uint32_t word;

	if (!read_memory(futex->address, &word, sizeof(word)))
		return;
	if (word == futex->value && judge_rwlock(futex, b))
		return;
	if (pi || names_thread(futex, word)) {
		b->owner = known(word & FUTEX_TID_MASK);
		b->lock_like |= b->owner && (word & FUTEX_WAITERS);
	}
	b->lock_like |= pi || futex->value == 2 || futex->value == UINT32_MAX;
	if (b->owner || futex->value != 2 || word != 2 ||
	    !read_memory(futex->address, &m, sizeof(m)))
		return;
	if (m.__data.__nusers == 0 || m.__data.__nusers > 1u << 20 || m.__data.__kind >> 10)
		return;
	b->owner = known((uint32_t)m.__data.__owner);
	if (b->owner) {
		b->kind = PF_WAIT_MUTEX;
		b->lock = futex->address;
	}
}

static bool is_lock(enum pf_wait_kind kind)
{
	return kind == PF_WAIT_MUTEX || kind == PF_WAIT_RWLOCK || kind == PF_WAIT_SPIN;
}

/* What the hooks have noted, if it is of this thread. */
static bool read_note(const struct pf_thread *t, struct blocked *b)
{
	uint64_t lock = __atomic_load_n(&t->waits_for, __ATOMIC_ACQUIRE);

	b->since_ns = pf_clock_now_ns() - (int64_t)pf_tick_ns(pf_tick() - t->waits_since);
	b->kind = (enum pf_wait_kind)t->waits_kind;
	b->lock = b->kind == PF_WAIT_FUTEX ? lock & ~(uint64_t)PF_WAITER_FUTEX : lock;
	b->lock_like = is_lock(b->kind) || t->waits_queued;
	return lock && t->waits_generation == pf_thread_generation(t) &&
	       __atomic_load_n(&t->waits_for, __ATOMIC_ACQUIRE) == lock;
}

/* A join; a mutex that a condition's wait takes again. Words within a condition are numbers, as those of barriers are,
 * and any may look like a lock's. */
static bool may_be_another(const struct blocked *b, uint64_t address)
{
	if (b->kind == PF_WAIT_COND)
		return address - b->lock >= sizeof(pthread_cond_t);
	return b->kind == PF_WAIT_JOIN || b->kind == PF_WAIT_FUTEX;
}

/* Does the thread wait for another? */
static bool look(struct pf_thread *t, struct blocked *b)
{
	struct futex futex;
	enum pf_wait_kind noted_kind;
	enum sleep sleep;
	bool noted;

	*b = (struct blocked){.thread = t, .tid = t->tid};
	b->cpu_ns = pf_clock_ns(pf_clock_of_thread(t->tid));
	noted = read_note(t, b);
	sleep = read_sleep(t->tid, &futex);
	if (!noted) {
		if (sleep != IN_FUTEX)
			return false;
		b->kind = PF_WAIT_FUTEX;
		b->lock = futex.address;
		b->since_ns = 0;
		b->lock_like = false;
		judge_futex(&futex, b);
		return true;
	}
	noted_kind = b->kind;
	if (b->kind == PF_WAIT_MUTEX)
		b->owner = owner_of_mutex(b->lock);
	else if (b->kind == PF_WAIT_RWLOCK)
		b->owner = owner_of_rwlock(b->lock);
	else if (sleep == IN_FUTEX && may_be_another(b, futex.address))
		judge_futex(&futex, b);
	if (b->kind != noted_kind) /* that wait may be younger than the note */
		b->since_ns = 0;
	/* Between the note and the sleep, or on its way out: only spinning looks like that for long. */
	return sleep != RUNS || b->kind == PF_WAIT_SPIN;
}

bool pf_blocked_is_lock_like(pid_t tid)
{
	struct blocked b = {.lock_like = false};
	struct futex futex;

	if (read_sleep(tid, &futex) == IN_FUTEX)
		judge_futex(&futex, &b);
	return b.lock_like;
}

bool pf_blocked_sleeps_by(pid_t tid, uint64_t futex)
{
	struct futex found;

	return read_sleep(tid, &found) == IN_FUTEX && found.address == futex;
}

pid_t pf_blocked_on(pid_t tid, bool *endless)
{
	pid_t chain[CHAIN_MAX];
	pid_t first = 0;
	int length = 0;

	*endless = false;
	while (length < CHAIN_MAX) {
		struct pf_thread *t = pf_thread_find(tid);
		struct blocked b;

		if (!t || !look(t, &b) || b.owner == 0)
			return first;
		if (first == 0)
			first = b.owner;
		chain[length++] = tid;
		for (int i = 0; i < length; i++)
			if (chain[i] == b.owner) {
				*endless = true;
				return first;
			}
		tid = b.owner;
	}
	return first;
}

/* ---- all of them ---- */

struct waits {
	struct blocked *items;
	uint32_t count;
};

static struct blocked *wait_of(const struct waits *w, pid_t tid)
{
	for (uint32_t i = 0; tid && i < w->count; i++)
		if (w->items[i].tid == tid)
			return &w->items[i];
	return NULL;
}

/* Has nothing of this wait changed? Else it was two moments that looked like one. */
static bool still_so(const struct blocked *b)
{
	struct blocked now;

	return look(b->thread, &now) && now.tid == b->tid && now.lock == b->lock &&
	       now.owner == b->owner && now.cpu_ns == b->cpu_ns;
}

/* Gives the circle that `b` is part of a number, if there is one. */
static void mark_circle(const struct waits *w, struct blocked *b, uint32_t *numbers)
{
	struct blocked *other = b;
	uint32_t steps = 0;

	do
		other = wait_of(w, other->owner);
	while (other && other != b && !other->circle && ++steps <= w->count);
	if (other != b)
		return;
	do {
		if (!still_so(other))
			return;
		other = wait_of(w, other->owner);
	} while (other != b);
	++*numbers;
	do {
		other->circle = *numbers;
		other = wait_of(w, other->owner);
	} while (other != b);
}

static int find_waits(struct waits *w)
{
	uint32_t limit = pf_thread_limit(), numbers = 0;

	w->count = 0;
	w->items = pf_memory_new(limit + 1, sizeof(*w->items));
	if (!w->items)
		return -ENOMEM;
	for (uint32_t i = 0; i < limit; i++) {
		struct pf_thread *t = pf_thread_at(i);

		if (t && pf_thread_is_live(t) && look(t, &w->items[w->count]))
			w->count++;
	}
	for (uint32_t i = 0; i < w->count; i++)
		if (w->items[i].owner && !w->items[i].circle)
			mark_circle(w, &w->items[i], &numbers);
	return 0;
}

static void add_stack(struct pf_profile *p, struct pf_proc_reader *reader, struct pf_thread *t,
    struct pf_proc_stack *stack)
{
	static const uint64_t none = PF_PC_NO_STACK;
	static const int64_t one = 1;

	if (pf_proc_read(reader, t, stack) == PF_PROC_ASLEEP)
		pf_profile_add_sample(p, stack->pcs, stack->count, &one);
	else
		pf_profile_add_sample(p, &none, 1, &one);
}

static void add_labels(struct pf_profile *p, const struct blocked *b, int64_t now_ns)
{
	int64_t since_ns = b->since_ns;
	struct pf_thread *owner = b->owner ? pf_thread_find(b->owner) : NULL;

	if (!since_ns)
		since_ns = __atomic_load_n(&b->thread->still_since_ns, __ATOMIC_RELAXED);
	pf_profile_label_str(p, "thread", b->thread->name);
	pf_profile_label_num(p, "tid", b->tid, NULL);
	pf_profile_label_str(p, "kind", pf_wait_kind_name(b->kind));
	pf_profile_label_num(p, "lock", (int64_t)b->lock, NULL);
	pf_profile_label_num(p, "age_ns", now_ns - since_ns, "nanoseconds");
	if (!b->since_ns)
		pf_profile_label_num(p, "at_least", 1, NULL);
	if (b->lock_like)
		pf_profile_label_num(p, "lock_like", 1, NULL);
	if (b->owner)
		pf_profile_label_num(p, "owner", b->owner, NULL);
	if (owner)
		pf_profile_label_str(p, "owner_thread", owner->name);
	if (b->circle)
		pf_profile_label_num(p, "deadlock", b->circle, NULL);
}

static int add_waits(struct pf_profile *p)
{
	struct pf_proc_reader *reader = pf_proc_create();
	struct pf_proc_stack *stack = pf_memory_new(1, sizeof(*stack));
	struct waits waits = {0};
	int rc = reader && stack ? find_waits(&waits) : -ENOMEM;

	for (uint32_t i = 0; rc == 0 && i < waits.count; i++) {
		add_stack(p, reader, waits.items[i].thread, stack);
		add_labels(p, &waits.items[i], pf_clock_now_ns());
	}
	pf_memory_free(waits.items);
	pf_memory_free(stack);
	pf_proc_destroy(reader);
	return rc;
}

int pf_blocked_add(struct pf_profile *out)
{
	struct pf_profile *waiting = pf_profile_add_waiting(out);
	int rc;

	if (!waiting)
		return -ENOMEM;
	pf_cpu_scan();
	pf_profile_add_type(waiting, "threads", "count");
	waiting->time_ns = out->time_ns;
	rc = add_waits(waiting);
	if (rc == 0)
		rc = pf_map_fill(waiting);
	return rc < 0 ? rc : waiting->error;
}
