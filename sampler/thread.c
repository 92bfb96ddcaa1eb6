#include "sampler/thread.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/forbid.h"
#include "base/lock.h"
#include "sampler/crew.h"
#include "sampler/last.h"
#include "sampler/leaving.h"
#include "sampler/task.h"
#include "sampler/threadcreate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef PF_SMALL
enum { CHUNK_THREADS = 4, CHUNK_COUNT = 16384 };
#else
enum { CHUNK_THREADS = 256, CHUNK_COUNT = 256 };
#endif
enum { BUCKETS = 1024 };
static const int64_t NAME_SETTLES_NS = 3ll * PF_NS_PER_SECOND;

PF_TLS struct pf_thread *pf_thread_self;
static bool left_any; /* atomic: some thread is left alone */

/* Never moved, never given back: a handler may look at any slot at any time. */
static struct pf_thread *chunks[CHUNK_COUNT]; /* atomic */
static uint32_t exist;                        /* slots; guarded by registry_lock */
static uint32_t limit;                        /* atomic: slots that ever had a thread */

/* Taken in pthread_create and at thread start, maybe under malloc (an allocator's own threads). */
static struct pf_lock registry_lock = PF_LOCK_INIT(PF_LOCK_SHARD);
/* All guarded by registry_lock. Chain heads are stored plus one, so that zero is empty. */
static uint32_t buckets[BUCKETS];
static uint32_t free_head;
static uint32_t dead_head;
static bool keep_dead;

static struct pf_lock scan_lock = PF_LOCK_INIT(PF_LOCK_THREAD);

PF_SIGSAFE struct pf_thread *pf_thread_at(uint32_t number)
{
	struct pf_thread *chunk;

	if (number >= CHUNK_COUNT * CHUNK_THREADS)
		return NULL;
	chunk = __atomic_load_n(&chunks[number / CHUNK_THREADS], __ATOMIC_ACQUIRE);
	return chunk ? &chunk[number % CHUNK_THREADS] : NULL;
}

uint32_t pf_thread_limit(void)
{
	return __atomic_load_n(&limit, __ATOMIC_ACQUIRE);
}

struct pf_thread *pf_thread_find(pid_t tid)
{
	for (uint32_t i = 0; i < pf_thread_limit(); i++) {
		struct pf_thread *t = pf_thread_at(i);

		if (t && t->tid == tid && pf_thread_is_live(t))
			return t;
	}
	return NULL;
}

/* ---- slots ---- */

static PF_HOOK bool grow_locked(void)
{
	uint32_t first = exist;
	struct pf_thread *chunk;

	if (first >= CHUNK_COUNT * CHUNK_THREADS)
		return false;
	chunk = pf_arena_map(CHUNK_THREADS * sizeof(*chunk));
	if (!chunk)
		return false;
	for (uint32_t i = 0; i < CHUNK_THREADS; i++) {
		chunk[i].number = first + i;
		chunk[i].next = i + 1 < CHUNK_THREADS ? first + i + 2 : free_head;
	}
	free_head = first + 1;
	__atomic_store_n(&chunks[first / CHUNK_THREADS], chunk, __ATOMIC_RELEASE);
	exist = first + CHUNK_THREADS;
	return true;
}

/* A slot with nothing of its last thread left but descriptors, which are known to be old. */
static PF_HOOK struct pf_thread *take_locked(void)
{
	struct pf_thread *t;

	if (free_head == 0 && !grow_locked()) {
		pf_count(PF_COUNTER_THREAD_LOST_TABLE);
		return NULL;
	}
	t = pf_thread_at(free_head - 1);
	/* Those that never had one come in the order of their numbers. Before the chain is touched: for the child of a
	 * fork in between it is one of those to be chained anew. */
	if (t->number >= limit)
		__atomic_store_n(&limit, t->number + 1, __ATOMIC_RELEASE);
	free_head = t->next;
	t->next = 0;
	t->tid = 0;
	t->waits_mutex = 0;
	t->name[0] = '\0';
	t->met_number = 0;
	t->start = 0;
	t->argument = NULL;
	t->created_by = 0;
	t->creator = 0;
	t->labels = 0;
	t->stack = 0;
	t->forbidden = 0;
	t->left_alone = false;
	t->timer_refused = false;
	t->in_handler = 0;
	t->room_page = 0;
	t->sampled_cpu_ns = 0;
	t->blocks = false;
	t->blocks_known = false;
	t->blocks_looked_ns = 0;
	t->blocks_counted = false;
	t->blocks_met = 0;
	t->cpu_ns = 0;
	t->born_ns = pf_clock_now_ns();
	t->still_since_ns = t->born_ns;
	t->answer = 0;
	t->owes = 0;
	__atomic_fetch_add(&t->generation, 1, __ATOMIC_RELEASE);
	return t;
}

static PF_HOOK void free_locked(struct pf_thread *t)
{
	/* Signals still under way name the old generation. */
	__atomic_fetch_add(&t->generation, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&t->state, PF_THREAD_FREE, __ATOMIC_SEQ_CST);
	t->next = free_head;
	free_head = t->number + 1;
}

static PF_HOOK uint32_t *find_locked(pid_t tid)
{
	uint32_t *link = &buckets[(uint32_t)tid % BUCKETS];

	while (*link) {
		struct pf_thread *t = pf_thread_at(*link - 1);

		if (t->tid == tid)
			return link;
		link = &t->next;
	}
	return NULL;
}

static PF_HOOK void unlink_locked(struct pf_thread *t)
{
	uint32_t number = t->number + 1;

	for (uint32_t *link = &buckets[(uint32_t)t->tid % BUCKETS]; *link;
	     link = &pf_thread_at(*link - 1)->next)
		if (*link == number) {
			*link = t->next;
			return;
		}
}

static PF_HOOK void enter_locked(struct pf_thread *t, pid_t tid)
{
	uint32_t *head = &buckets[(uint32_t)tid % BUCKETS];

	t->tid = tid;
	t->next = *head;
	*head = t->number + 1;
	__atomic_store_n(&t->state, PF_THREAD_LIVE, __ATOMIC_SEQ_CST);
}

/* ---- birth and death ---- */

/* A thread that nobody has told us of, or one that lives on after it told its end (a destructor of
 * the program's that runs after ours): then it is what it was, and is not counted again. */
static PF_HOOK struct pf_thread *meet_locked(
    pid_t tid, const char *name, bool left_alone, bool *is_new)
{
	struct pf_thread *t = take_locked();
	struct pf_leaving *l = pf_leaving_find(tid);

	*is_new = t && !l;
	if (!t)
		return NULL;
	memcpy(t->name, name, sizeof(t->name));
	t->left_alone = left_alone;
	if (l) {
		t->start = l->start;
		t->created_by = l->created_by;
		t->labels = l->labels;
		t->creator = l->creator;
		t->sampled_cpu_ns = l->sampled_cpu_ns;
		l->tid = 0;
	} else {
		pf_count(PF_COUNTER_THREAD_SEEN);
	}
	enter_locked(t, tid);
	return t;
}

PF_HOOK struct pf_thread *pf_thread_conceive(uint64_t start, void *argument, uint32_t created_by)
{
	struct pf_thread *t;

	pf_lock_take(&registry_lock);
	t = take_locked();
	if (t) {
		t->start = start;
		t->argument = argument;
		t->created_by = created_by;
		t->forbidden = pf_forbidden_here;
		if (!pf_is_forbidden(PF_FORBIDDEN_HOST))
			t->creator = (pid_t)syscall(SYS_gettid);
		if (pf_thread_self)
			t->labels = __atomic_load_n(&pf_thread_self->labels, __ATOMIC_RELAXED);
		__atomic_store_n(&t->state, PF_THREAD_BIRTH, __ATOMIC_SEQ_CST);
	}
	pf_lock_give(&registry_lock);
	return t;
}

PF_HOOK void pf_thread_discard(struct pf_thread *t)
{
	pf_lock_take(&registry_lock);
	free_locked(t);
	pf_lock_give(&registry_lock);
}

/* Whoever had this number before us has ended unseen (and the scan has not noticed yet), or the
 * scan met us between clone and here: then its slot is ours twice, and ours is the better one. */
PF_HOOK struct pf_thread *pf_thread_begin(struct pf_thread *t)
{
	pid_t tid = (pid_t)syscall(SYS_gettid);
	struct pf_thread *other = NULL;
	uint32_t *link;

	syscall(SYS_prctl, PR_GET_NAME, t->name, 0, 0, 0);
	t->stack = (uintptr_t)&tid;
	pf_crew_pass_on(tid);
	pf_lock_take(&registry_lock);
	link = find_locked(tid);
	if (link)
		other = pf_thread_at(*link - 1);
	pf_leaving_forget(tid);
	enter_locked(t, tid);
	pf_lock_give(&registry_lock);
	pf_thread_self = t;
	pf_count(PF_COUNTER_THREAD_SEEN);
	/* Met by the scan after its creation: it was counted there, and by its creator, too. */
	if (other && other->start == 0 && other->born_ns >= t->born_ns)
		pf_threadcreate_count(0, -1);
	return other && pf_thread_end(other) ? other : NULL;
}

PF_HOOK bool pf_thread_end(struct pf_thread *t)
{
	uint32_t live = PF_THREAD_LIVE;

	return __atomic_compare_exchange_n(
	    &t->state, &live, PF_THREAD_ENDING, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static PF_HOOK void release_locked(struct pf_thread *t)
{
	unlink_locked(t);
	if (keep_dead) {
		__atomic_store_n(&t->state, PF_THREAD_DEAD, __ATOMIC_SEQ_CST);
		t->next = dead_head;
		dead_head = t->number + 1;
	} else {
		free_locked(t);
	}
}

PF_HOOK void pf_thread_release(struct pf_thread *t)
{
	pf_lock_take(&registry_lock);
	release_locked(t);
	pf_lock_give(&registry_lock);
}

PF_HOOK void pf_thread_leave(struct pf_thread *t)
{
	pf_lock_take(&registry_lock);
	pf_leaving_note(t);
	release_locked(t);
	pf_lock_give(&registry_lock);
}

void pf_thread_keep_dead(bool keep)
{
	pf_lock_take(&registry_lock);
	keep_dead = keep;
	pf_lock_give(&registry_lock);
}

uint32_t pf_thread_dead(void)
{
	uint32_t dead;

	pf_lock_take(&registry_lock);
	dead = dead_head;
	dead_head = 0;
	pf_lock_give(&registry_lock);
	return dead;
}

void pf_thread_bury(uint32_t dead)
{
	pf_lock_take(&registry_lock);
	while (dead) {
		struct pf_thread *t = pf_thread_at(dead - 1);

		dead = t->next;
		free_locked(t);
	}
	pf_lock_give(&registry_lock);
}

void pf_thread_set_alone(struct pf_thread *t, bool alone)
{
	if (alone)
		__atomic_store_n(&left_any, true, __ATOMIC_SEQ_CST);
	if (t)
		__atomic_store_n(&t->left_alone, alone, __ATOMIC_SEQ_CST);
}

/* Nobody saw it being created; the main thread was not. */
static PF_HOOK void count_unseen(pid_t tid)
{
	if (tid != (pid_t)syscall(SYS_getpid))
		pf_threadcreate_count(0, 1);
}

PF_HOOK struct pf_thread *pf_thread_enrol_self(void)
{
	pid_t tid = (pid_t)syscall(SYS_gettid);
	char name[PF_THREAD_NAME] = "";
	struct pf_thread *t;
	bool is_new = false;
	uint32_t *link;

	if (pf_thread_self)
		return pf_thread_self;
	syscall(SYS_prctl, PR_GET_NAME, name, 0, 0, 0);
	pf_lock_take(&registry_lock);
	link = find_locked(tid);
	if (link)
		t = pf_thread_at(*link - 1);
	else
		t = meet_locked(tid, name, pf_is_forbidden(PF_FORBIDDEN_HOST), &is_new);
	pf_lock_give(&registry_lock);
	if (is_new)
		count_unseen(tid);
	pf_thread_self = t;
	return t;
}

/* ---- the scan ---- */

void pf_thread_note_cpu(struct pf_thread *t, int64_t cpu_ns, int64_t now_ns)
{
	if (cpu_ns == __atomic_load_n(&t->cpu_ns, __ATOMIC_RELAXED))
		return;
	__atomic_store_n(&t->cpu_ns, cpu_ns, __ATOMIC_RELAXED);
	__atomic_store_n(&t->still_since_ns, now_ns, __ATOMIC_RELAXED);
}

static bool read_name(pid_t tid, char name[PF_THREAD_NAME])
{
	ssize_t length;

	memset(name, 0, PF_THREAD_NAME);
	length = pf_task_read(tid, "comm", name, PF_THREAD_NAME);
	if (length <= 0)
		return false;
	name[length - 1] = '\0'; /* over the line's end */
	return true;
}

/* Somebody may read it at any moment: what has not changed is not written. */
static void renew_name(struct pf_thread *t)
{
	char name[PF_THREAD_NAME];

	if (read_name(t->tid, name) && strcmp(name, t->name) != 0)
		memcpy(t->name, name, sizeof(t->name));
}

static bool is_known(pid_t tid)
{
	bool known;

	pf_lock_take(&registry_lock);
	known = find_locked(tid) != NULL;
	pf_lock_give(&registry_lock);
	return known;
}

/* The number of one that is gone may be somebody else's now. */
static void forget_if_reused(pid_t tid)
{
	int64_t told_ns = -1;
	struct pf_leaving *l;

	pf_lock_take(&registry_lock);
	l = pf_leaving_find(tid);
	if (l)
		told_ns = l->told_ns;
	pf_lock_give(&registry_lock);
	if (!l || pf_task_begun_ns(tid) <= told_ns)
		return;
	pf_lock_take(&registry_lock);
	l = pf_leaving_find(tid);
	if (l && l->told_ns == told_ns)
		l->tid = 0;
	pf_lock_give(&registry_lock);
}

/* It may have inherited a filter that forbids us to touch it, past the hook of its creation. */
static bool is_filtered(pid_t tid)
{
	uint64_t mode = 0;

	return pf_task_status(tid, "\nSeccomp:", 10, &mode) < 0 || mode != 0;
}

/* A slot for a thread that stands in /proc and not here: true when it got one. */
static bool meet(pid_t tid)
{
	char name[PF_THREAD_NAME];
	struct pf_thread *t = NULL;
	bool is_new = false;
	bool left_alone = __atomic_load_n(&left_any, __ATOMIC_SEQ_CST) && is_filtered(tid);

	if (!read_name(tid, name))
		return false;
	forget_if_reused(tid);
	pf_lock_take(&registry_lock);
	if (!find_locked(tid))
		t = meet_locked(tid, name, left_alone, &is_new);
	pf_lock_give(&registry_lock);
	if (is_new)
		count_unseen(tid);
	if (is_new && left_alone)
		pf_count(PF_COUNTER_THREADS_LEFT_ALONE);
	return t;
}

/* A clock that ran backwards belongs to somebody new under an old number: true, and yet to be met. */
static bool look_at(struct pf_thread *t, int64_t now_ns, void (*gone)(struct pf_thread *thread))
{
	/* First what was noted: a handler or a dump may note a later time at any moment. */
	int64_t before = __atomic_load_n(&t->cpu_ns, __ATOMIC_ACQUIRE);
	int64_t cpu = pf_clock_ns(pf_clock_of_thread(t->tid));

	if (cpu < 0 || cpu < before) {
		if (pf_thread_end(t))
			gone(t);
		return cpu >= 0;
	}
	/* A name is set by the thread itself, or by its creator soon after its birth. */
	if (cpu != before || now_ns - t->born_ns < NAME_SETTLES_NS)
		renew_name(t);
	pf_thread_note_cpu(t, cpu, now_ns);
	return false;
}

static int scan_once(int *fresh_count)
{
	struct pf_task_list list;
	int rc = pf_task_list(&list);

	*fresh_count = 0;
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < list.count; i++) {
		pid_t tid = list.tids[i];

		if (!is_known(tid) && meet(tid))
			++*fresh_count;
	}
	pf_task_list_finish(&list);
	return 0;
}

static int meet_all(void)
{
	int fresh;
	int rc;

	do
		rc = scan_once(&fresh);
	while (rc == 0 && fresh > 0);
	return rc;
}

struct census {
	int64_t live;
	bool again; /* somebody is there who has not been met */
};

static struct census look_at_all(void (*gone)(struct pf_thread *thread))
{
	int64_t now_ns = pf_clock_now_ns();
	struct census c = {0};

	for (uint32_t i = 0; i < pf_thread_limit(); i++) {
		struct pf_thread *t = pf_thread_at(i);

		if (!t || !pf_thread_is_live(t))
			continue;
		c.again |= look_at(t, now_ns, gone);
		c.live += pf_thread_is_live(t);
	}
	return c;
}

static int scan_locked(void (*gone)(struct pf_thread *thread))
{
	int rc;

	/* Without /proc those that the hook knows are looked at all the same. */
	do
		rc = meet_all();
	while (look_at_all(gone).again && rc == 0);
	return rc;
}

int pf_thread_scan(void (*gone)(struct pf_thread *thread))
{
	int rc;

	pf_lock_take(&scan_lock);
	rc = scan_locked(gone);
	pf_lock_give(&scan_lock);
	return rc;
}

int pf_thread_rescan(void (*gone)(struct pf_thread *thread))
{
	int rc = 0;

	pf_lock_take(&scan_lock);
	if (look_at_all(gone).live != pf_task_count())
		rc = scan_locked(gone);
	pf_lock_give(&scan_lock);
	return rc;
}

int pf_thread_blocked(pid_t tid, uint64_t *mask)
{
	return pf_task_status(tid, "\nSigBlk:", 16, mask);
}

PF_SIGSAFE void pf_thread_fork_child(void)
{
	pf_threadcreate_fork_child();
	pf_last_fork_child();
	pf_thread_self = NULL;
	registry_lock.word = 0;
	scan_lock.word = 0;
	free_head = limit < exist ? limit + 1 : 0; /* those are chained as they were made */
	dead_head = 0;
	keep_dead = false;
	pf_leaving_fork_child();
	for (uint32_t i = 0; i < BUCKETS; i++)
		buckets[i] = 0;
	for (uint32_t i = limit; i-- > 0;) {
		struct pf_thread *t = pf_thread_at(i);

		t->generation++;
		t->state = PF_THREAD_FREE;
		t->timer_state = 0;
		t->event_fd = 0;
		t->asks = 0;
		t->reading = 0;
		t->syscall_fd = 0;
		t->next = free_head;
		free_head = i + 1;
	}
}
