#include "sampler/cpu.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/feature.h"
#include "base/knob.h"
#include "base/lock.h"
#include "sampler/arm.h"
#include "sampler/ask.h"
#include "sampler/collection.h"
#include "sampler/crew.h"
#include "sampler/demand.h"
#include "sampler/drain.h"
#include "sampler/label.h"
#include "sampler/precise.h"
#include "sampler/proc.h"
#include "sampler/ring.h"
#include "sampler/sample.h"
#include "sampler/signal.h"
#include "sampler/sigwait_hook.h"
#include "sampler/task.h"
#include "sampler/timer.h"
#include "sampler/wall.h"

#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A thread whose clock is this many samples ahead of its records is not being sampled. */
enum { OVERDUE_SAMPLES = 4 };

/* Each wake costs an idle process some 60 us. So the ring is emptied more rarely while little comes: at
 * the shortest calm period a processor brings 100 records meanwhile. */
static const int64_t DRAIN_INTERVAL_NS = 100ll * PF_NS_PER_MS;
static const int64_t CALM_DRAIN_INTERVAL_NS = 500ll * PF_NS_PER_MS;
static const int64_t CALM_PERIOD_NS = 5ll * PF_NS_PER_MS;
enum { CALM_RECORDS = 1024 };
static const int64_t LOOK_INTERVAL_NS = PF_NS_PER_SECOND;

static struct pf_lock control_lock = PF_LOCK_INIT(PF_LOCK_WINDOW);
static struct pf_demand recorder; /* in the list while the recorder is on */
static struct pf_demand *demands; /* guarded by control_lock */

static struct pf_lock drain_lock = PF_LOCK_INIT(PF_LOCK_WINDOW); /* one reader of the ring */
static struct pf_feed feed = PF_FEED_INIT(PF_COUNTER_CPU_LOST_RECORDER);

static bool look_asked; /* atomic: a look round is due before its time */

static bool timers_refused; /* guarded by control_lock: events stand in for all of them */

bool pf_cpu_active(void)
{
	return pf_sample_period_ns() != 0;
}

/* ---- the drainer ---- */

static void feed_record(const struct pf_ring_record *in)
{
	const struct pf_thread *t = pf_thread_at(in->thread);
	struct pf_record out = {
	    .time_ns = in->time_ns,
	    .weight_ns = in->weight_ns,
	    .stack = in->stack,
	    .tid = in->tid,
	    .labels = in->labels,
	    .state = PF_STATE_NONE,
	    .kind = in->rest ? PF_RECORD_REST : PF_RECORD_SAMPLE,
	    .count = in->rest ? 0 : 1,
	};

	if (!in->rest)
		out.nominal_ns = pf_sample_nominal_ns(t);
	/* Another thread in the slot: the record is from before a pause, its thread forgotten. */
	if (t && t->tid == in->tid) {
		out.start = t->start;
		for (size_t i = 0; i + 1 < sizeof(out.name); i++)
			out.name[i] = t->name[i];
	}
	pf_feed_add(&feed, &out);
}

static void feed_lost(void)
{
	struct pf_record lost = {
	    .time_ns = pf_clock_now_ns(),
	    .state = PF_STATE_NONE,
	    .kind = PF_RECORD_LOST,
	};

	lost.count = pf_sample_lost(&lost.weight_ns);
	if (lost.count)
		pf_feed_add(&feed, &lost);
}

/* Moves everything from the ring to the feed; returns how much that was. */
static size_t drain(void)
{
	struct pf_ring_record record;
	size_t count = 0;
	uint32_t dead;

	pf_lock_take(&drain_lock);
	/* Whoever is dead by now has its last record in the ring already. */
	dead = pf_thread_dead();
	for (; pf_ring_pop(&record); count++)
		feed_record(&record);
	feed_lost();
	pf_thread_bury(dead);
	pf_lock_give(&drain_lock);
	return count;
}

void pf_cpu_scan(void)
{
	pf_thread_scan(pf_sample_thread_gone);
}

void pf_cpu_rescan(void)
{
	pf_thread_rescan(pf_sample_thread_gone);
}

static bool is_signal_gone(void)
{
	bool claimed = pf_sigwait_claimed(); /* once only */

	return claimed || !pf_signal_is_ours();
}

/* The program has found a use for our signal: leave it the signal, take another. */
static void move_signal_locked(void)
{
	pf_arm_none();
	if (pf_signal_move() < 0) {
		pf_sample_set_period_ns(0);
		pf_feature_set(PF_FEATURE_CPU, PF_FEATURE_NONE,
		    "the program took our real-time signal, and no other is free");
		return;
	}
	pf_arm_all(pf_sample_period_ns());
	pf_feature_set(PF_FEATURE_CPU, PF_FEATURE_DEGRADED,
	    "the program took our real-time signal; sampling goes on with another");
}

void pf_cpu_mind_signal(void)
{
	pf_lock_take(&control_lock);
	if (!pf_cpu_active() && pf_signal_number() && is_signal_gone())
		pf_signal_move(); /* or it stays without, and says so when it asks */
	pf_lock_give(&control_lock);
}

/* A filter of system calls may refuse timers and let events pass, as those of containers do not. */
static bool events_must_do(void)
{
	return pf_crew_has((pid_t)syscall(SYS_gettid)) && pf_precise_probe() == 0;
}

#define EVENTS_INSTEAD "timer_create is refused (a seccomp filter?); perf events instead"

/* Threads that came and went, timers that are missing, signals that are blocked. */
static void look_round_locked(void)
{
	int64_t overdue_ns = OVERDUE_SAMPLES * pf_sample_nominal_ns(NULL);
	int rc;

	if (is_signal_gone())
		move_signal_locked();
	if (!pf_cpu_active())
		return; /* there is no other signal to move to */
	if (pf_knob_get(PF_KNOB_CPU_PRECISE) || timers_refused)
		pf_precise_update(pf_sample_period_ns());
	else
		pf_precise_update(0);
	rc = pf_arm_missing(pf_sample_period_ns());
	/* A filter that the program has installed since the start. */
	if (rc < 0 && rc != -EAGAIN && !timers_refused && events_must_do()) {
		timers_refused = true;
		pf_feature_set(PF_FEATURE_CPU, PF_FEATURE_DEGRADED, EVENTS_INSTEAD);
		pf_precise_update(pf_sample_period_ns());
	}
	if (rc == -EAGAIN)
		pf_feature_set(PF_FEATURE_CPU, PF_FEATURE_DEGRADED,
		    "no room for the timers of some threads (RLIMIT_SIGPENDING); their time is shown "
		    "as not sampled");
	else if (rc < 0 && !timers_refused)
		pf_feature_set(PF_FEATURE_CPU, PF_FEATURE_DEGRADED,
		    "timer_create is refused for some threads (a seccomp filter?); their time is "
		    "shown as not sampled");
	pf_arm_check(overdue_ns);
	pf_sample_rests(overdue_ns);
}

static void look_round(void)
{
	pf_cpu_rescan();
	pf_lock_take(&control_lock);
	if (pf_cpu_active())
		look_round_locked();
	pf_lock_give(&control_lock);
}

/* Nothing samples any more: give the dead threads' slots back. */
static void settle(void)
{
	pf_lock_take(&control_lock);
	if (!pf_cpu_active()) {
		pf_thread_keep_dead(false);
		pf_thread_bury(pf_thread_dead());
	}
	pf_lock_give(&control_lock);
}

/* Whoever collects drains for himself: only the ring, and the slots of threads that have ended, must not
 * run out. */
static int64_t drain_interval_ns(size_t drained)
{
	bool calm = drained < CALM_RECORDS && pf_sample_period_ns() >= CALM_PERIOD_NS &&
		    !pf_precise_is_used();

	return calm ? CALM_DRAIN_INTERVAL_NS : DRAIN_INTERVAL_NS;
}

int64_t pf_cpu_turn(int64_t now_ns)
{
	static int64_t due_ns, look_due_ns; /* the drainer's alone */
	size_t drained;

	if (!pf_cpu_active()) {
		pf_precise_update(0);
		drain();
		settle();
		due_ns = 0;
		return -1;
	}
	if (__atomic_exchange_n(&look_asked, false, __ATOMIC_ACQ_REL))
		look_due_ns = 0;
	else if (now_ns < due_ns && now_ns < look_due_ns)
		return look_due_ns < due_ns ? look_due_ns : due_ns;
	drained = drain();
	pf_precise_shuffle();
	due_ns = pf_clock_beat_after(now_ns, drain_interval_ns(drained));
	if (now_ns >= look_due_ns) {
		int64_t again_ns;

		look_round();
		again_ns = pf_arm_look_again_ns();
		look_due_ns = again_ns >= 0 ? now_ns + again_ns
					    : pf_clock_beat_after(now_ns, LOOK_INTERVAL_NS);
	}
	return look_due_ns < due_ns ? look_due_ns : due_ns;
}

/* ---- on and off ---- */

PF_HOOK void pf_cpu_look_soon(void)
{
	__atomic_store_n(&look_asked, true, __ATOMIC_RELEASE);
	pf_drain_wake();
}

static int begin_locked(int64_t period)
{
	int rc = pf_signal_install();

	if (rc < 0) {
		pf_feature_set(PF_FEATURE_CPU, PF_FEATURE_NONE,
		    "every real-time signal is taken by the program");
		return -EOPNOTSUPP;
	}
	rc = pf_ring_init();
	if (rc < 0)
		return rc;
	pf_thread_keep_dead(true);
	pf_cpu_scan();
	pf_sample_forget();
	pf_sample_set_period_ns(period);
	pf_cpu_look_soon();
	rc = pf_arm_all(period);
	timers_refused = rc < 0 && events_must_do();
	if (timers_refused) {
		pf_feature_set(PF_FEATURE_CPU, PF_FEATURE_DEGRADED, EVENTS_INSTEAD);
		return 0;
	}
	if (rc < 0) {
		pf_sample_set_period_ns(0);
		pf_feature_set(
		    PF_FEATURE_CPU, PF_FEATURE_NONE, "timer_create is refused (a seccomp filter?)");
		return -EOPNOTSUPP;
	}
	pf_feature_set(PF_FEATURE_CPU, PF_FEATURE_OK, NULL);
	return 0;
}

/* Brings the timers in line with the demands. */
static int update_locked(void)
{
	int64_t hz = pf_demand_hz(demands, PF_KNOB_CPU_HZ);
	int64_t period = hz ? PF_NS_PER_SECOND / hz : 0;

	if (period == pf_sample_period_ns())
		return 0;
	if (!pf_cpu_active())
		return begin_locked(period);
	pf_sample_set_period_ns(period);
	pf_cpu_look_soon(); /* the ring may have to be emptied more often from now on */
	if (period)
		return timers_refused ? 0 : pf_arm_all(period);
	pf_arm_none();
	timers_refused = false;
	pf_feature_set(PF_FEATURE_CPU, PF_FEATURE_OFF, NULL);
	return 0;
}

static void withdraw_locked(struct pf_demand *d)
{
	pf_demand_remove(&demands, d);
	update_locked();
}

static int demand_locked(struct pf_demand *d)
{
	int rc;

	pf_demand_add(&demands, d);
	rc = update_locked();
	if (rc < 0)
		withdraw_locked(d);
	return rc;
}

bool pf_cpu_enabled(void)
{
	bool on;

	pf_lock_take(&control_lock);
	on = pf_demand_has(demands, &recorder);
	pf_lock_give(&control_lock);
	return on;
}

int pf_cpu_enable(bool on)
{
	int rc = 0;

	pf_lock_take(&control_lock);
	if (on != pf_demand_has(demands, &recorder)) {
		if (on)
			rc = demand_locked(&recorder);
		else
			withdraw_locked(&recorder);
		if (rc == 0)
			pf_feed_record(&feed, on);
	}
	pf_lock_give(&control_lock);
	return rc;
}

/* A program's thread may not try: the descriptor would be in the program's table. */
static int apply_precise(enum pf_knob_id id, int64_t value)
{
	int rc = value && pf_crew_has((pid_t)syscall(SYS_gettid)) ? pf_precise_probe() : 0;

	if (rc == 0)
		pf_cpu_look_soon();
	return rc;
}

static int apply_hz(enum pf_knob_id id, int64_t value)
{
	int rc;

	pf_lock_take(&control_lock);
	rc = update_locked();
	pf_lock_give(&control_lock);
	pf_cpu_look_soon();
	return rc;
}

void pf_cpu_init(void)
{
	pf_knobs[PF_KNOB_CPU_HZ].apply = apply_hz;
	pf_knobs[PF_KNOB_CPU_PRECISE].apply = apply_precise;
}

void pf_cpu_stop(void)
{
	pf_cpu_enable(false);
	pf_lock_take(&control_lock);
	demands = NULL;
	update_locked();
	pf_lock_give(&control_lock);
}

PF_SIGSAFE void pf_cpu_fork_child(void)
{
	control_lock.word = 0;
	drain_lock.word = 0;
	demands = NULL;
	look_asked = false;
	timers_refused = false;
	pf_signal_fork_child();
	pf_ask_fork_child();
	pf_precise_fork_child();
	pf_thread_fork_child();
	pf_task_fork_child();
	pf_drain_fork_child();
	pf_wall_fork_child();
	pf_label_fork_child();
	pf_sample_fork_child();
	pf_proc_fork_child();
	pf_feed_fork_child(&feed);
}

/* ---- collecting ---- */

/* Everything used up to now is in the feed when this returns. */
static void bring_up_to_date(void)
{
	pf_sample_rests(0);
	drain();
}

static int demand(struct pf_demand *d, bool on)
{
	int rc = 0;

	pf_lock_take(&control_lock);
	if (on)
		rc = demand_locked(d);
	else
		withdraw_locked(d);
	pf_lock_give(&control_lock);
	return rc;
}

static void comment(struct pf_profile *out, int64_t hz)
{
	if (pf_knob_get(PF_KNOB_CPU_PRECISE))
		pf_profile_comment(
		    out, "cpu: %lld Hz per thread, by perf events where possible", (long long)hz);
	else
		pf_profile_comment(out, "cpu: %lld Hz per thread, timers looked at every %lld us",
		    (long long)hz, (long long)(pf_timer_tick_ns() / PF_NS_PER_US));
}

int pf_cpu_collect(struct pf_profile *out, const struct pf_query *query, struct pf_wait *wait)
{
	static const enum pf_counter losses[] = {PF_COUNTER_CPU_LOST_RING,
	    PF_COUNTER_CPU_LOST_STACK, PF_COUNTER_CPU_LOST_NESTED, PF_COUNTER_CPU_LOST_TIMER,
	    PF_COUNTER_CPU_LOST_TAKEN, PF_COUNTER_CPU_LOST_BLOCKED, PF_COUNTER_CPU_LOST_RECORDER,
	    PF_COUNTER_STACK_NO_ROOM, PF_COUNTER_STACK_OVERFLOW, PF_COUNTER_THREAD_LOST_TABLE,
	    PF_COUNTER_LABEL_LOST};
	static const struct pf_collection collection = {
	    .name = "cpu",
	    .hz = PF_KNOB_CPU_HZ,
	    .feed = &feed,
	    .recorded = pf_cpu_enabled,
	    .demand = demand,
	    .bring_up_to_date = bring_up_to_date,
	    .comment = comment,
	    .nothing = "no thread of the program ran",
	    .losses = losses,
	    .loss_count = PF_COUNT(losses),
	};

	return pf_collection_run(&collection, out, query, wait);
}
