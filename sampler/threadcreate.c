#include "sampler/threadcreate.h"
#include "base/clock.h"
#include "base/loss.h"
#include "base/memory.h"
#include "base/sort.h"
#include "sampler/cpu.h"
#include "sampler/map.h"
#include "sampler/stack.h"
#include "sampler/tally.h"
#include "sampler/thread.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static const uint64_t KEY_USED = 1ull << 63; /* with the stack's number below */

static struct pf_tally created = {.table_count = PF_TALLY_TABLES};
static bool counting; /* guarded by who starts and stops: never both at once */

PF_HOOK void pf_threadcreate_count(uint32_t stack, int change)
{
	struct pf_tally_row *row = pf_tally_find(&created, KEY_USED | stack);

	if (row)
		pf_tally_add(row, (uint64_t)(int64_t)change);
}

bool pf_threadcreate_start(void)
{
	if (counting)
		return false;
	pf_tally_clear(&created);
	counting = true;
	return true;
}

void pf_threadcreate_stop(void)
{
	counting = false;
}

PF_SIGSAFE void pf_threadcreate_fork_child(void)
{
	counting = false;
}

/* ---- reading ---- */

struct living {
	uint32_t *stacks; /* one for each living thread, sorted */
	size_t count, room;
	struct pf_profile *out;
};

static void add_sample(struct pf_profile *out, uint32_t stack, int64_t count, const char *state)
{
	static const uint64_t unknown = PF_PC_UNKNOWN_CREATOR;
	const uint64_t *pcs = &unknown;
	uint32_t pc_count = stack ? pf_stack_read(stack, &pcs) : 1;

	pf_profile_add_sample(out, pcs, pc_count, &count);
	pf_profile_label_str(out, "state", state);
}

/* Between its creation and its first instruction a thread has no number yet. */
static bool is_living(const struct pf_thread *t)
{
	uint32_t state = __atomic_load_n(&t->state, __ATOMIC_SEQ_CST);

	return state == PF_THREAD_BIRTH || (state == PF_THREAD_LIVE && t->tid != getpid());
}

static void add_living(struct living *l, const struct pf_thread *t)
{
	uint32_t stack = t->created_by;

	if (l->count == l->room)
		return; /* born since the table was made */
	add_sample(l->out, stack, 1, "living");
	if (t->tid) {
		pf_profile_label_str(l->out, "thread", t->name);
		pf_profile_label_num(l->out, "tid", t->tid, NULL);
	}
	if (t->creator)
		pf_profile_label_num(l->out, "creator", t->creator, NULL);
	l->stacks[l->count++] = stack;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static size_t first_not_below(const struct living *l, uint64_t stack)
{
	size_t low = 0, high = l->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (l->stacks[middle] < stack)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void add_ended(void *arg, const struct pf_tally_row *row, uint64_t count)
{
	struct living *l = arg;
	uint64_t stack = (uint32_t)row->key;
	int64_t living = (int64_t)(first_not_below(l, stack + 1) - first_not_below(l, stack));

	if ((int64_t)count > living)
		add_sample(l->out, (uint32_t)stack, (int64_t)count - living, "ended");
}

/* Of one thread: who created it. */
static int add_one(struct pf_profile *out, pid_t tid)
{
	struct living living = {.out = out, .room = 1, .stacks = &(uint32_t){0}};
	const struct pf_thread *t = pf_thread_find(tid);

	if (!t) {
		pf_cpu_scan(); /* made a moment ago, past our hook */
		t = pf_thread_find(tid);
	}
	if (!t)
		return -ESRCH;
	add_living(&living, t);
	return 0;
}

static int add_all(struct pf_profile *out)
{
	struct living living = {.out = out};

	pf_cpu_scan();
	living.room = pf_thread_limit();
	living.stacks = pf_memory_new(living.room + 1, sizeof(*living.stacks));
	if (!living.stacks)
		return -ENOMEM;
	for (uint32_t i = 0; i < living.room; i++) {
		const struct pf_thread *t = pf_thread_at(i);

		if (t && is_living(t))
			add_living(&living, t);
	}
	pf_sort(living.stacks, living.count, sizeof(*living.stacks), by_number);
	pf_tally_for_each(&created, add_ended, &living);
	pf_memory_free(living.stacks);
	return 0;
}

/* Who creates is of interest, not how libraries do it. None of these calls code of the program on the
 * creator's stack. */
static const char makers[] =
    "_*pthread_create(_.*|@.*)?|thrd_create|std::thread::_M_start_thread.*|"
    "std::(__1::)?j?thread::j?thread(<.*)?|"
    "std::thread::(spawn|Builder::spawn(_unchecked_?)?)|std::sys::.*thread::Thread::new";

int pf_threadcreate_collect(
    struct pf_profile *out, const struct pf_query *query, struct pf_wait *wait)
{
	static const enum pf_counter losses[] = {
	    PF_COUNTER_THREAD_LOST_TABLE, PF_COUNTER_STACK_OVERFLOW};
	int rc;

	(void)wait;
	out->time_ns = pf_clock_real_ns();
	out->leaf_is_return = true;
	out->drop_frames = makers;
	pf_profile_add_type(out, "threadcreate", "count");
	pf_profile_set_period(out, "threadcreate", "count", 1);
	rc = query->tid ? add_one(out, (pid_t)query->tid) : add_all(out);
	if (rc < 0)
		return rc;
	pf_loss_comment(out, losses, PF_COUNT(losses));
	rc = pf_map_fill(out);
	return rc < 0 ? rc : out->error;
}
