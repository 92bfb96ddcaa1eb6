#include "sampler/gather.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/feature.h"
#include "base/memory.h"
#include "base/profile.h"
#include "sampler/arm.h"
#include "sampler/ask.h"
#include "sampler/feed.h"

#include <errno.h>
#include <string.h>

/* Between two looks at those asked: one may have gone to sleep meanwhile. */
enum { LOOK_AGAIN_NS = 5 * PF_NS_PER_MS };
/* How long to look again for one that cannot be asked, and perhaps only woke for a moment. */
enum { UNASKED_NS = 200 * PF_NS_PER_MS };
/* So many times a thread may be met running, with sleeps between, before it answers. */
enum { STRETCHES = 8 };

/* Rounds one behind the other. */
struct stretch {
	int64_t at_ns; /* of the last */
	int64_t span_ns;
	uint32_t rounds;
};

/* A thread that was asked. It may end, and its slot have another thread, before it is settled. */
struct asked {
	struct pf_ask ask;
	struct pf_thread then; /* a copy of its slot when it was asked */
	int state;
	bool met;         /* in this round, running */
	bool refused;     /* it cannot be asked */
	int64_t until_ns; /* in the last round it is waited for no longer than that */
	struct stretch stretches[STRETCHES]; /* in which it was met so, this round in the last */
	uint32_t count;
};

struct pf_gather {
	struct pf_proc_reader *reader;
	const struct pf_round *round;
	int64_t now_ns; /* when it began, or looked again */
	struct asked *asked;
	size_t count, capacity;
	bool ticks; /* it is the one with answers to come: the threads' `owes` are its own */
	int unasked; /* in this round, why somebody could not be asked (ask.h); -ENOSYS: not by a timer */
	bool was_asked;             /* in this round: somebody was */
	struct pf_proc_stack stack; /* of the thread at hand: large */
};

/* ---- what is seen ---- */

/* Whom and what for. */
struct subject {
	const struct pf_thread *thread;
	struct stretch stretch;
	uint32_t labels;
	bool ended;
};

static struct stretch this_round(const struct pf_gather *g)
{
	return (struct stretch){
	    .at_ns = g->round->at_ns, .span_ns = g->round->span_ns, .rounds = 1};
}

static struct subject of_this_round(const struct pf_gather *g, const struct pf_thread *t)
{
	return (struct subject){
	    .thread = t,
	    .stretch = this_round(g),
	    .labels = __atomic_load_n(&t->labels, __ATOMIC_RELAXED),
	};
}

static bool is_there(const struct asked *a)
{
	return pf_thread_is_live(a->ask.thread) &&
	       pf_thread_generation(a->ask.thread) == a->then.generation;
}

static struct subject of_stretch(const struct asked *a, const struct stretch *stretch)
{
	bool there = is_there(a);

	return (struct subject){
	    .thread = there ? a->ask.thread : &a->then,
	    .ended = !there,
	    .labels = a->then.labels,
	    .stretch = *stretch,
	};
}

static void show(struct pf_gather *g, const struct subject *of, int state, uint32_t stack,
    const uint64_t *pcs, uint32_t count, bool reused)
{
	struct pf_sight sight = {
	    .thread = of->thread,
	    .ended = of->ended,
	    .labels = of->labels,
	    .at_ns = of->stretch.at_ns,
	    .span_ns = of->stretch.span_ns,
	    .rounds = of->stretch.rounds,
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

	pf_count_many(PF_COUNTER_THREAD_LOST, of->stretch.rounds);
	show(g, of, state, 0, &none, 1, false);
}

/* It was alive when it was met, so its time is shown; where it was nobody will know. */
static void show_ended(struct pf_gather *g, const struct subject *of, int state)
{
	static const uint64_t none = PF_PC_NO_STACK;

	pf_count(PF_COUNTER_THREAD_GONE);
	show(g, of, state, 0, &none, 1, false);
}

/* One answer for all that was asked. */
static void show_answer(struct pf_gather *g, const struct asked *a, uint32_t stack, uint32_t labels)
{
	const uint64_t *pcs;
	uint32_t count = pf_stack_read(stack, &pcs);

	pf_count(PF_COUNTER_THREAD_SIGNALLED);
	for (uint32_t i = 0; i < a->count; i++) {
		struct subject of = of_stretch(a, &a->stretches[i]);

		of.labels = labels;
		show(g, &of, a->state, stack, pcs, count, false);
	}
}

/* There will be no answer to the first `count` of them. */
static void show_unanswered(struct pf_gather *g, const struct asked *a, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct subject of = of_stretch(a, &a->stretches[i]);

		if (of.ended)
			show_ended(g, &of, a->state);
		else
			show_without_stack(g, &of, a->state);
	}
}

/* ---- asking ---- */

/* That a thread blocks the signal is no refusal. */
static void note_how(struct pf_gather *g, int rc)
{
	g->was_asked = true;
	if (rc < 0 && rc != -EPERM)
		g->unasked = rc;
}

/* The first is not waited for any longer, if there are too many. */
static void add_stretch(struct pf_gather *g, struct asked *a)
{
	struct stretch now = this_round(g);
	struct stretch *last = a->count ? &a->stretches[a->count - 1] : NULL;

	a->met = true;
	if (last && last->at_ns == now.at_ns - now.span_ns) {
		last->at_ns = now.at_ns;
		last->span_ns += now.span_ns;
		last->rounds++;
		return;
	}
	if (a->count == STRETCHES) {
		show_unanswered(g, a, 1);
		memmove(a->stretches, a->stretches + 1, --a->count * sizeof(now));
	}
	a->stretches[a->count++] = now;
}

/* The question that it has not answered yet. */
static struct asked *asked_before(struct pf_gather *g, const struct pf_thread *t)
{
	bool owes = g->ticks && t->owes && t->owes <= g->count;
	struct asked *a = owes ? &g->asked[t->owes - 1] : NULL;

	return a && a->ask.thread == t && a->then.generation == pf_thread_generation(t) ? a : NULL;
}

/* A thread that runs is asked by a timer, which cannot break a sleep; only one of which /proc does
 * not say whether it sleeps is sent a signal. */
static void ask(struct pf_gather *g, struct pf_thread *t, enum pf_proc_answer answer)
{
	struct subject of = of_this_round(g, t);
	struct asked a = {
	    .then = *t,
	    .state = PF_STATE_RUNNING,
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
	add_stretch(g, &a);
	g->asked[g->count++] = a;
	if (g->ticks)
		t->owes = (uint32_t)g->count;
}

/* Or has it come to block the signal, or to sleep where /proc does not say so? Then this is no part of that
 * question, and there will be no answer. */
static bool still_asked(struct asked *a, struct pf_thread *t, enum pf_proc_answer answer)
{
	int state = answer == PF_PROC_REFUSED ? pf_proc_state(t) : PF_STATE_RUNNING;

	a->refused |= state != a->state || pf_arm_was_blocked(t);
	return !a->refused;
}

static void look(struct pf_gather *g, struct pf_thread *t)
{
	enum pf_proc_answer answer = pf_proc_read(g->reader, t, &g->stack);
	struct asked *before = asked_before(g, t);
	struct subject of;

	if (answer == PF_PROC_ASLEEP) {
		show_asleep(g, t);
	} else if (answer == PF_PROC_GONE) {
		pf_count(PF_COUNTER_THREAD_GONE);
	} else if (answer == PF_PROC_FAILED) {
		of = of_this_round(g, t);
		show_without_stack(g, &of, PF_STATE_NONE);
	} else if (before && still_asked(before, t, answer)) {
		add_stretch(g, before);
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

/* Shows what it has said; not what another thread has said that has its slot by now. */
static bool show_if_answered(struct pf_gather *g, const struct asked *a)
{
	uint32_t stack, labels;

	/* Who was not asked, or blocks the signal by now: an older question's answer may come from anywhere. */
	if (a->refused || !pf_ask_answered(&a->ask, &stack, &labels) ||
	    pf_thread_generation(a->ask.thread) != a->then.generation)
		return false;
	if (stack)
		show_answer(g, a, stack, labels);
	else
		show_unanswered(g, a, a->count);
	return true;
}

static void forget(const struct pf_gather *g, struct asked *a)
{
	pf_ask_end(&a->ask);
	if (g->ticks && pf_thread_generation(a->ask.thread) == a->then.generation)
		a->ask.thread->owes = 0;
}

/* What can be said by now without a look at the thread. */
static bool settle_answered(struct pf_gather *g, struct asked *a)
{
	if (show_if_answered(g, a))
		return true;
	if (!is_there(a) || a->refused || pf_thread_is_alone(a->ask.thread))
		show_unanswered(g, a, a->count);
	else
		return false;
	return true;
}

/* In the last round, for one that was met running in it: true when there is nothing more to wait for. */
static bool settle_met(struct pf_gather *g, struct asked *a)
{
	enum pf_proc_answer answer;

	if (show_if_answered(g, a))
		return true;
	answer = is_there(a) ? pf_proc_read(g->reader, a->ask.thread, &g->stack) : PF_PROC_GONE;
	if (answer == PF_PROC_ASLEEP) {
		struct stretch *last = &a->stretches[a->count - 1];

		last->at_ns -= g->round->span_ns;
		last->span_ns -= g->round->span_ns;
		show_unanswered(g, a, --last->rounds ? a->count : a->count - 1);
		show_asleep(g, a->ask.thread);
		return true;
	}
	if (answer == PF_PROC_GONE) {
		for (uint32_t i = 0; i < a->count; i++) {
			struct subject of = of_stretch(a, &a->stretches[i]);

			of.thread = &a->then;
			of.ended = true;
			show_ended(g, &of, a->state);
		}
		return true;
	}
	if (g->now_ns < a->until_ns)
		return false;
	show_unanswered(g, a, a->count);
	return true;
}

/* How many were met running, and may still answer. */
static size_t settle_all_met(struct pf_gather *g)
{
	size_t waiting = 0;

	for (size_t i = 0; i < g->count; i++) {
		struct asked *a = &g->asked[i];

		if (a->met && settle_met(g, a)) {
			forget(g, a);
			a->met = false;
			a->count = 0;
		}
		waiting += a->met;
	}
	return waiting;
}

static void await(struct pf_gather *g)
{
	int64_t deadline_ns = g->round->deadline_ns;
	uint32_t seen = 0;

	while (settle_all_met(g) > 0) {
		int64_t next_ns = g->now_ns + LOOK_AGAIN_NS;

		pf_ask_wait(&seen, next_ns < deadline_ns ? next_ns : deadline_ns);
		g->now_ns = pf_clock_now_ns();
	}
}

/* ---- rounds ---- */

/* Who has answered meanwhile, and who never will, leaves. */
static void come_back(struct pf_gather *g)
{
	size_t kept = 0;

	for (size_t i = 0; i < g->count; i++) {
		struct asked *a = &g->asked[i];

		if (settle_answered(g, a)) {
			forget(g, a);
			continue;
		}
		a->met = false;
		a->until_ns = g->round->deadline_ns;
		g->asked[kept++] = *a;
		g->asked[kept - 1].ask.thread->owes = (uint32_t)kept;
	}
	g->count = kept;
}

static void begin(struct pf_gather *g, const struct pf_round *round)
{
	g->round = round;
	g->ticks |= !round->last;
	g->now_ns = pf_clock_now_ns();
	g->unasked = 0;
	g->was_asked = false;
	come_back(g);
}

static size_t count_met(const struct pf_gather *g)
{
	size_t met = 0;

	for (size_t i = 0; i < g->count; i++)
		met += g->asked[i].met;
	return met;
}

static size_t end(struct pf_gather *g)
{
	size_t met = count_met(g);

	if (g->round->last) {
		await(g);
		for (size_t i = 0; i < g->count; i++) {
			if (g->asked[i].count && !show_if_answered(g, &g->asked[i]))
				show_unanswered(g, &g->asked[i], g->asked[i].count);
			forget(g, &g->asked[i]);
		}
		g->count = 0;
	}
	say_how_asked(g);
	return met;
}

void pf_gather_let_go(struct pf_gather *g)
{
	for (size_t i = 0; g && i < g->count; i++)
		if (pf_thread_is_alone(g->asked[i].ask.thread)) {
			pf_ask_end(&g->asked[i].ask);
			g->asked[i].refused = true;
		}
}

bool pf_gather_is_owed(const struct pf_gather *g)
{
	return g->count > 0;
}

size_t pf_gather_round(struct pf_gather *g, const struct pf_round *round)
{
	begin(g, round);
	for (uint32_t i = 0; i < pf_thread_limit(); i++) {
		struct pf_thread *t = pf_thread_at(i);

		if (t && pf_thread_is_live(t))
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
		forget(g, &g->asked[i]);
	pf_proc_destroy(g->reader);
	pf_vec_free(g->asked, g->capacity, sizeof(*g->asked));
	pf_memory_free(g);
}
