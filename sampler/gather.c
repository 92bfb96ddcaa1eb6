#include "sampler/gather.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/profile.h"
#include "sampler/ask.h"
#include "sampler/feed.h"

#include <errno.h>
#include <stdlib.h>

/* Between two looks at those asked: one may have gone to sleep meanwhile. */
enum { LOOK_AGAIN_NS = 5 * PF_NS_PER_MS };
/* How long to look again for one that cannot be asked, and perhaps only woke for a moment. */
enum { UNASKED_NS = 200 * PF_NS_PER_MS };

struct asked {
	struct pf_ask ask;
	uint32_t generation;
	int state;
	bool waits;       /* for an answer, or to be met asleep */
	int64_t until_ns; /* no longer than that */
};

struct gathering {
	struct pf_proc_reader *reader;
	pf_gather_fn *each;
	void *context;
	int64_t now_ns; /* when it began, or looked again */
	int64_t deadline_ns;
	struct asked *asked;
	size_t count, capacity;
	struct pf_proc_stack stack; /* of the thread at hand: large */
};

static void show(struct gathering *g, struct pf_thread *t, int state, uint32_t stack,
    const uint64_t *pcs, uint32_t count, bool reused)
{
	struct pf_sight sight = {
	    .thread = t,
	    .state = state,
	    .age_ns = -1,
	    .reused = reused,
	    .stack = stack,
	    .pcs = pcs,
	    .count = count,
	};

	if (state != PF_STATE_RUNNING)
		sight.age_ns = g->now_ns - __atomic_load_n(&t->still_since_ns, __ATOMIC_RELAXED);
	g->each(g->context, &sight);
}

static void show_asleep(struct gathering *g, struct pf_thread *t)
{
	const struct pf_proc_stack *s = &g->stack;

	pf_thread_note_cpu(t, s->cpu_ns, g->now_ns);
	show(g, t, s->state, s->stack, s->pcs, s->count, s->reused);
}

static void show_without_stack(struct gathering *g, struct pf_thread *t, int state)
{
	static const uint64_t none = PF_PC_NO_STACK;

	pf_count(PF_COUNTER_THREAD_LOST);
	show(g, t, state, 0, &none, 1, false);
}

static void show_answer(struct gathering *g, const struct asked *a, uint32_t stack)
{
	const uint64_t *pcs;
	uint32_t count = pf_stack_read(stack, &pcs);

	pf_count(PF_COUNTER_THREAD_SIGNALLED);
	show(g, a->ask.thread, a->state, stack, pcs, count, false);
}

/* A thread that runs is asked by a timer, which cannot break a sleep; only one of which /proc does
 * not say whether it sleeps is sent a signal. */
static void ask(struct gathering *g, struct pf_thread *t, enum pf_proc_answer answer)
{
	struct asked a = {
	    .generation = pf_thread_generation(t),
	    .state = PF_STATE_RUNNING,
	    .waits = true,
	    .until_ns = g->deadline_ns,
	};
	int rc;

	if (answer == PF_PROC_REFUSED)
		a.state = pf_proc_state(t);
	rc = pf_vec_reserve((void **)&g->asked, &g->capacity, sizeof(*g->asked), g->count + 1);
	if (rc == 0 && a.state == PF_STATE_RUNNING)
		rc = pf_ask_begin(&a.ask, t);
	else if (rc == 0)
		rc = pf_ask_send(&a.ask, t);
	if (rc == -EINVAL || rc == -ESRCH) {
		pf_count(PF_COUNTER_THREAD_GONE);
		return;
	}
	if (rc == -ENOMEM) {
		show_without_stack(g, t, a.state);
		return;
	}
	if (rc < 0 && g->now_ns + UNASKED_NS < a.until_ns)
		a.until_ns = g->now_ns + UNASKED_NS;
	g->asked[g->count++] = a;
}

static void look(struct gathering *g, struct pf_thread *t)
{
	enum pf_proc_answer answer = pf_proc_read(g->reader, t, &g->stack);

	if (answer == PF_PROC_ASLEEP)
		show_asleep(g, t);
	else if (answer == PF_PROC_GONE)
		pf_count(PF_COUNTER_THREAD_GONE);
	else
		ask(g, t, answer);
}

/* True when there is nothing more to wait for. */
static bool settle(struct gathering *g, struct asked *a)
{
	struct pf_thread *t = a->ask.thread;
	enum pf_proc_answer answer;
	uint32_t stack;

	if (pf_ask_answered(&a->ask, &stack)) {
		show_answer(g, a, stack);
		return true;
	}
	answer = pf_thread_is_live(t) && pf_thread_generation(t) == a->generation
		     ? pf_proc_read(g->reader, t, &g->stack)
		     : PF_PROC_GONE;
	if (answer == PF_PROC_ASLEEP)
		show_asleep(g, t);
	if (answer == PF_PROC_GONE)
		pf_count(PF_COUNTER_THREAD_GONE);
	if (answer == PF_PROC_ASLEEP || answer == PF_PROC_GONE)
		return true;
	if (g->now_ns < a->until_ns)
		return false;
	show_without_stack(g, t, a->state);
	return true;
}

static size_t settle_all(struct gathering *g)
{
	size_t waiting = 0;

	for (size_t i = 0; i < g->count; i++) {
		struct asked *a = &g->asked[i];

		if (a->waits && settle(g, a)) {
			pf_ask_end(&a->ask);
			a->waits = false;
		}
		waiting += a->waits;
	}
	return waiting;
}

/* Until everybody is settled; whoever has not answered in time is settled without a stack. */
static void await(struct gathering *g)
{
	uint32_t seen = 0;

	while (settle_all(g) > 0) {
		int64_t next_ns = g->now_ns + LOOK_AGAIN_NS;

		pf_ask_wait(&seen, next_ns < g->deadline_ns ? next_ns : g->deadline_ns);
		g->now_ns = pf_clock_now_ns();
	}
}

int pf_gather(struct pf_proc_reader *reader, int64_t deadline_ns, pf_gather_fn *each, void *context)
{
	struct gathering *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	g->reader = reader;
	g->each = each;
	g->context = context;
	g->now_ns = pf_clock_now_ns();
	g->deadline_ns = deadline_ns;
	for (uint32_t i = 0; i < pf_thread_limit(); i++) {
		struct pf_thread *t = pf_thread_at(i);

		if (t && pf_thread_is_live(t))
			look(g, t);
	}
	await(g);
	pf_vec_free(g->asked, g->capacity, sizeof(*g->asked));
	free(g);
	return 0;
}
