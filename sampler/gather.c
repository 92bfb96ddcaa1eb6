#include "sampler/gather.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/feature.h"
#include "base/memory.h"
#include "base/profile.h"
#include "sampler/ask.h"
#include "sampler/feed.h"

#include <errno.h>
#include <stdlib.h>

/* Between two looks at those asked: one may have gone to sleep meanwhile. */
enum { LOOK_AGAIN_NS = 5 * PF_NS_PER_MS };
/* How long to look again for one that cannot be asked, and perhaps only woke for a moment. */
enum { UNASKED_NS = 200 * PF_NS_PER_MS };

/* A thread that was asked. It may end, and its slot have another thread, before it is settled. */
struct asked {
	struct pf_ask ask;
	struct pf_thread then; /* a copy of its slot when it was asked */
	int state;
	bool waits;         /* for an answer, or to be met asleep */
	bool refused;       /* it cannot be asked: not left over */
	int64_t until_ns;   /* waits no longer than that, if it is not left over */
	int64_t left_ns;    /* of the rounds in which it was left over */
	uint32_t left_over; /* how many */
};

struct pf_gather {
	struct pf_proc_reader *reader;
	const struct pf_round *round;
	int64_t now_ns; /* when it began, or looked again */
	struct asked *asked;
	size_t count, capacity;
	int unasked; /* in this round, why somebody could not be asked (ask.h); -ENOSYS: not by a timer */
	bool was_asked;             /* in this round: somebody was */
	struct pf_proc_stack stack; /* of the thread at hand: large */
};

/* ---- what is seen ---- */

/* Whom and what for. */
struct subject {
	const struct pf_thread *thread;
	int64_t span_ns;
	uint32_t rounds;
	bool before;
	bool ended;
};

static struct subject of_this_round(const struct pf_gather *g, const struct pf_thread *t)
{
	return (struct subject){.thread = t, .span_ns = g->round->span_ns, .rounds = 1};
}

static bool is_there(const struct asked *a)
{
	return pf_thread_is_live(a->ask.thread) &&
	       pf_thread_generation(a->ask.thread) == a->then.generation;
}

static struct subject of_rounds_before(const struct asked *a)
{
	bool there = is_there(a);

	return (struct subject){
	    .thread = there ? a->ask.thread : &a->then,
	    .ended = !there,
	    .span_ns = a->left_ns,
	    .rounds = a->left_over,
	    .before = true,
	};
}

static struct subject of_all_rounds(const struct pf_gather *g, const struct asked *a)
{
	struct subject of = of_rounds_before(a);

	of.span_ns += g->round->span_ns;
	of.rounds++;
	of.before = false;
	return of;
}

static void show(struct pf_gather *g, const struct subject *of, int state, uint32_t stack,
    const uint64_t *pcs, uint32_t count, bool reused)
{
	struct pf_sight sight = {
	    .thread = of->thread,
	    .ended = of->ended,
	    .span_ns = of->span_ns,
	    .rounds = of->rounds,
	    .before = of->before,
	    .state = state,
	    .age_ns = -1,
	    .reused = reused,
	    .stack = stack,
	    .pcs = pcs,
	    .count = count,
	};

	if (state != PF_STATE_RUNNING)
		sight.age_ns =
		    g->now_ns - __atomic_load_n(&of->thread->still_since_ns, __ATOMIC_RELAXED);
	g->round->each(g->round->context, &sight);
}

static void show_asleep(struct pf_gather *g, struct pf_thread *t)
{
	const struct pf_proc_stack *s = &g->stack;
	struct subject of = of_this_round(g, t);

	pf_thread_note_cpu(t, s->cpu_ns, g->now_ns);
	show(g, &of, s->state, s->stack, s->pcs, s->count, s->reused);
}

static void show_without_stack(struct pf_gather *g, const struct subject *of, int state)
{
	static const uint64_t none = PF_PC_NO_STACK;

	pf_count_many(PF_COUNTER_THREAD_LOST, of->rounds);
	show(g, of, state, 0, &none, 1, false);
}

static void show_answer(
    struct pf_gather *g, const struct subject *of, const struct asked *a, uint32_t stack)
{
	const uint64_t *pcs;
	uint32_t count = pf_stack_read(stack, &pcs);

	pf_count(PF_COUNTER_THREAD_SIGNALLED);
	show(g, of, a->state, stack, pcs, count, false);
}

/* ---- asking ---- */

/* That a thread blocks the signal is no refusal. */
static void note_how(struct pf_gather *g, int rc)
{
	g->was_asked = true;
	if (rc < 0 && rc != -EPERM)
		g->unasked = rc;
}

/* A thread that runs is asked by a timer, which cannot break a sleep; only one of which /proc does
 * not say whether it sleeps is sent a signal. */
static void ask(struct pf_gather *g, struct pf_thread *t, enum pf_proc_answer answer)
{
	struct subject of = of_this_round(g, t);
	struct asked a = {
	    .then = *t,
	    .state = PF_STATE_RUNNING,
	    .waits = true,
	    .until_ns = g->round->deadline_ns,
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
		show_without_stack(g, &of, a.state);
		return;
	}
	note_how(g, rc);
	a.refused = rc < 0;
	if (a.refused && g->now_ns + UNASKED_NS < a.until_ns)
		a.until_ns = g->now_ns + UNASKED_NS;
	g->asked[g->count++] = a;
}

static void look(struct pf_gather *g, struct pf_thread *t)
{
	enum pf_proc_answer answer = pf_proc_read(g->reader, t, &g->stack);
	struct subject of;

	if (answer == PF_PROC_ASLEEP) {
		show_asleep(g, t);
	} else if (answer == PF_PROC_GONE) {
		pf_count(PF_COUNTER_THREAD_GONE);
	} else if (answer == PF_PROC_FAILED) {
		of = of_this_round(g, t);
		show_without_stack(g, &of, PF_STATE_NONE);
	} else {
		ask(g, t, answer);
	}
}

static void say_how_asked(const struct pf_gather *g)
{
	if (!g->was_asked)
		return;
	if (g->unasked == 0)
		pf_feature_set(PF_FEATURE_RUNNER_STACKS, PF_FEATURE_OK, NULL);
	else if (g->unasked == -EBUSY)
		pf_feature_set(PF_FEATURE_RUNNER_STACKS, PF_FEATURE_NONE,
		    "every real-time signal is taken by the program");
	else if (g->unasked == -EAGAIN)
		pf_feature_set(PF_FEATURE_RUNNER_STACKS, PF_FEATURE_DEGRADED,
		    "no room for a timer or a signal (RLIMIT_SIGPENDING): some running threads "
		    "have no stack");
	else
		pf_feature_set(PF_FEATURE_RUNNER_STACKS, PF_FEATURE_NONE,
		    "timer_create is refused (a seccomp filter?), and a signal could break a sleep");
}

/* ---- answers ---- */

/* Not what another thread has said that has its slot by now. */
static bool has_answered(const struct asked *a, uint32_t *stack)
{
	return pf_ask_answered(&a->ask, stack) &&
	       pf_thread_generation(a->ask.thread) == a->then.generation;
}

/* It was alive when it was met, so its time is shown; where it was nobody will know. */
static void show_ended(struct pf_gather *g, const struct asked *a, const struct subject *of)
{
	static const uint64_t none = PF_PC_NO_STACK;

	pf_count(PF_COUNTER_THREAD_GONE);
	show(g, of, a->state, 0, &none, 1, false);
}

/* True when there is nothing more to wait for. A thread now asleep was not when it was left over:
 * of that time it is only known that it ran, or waited for a processor. */
static bool settle(struct pf_gather *g, struct asked *a)
{
	struct subject of = of_all_rounds(g, a), before = of_rounds_before(a);
	enum pf_proc_answer answer;
	uint32_t stack;

	if (has_answered(a, &stack)) {
		show_answer(g, &of, a, stack);
		return true;
	}
	if (of.ended) {
		show_ended(g, a, &of);
		return true;
	}
	answer = pf_proc_read(g->reader, a->ask.thread, &g->stack);
	if (answer == PF_PROC_ASLEEP) {
		if (a->left_over)
			show_without_stack(g, &before, a->state);
		show_asleep(g, a->ask.thread);
		return true;
	}
	if (answer == PF_PROC_GONE) {
		of.thread = &a->then;
		of.ended = true;
		show_ended(g, a, &of);
		return true;
	}
	if (g->now_ns < a->until_ns || (!g->round->last && !a->refused))
		return false;
	show_without_stack(g, &of, a->state);
	return true;
}

static void forget(struct asked *a)
{
	pf_ask_end(&a->ask);
	if (a->left_over && pf_thread_generation(a->ask.thread) == a->then.generation)
		a->ask.thread->left_over = 0;
}

/* How many may still be settled in this round. */
static size_t settle_all(struct pf_gather *g)
{
	size_t waiting = 0;

	for (size_t i = 0; i < g->count; i++) {
		struct asked *a = &g->asked[i];

		if (a->waits && settle(g, a)) {
			forget(a);
			a->waits = false;
		}
		waiting += a->waits && g->now_ns < a->until_ns;
	}
	return waiting;
}

static void await(struct pf_gather *g)
{
	int64_t deadline_ns = g->round->deadline_ns;
	uint32_t seen = 0;

	while (settle_all(g) > 0) {
		int64_t next_ns = g->now_ns + LOOK_AGAIN_NS;

		pf_ask_wait(&seen, next_ns < deadline_ns ? next_ns : deadline_ns);
		g->now_ns = pf_clock_now_ns();
	}
}

/* ---- rounds ---- */

/* Who has answered meanwhile: that is for the rounds before, and it is looked at anew. */
static bool settle_late(struct pf_gather *g, struct asked *a)
{
	struct subject before = of_rounds_before(a);
	uint32_t stack;

	if (!has_answered(a, &stack))
		return false;
	show_answer(g, &before, a, stack);
	forget(a);
	return true;
}

static void come_back(struct pf_gather *g)
{
	size_t kept = 0;

	for (size_t i = 0; i < g->count; i++) {
		if (settle_late(g, &g->asked[i]))
			continue;
		g->asked[i].until_ns = g->round->deadline_ns;
		g->asked[kept++] = g->asked[i];
	}
	g->count = kept;
}

static size_t leave_over(struct pf_gather *g)
{
	size_t kept = 0;

	for (size_t i = 0; i < g->count; i++) {
		struct asked *a = &g->asked[i];

		if (!a->waits)
			continue;
		a->left_ns += g->round->span_ns;
		a->left_over++;
		a->ask.thread->left_over = a->then.generation;
		g->asked[kept++] = *a;
	}
	g->count = kept;
	return kept;
}

static void begin(struct pf_gather *g, const struct pf_round *round)
{
	g->round = round;
	g->now_ns = pf_clock_now_ns();
	g->unasked = 0;
	g->was_asked = false;
	come_back(g);
}

static size_t end(struct pf_gather *g)
{
	await(g);
	say_how_asked(g);
	return leave_over(g);
}

size_t pf_gather_round(struct pf_gather *g, const struct pf_round *round)
{
	bool some_left;

	begin(g, round);
	some_left = g->count > 0;
	for (uint32_t i = 0; i < pf_thread_limit(); i++) {
		struct pf_thread *t = pf_thread_at(i);

		if (!t || !pf_thread_is_live(t))
			continue;
		if (some_left && t->left_over && t->left_over == pf_thread_generation(t))
			continue;
		look(g, t);
	}
	return end(g);
}

bool pf_gather_one(struct pf_gather *g, pid_t tid, const struct pf_round *round)
{
	struct pf_thread *t = pf_thread_find(tid);

	if (!t)
		return false;
	begin(g, round);
	look(g, t);
	end(g);
	return true;
}

struct pf_gather *pf_gather_create(void)
{
	struct pf_gather *g = pf_memory_new(1, sizeof(*g));

	if (!g)
		return NULL;
	g->reader = pf_proc_create();
	if (g->reader)
		return g;
	pf_memory_free(g);
	return NULL;
}

void pf_gather_destroy(struct pf_gather *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->count; i++)
		forget(&g->asked[i]);
	pf_proc_destroy(g->reader);
	pf_vec_free(g->asked, g->capacity, sizeof(*g->asked));
	pf_memory_free(g);
}
