#include "sampler/wall.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/feature.h"
#include "base/knob.h"
#include "base/lock.h"
#include "sampler/collection.h"
#include "sampler/cpu.h"
#include "sampler/demand.h"
#include "sampler/drain.h"
#include "sampler/gather.h"
#include "sampler/lull.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

static const int64_t SCAN_INTERVAL_NS = PF_NS_PER_SECOND;
/* How long the feed waits for what quiet ticks have to say, if nobody asks. */
static const int64_t TELL_INTERVAL_NS = PF_NS_PER_SECOND;
/* How long the tick with which a window begins or ends waits for threads that run: no answer may be still to
 * come then. */
static const int64_t LAST_ANSWER_NS = 500ll * PF_NS_PER_MS;
/* How long a collector waits for a tick of its own: on a busy machine we must wait for our turn, too. */
static const int64_t TICK_WAIT_NS = 10ll * PF_NS_PER_SECOND;

static struct pf_lock control_lock = PF_LOCK_INIT(PF_LOCK_WINDOW);
static struct pf_demand recorder; /* in the list while the recorder is on */
static struct pf_demand *demands; /* guarded by control_lock */
static int64_t period_ns;         /* atomic, written under control_lock; 0: nothing samples */

static struct pf_feed feed = PF_FEED_INIT(PF_COUNTER_WALL_LOST);

static uint32_t ticks_wanted; /* atomic: ticks that collectors have asked for */
static uint32_t ticks_done;   /* atomic, a futex: of these, how many are done */

static bool alone_asked; /* atomic: there are threads to let go of */

/* The drainer's alone. */
static struct pf_gather *gather;
static int64_t last_tick_ns; /* 0: the next one only begins */
static int64_t due_ns, scan_due_ns;
static struct pf_lull lull; /* since the last full tick */
static uint32_t stage;      /* at that tick (activity.h) */
static uint64_t known;      /* how many threads had been seen by then */
static bool some_ran;       /* it met one that had run since the one before */

/* ---- a tick ---- */

struct tick {
	int64_t now_ns;
	int64_t span_ns;
};

/* Whoever is met stands for the whole time since the last tick, a thread that is younger too: of
 * those that live shorter than that, most are never met. */
static struct pf_record record_of(const struct pf_sight *sight)
{
	const struct pf_thread *t = sight->thread;
	struct pf_record record = {
	    .time_ns = sight->at_ns,
	    .weight_ns = sight->span_ns,
	    .spans = true,
	    .start = t->start,
	    .stack = sight->stack,
	    .tid = t->tid,
	    .labels = sight->labels,
	    .state = (int16_t)sight->state,
	    .kind = PF_RECORD_SAMPLE,
	    .count = sight->rounds,
	};

	memcpy(record.name, t->name, sizeof(record.name) - 1);
	if (sight->stack == PF_STACK_OVERFLOW)
		record.stack = pf_stack_intern(sight->pcs, sight->count);
	return record;
}

static void see(void *context, const struct pf_sight *sight)
{
	const struct tick *tick = context;
	struct pf_record record = record_of(sight);
	bool before = sight->at_ns != tick->now_ns;

	some_ran |= !sight->reused;
	if (before)
		; /* it was seen at this one, too */
	else if (sight->state < 0)
		pf_lull_spoil(&lull);
	else if (!sight->ended)
		pf_lull_add(&lull, &record);
	if (sight->span_ns == 0)
		return;
	pf_count_many(PF_COUNTER_WALL_SAMPLES, sight->rounds);
	if (sight->reused)
		pf_count(PF_COUNTER_WALL_REUSED);
	pf_feed_add(&feed, &record);
}

/* Looks at every thread. */
static void take_full_tick(struct tick *tick, bool last, struct pf_activity *activity)
{
	struct pf_round round = {
	    .at_ns = tick->now_ns,
	    .span_ns = tick->span_ns,
	    .last = last,
	    /* The poll has looked since the tick's time. */
	    .deadline_ns = pf_clock_now_ns() + LAST_ANSWER_NS,
	    .each = see,
	    .context = tick,
	};

	if (!gather)
		gather = pf_gather_create();
	/* While the CPU is sampled too, the drainer has looked within the same second. */
	if (tick->now_ns >= scan_due_ns) {
		if (scan_due_ns == 0)
			pf_cpu_scan();
		else if (!pf_cpu_active()) {
			pf_cpu_rescan();
			pf_cpu_mind_signal();
		}
		scan_due_ns = pf_clock_beat_after(tick->now_ns, SCAN_INTERVAL_NS);
	}
	pf_lull_begin(&lull);
	some_ran = false;
	known = pf_counter_get(PF_COUNTER_THREAD_SEEN);
	if (!gather || pf_gather_round(gather, &round) > 0)
		pf_lull_spoil(&lull);
	pf_activity_found(activity, some_ran, !pf_lull_is_possible(&lull));
}

/* Nobody has run since the last full tick, and everybody slept at it: they are where they were. (The scan
 * may have met one since that slept all along.) */
static bool is_quiet(uint32_t now_stage)
{
	return pf_lull_is_possible(&lull) && known == pf_counter_get(PF_COUNTER_THREAD_SEEN) &&
	       now_stage == stage;
}

static void take_tick(int64_t now_ns, bool last, struct pf_activity *activity)
{
	struct tick tick = {
	    .now_ns = now_ns,
	    .span_ns = last_tick_ns ? now_ns - last_tick_ns : 0,
	};
	uint32_t now_stage = pf_activity_step(activity, now_ns);
	bool quiet = is_quiet(now_stage) && !(last && pf_gather_is_owed(gather));

	if (quiet) {
		pf_count(PF_COUNTER_WALL_QUIET);
		pf_lull_tick(&lull, now_ns, tick.span_ns);
	}
	if (!quiet || last || lull.span_ns >= TELL_INTERVAL_NS)
		pf_lull_tell(&lull, &feed);
	if (!quiet)
		take_full_tick(&tick, last, activity);
	stage = now_stage;
	last_tick_ns = now_ns;
}

static void rest(void)
{
	pf_gather_destroy(gather);
	gather = NULL;
	pf_lull_finish(&lull);
	last_tick_ns = 0;
	due_ns = 0;
	scan_due_ns = 0;
}

uint32_t pf_wall_wanted(void)
{
	return __atomic_load_n(&ticks_wanted, __ATOMIC_ACQUIRE);
}

static bool is_asked(uint32_t wanted)
{
	return wanted != __atomic_load_n(&ticks_done, __ATOMIC_RELAXED);
}

int64_t pf_wall_due_ns(int64_t now_ns, uint32_t wanted)
{
	if (__atomic_load_n(&period_ns, __ATOMIC_ACQUIRE) == 0)
		return -1;
	if (now_ns >= due_ns)
		return due_ns ? due_ns : now_ns;
	return is_asked(wanted) ? now_ns : -1;
}

int64_t pf_wall_turn(int64_t now_ns, uint32_t wanted, struct pf_activity *activity)
{
	int64_t period = __atomic_load_n(&period_ns, __ATOMIC_ACQUIRE);
	bool asked = is_asked(wanted);

	if (__atomic_exchange_n(&alone_asked, false, __ATOMIC_ACQ_REL))
		pf_gather_let_go(gather);
	if (period == 0)
		rest();
	else if (now_ns >= due_ns || asked) {
		take_tick(now_ns, asked, activity);
		/* Late by a period or more: these ticks are left out, the weight stays right. */
		due_ns = pf_clock_beat_after(now_ns, period);
	}
	if (asked) {
		__atomic_store_n(&ticks_done, wanted, __ATOMIC_RELEASE);
		pf_futex_wake(&ticks_done, INT_MAX);
	}
	return period ? due_ns : -1;
}

void pf_wall_let_go(void)
{
	__atomic_store_n(&alone_asked, true, __ATOMIC_RELEASE);
	pf_drain_wake();
}

/* A tick between now and the return, so that a window begins and ends at one. */
static void force_tick(void)
{
	int64_t deadline_ns = pf_clock_now_ns() + TICK_WAIT_NS;
	uint32_t mine = __atomic_add_fetch(&ticks_wanted, 1, __ATOMIC_ACQ_REL);
	uint32_t done;

	pf_drain_wake();
	while (done = __atomic_load_n(&ticks_done, __ATOMIC_ACQUIRE),
	    (int32_t)(done - mine) < 0 && pf_drain_is_running() && pf_clock_now_ns() < deadline_ns)
		pf_futex_wait(&ticks_done, done, deadline_ns);
}

/* ---- on and off ---- */

static void update_locked(void)
{
	int64_t hz = pf_demand_hz(demands, PF_KNOB_WALL_HZ);

	__atomic_store_n(&period_ns, hz ? PF_NS_PER_SECOND / hz : 0, __ATOMIC_RELEASE);
	pf_feature_set(PF_FEATURE_WALL, hz ? PF_FEATURE_OK : PF_FEATURE_OFF, NULL);
	pf_drain_wake();
}

static int demand(struct pf_demand *d, bool on)
{
	pf_lock_take(&control_lock);
	if (on)
		pf_demand_add(&demands, d);
	else
		pf_demand_remove(&demands, d);
	update_locked();
	pf_lock_give(&control_lock);
	return 0;
}

bool pf_wall_enabled(void)
{
	bool on;

	pf_lock_take(&control_lock);
	on = pf_demand_has(demands, &recorder);
	pf_lock_give(&control_lock);
	return on;
}

int pf_wall_enable(bool on)
{
	pf_lock_take(&control_lock);
	if (on != pf_demand_has(demands, &recorder)) {
		if (on)
			pf_demand_add(&demands, &recorder);
		else
			pf_demand_remove(&demands, &recorder);
		pf_feed_record(&feed, on);
		update_locked();
	}
	pf_lock_give(&control_lock);
	return 0;
}

static int apply_hz(enum pf_knob_id id, int64_t value)
{
	(void)id;
	(void)value;
	pf_lock_take(&control_lock);
	update_locked();
	pf_lock_give(&control_lock);
	return 0;
}

void pf_wall_init(void)
{
	pf_knobs[PF_KNOB_WALL_HZ].apply = apply_hz;
}

void pf_wall_stop(void)
{
	pf_wall_enable(false);
	pf_lock_take(&control_lock);
	demands = NULL;
	update_locked();
	pf_lock_give(&control_lock);
}

PF_SIGSAFE void pf_wall_fork_child(void)
{
	control_lock.word = 0;
	demands = NULL;
	period_ns = 0;
	gather = NULL;
	lull = (struct pf_lull){0};
	last_tick_ns = 0;
	due_ns = 0;
	scan_due_ns = 0;
	pf_feed_fork_child(&feed);
}

/* ---- collecting ---- */

static void comment(struct pf_profile *out, int64_t hz)
{
	pf_profile_comment(out, "wall: %lld Hz, every thread", (long long)hz);
}

int pf_wall_collect(struct pf_profile *out, const struct pf_query *query, struct pf_wait *wait)
{
	static const enum pf_counter losses[] = {PF_COUNTER_WALL_LOST, PF_COUNTER_STACK_NO_ROOM,
	    PF_COUNTER_STACK_OVERFLOW, PF_COUNTER_THREAD_LOST_TABLE, PF_COUNTER_LABEL_LOST};
	static const struct pf_collection collection = {
	    .name = "wall",
	    .hz = PF_KNOB_WALL_HZ,
	    .feed = &feed,
	    .recorded = pf_wall_enabled,
	    .spans = true,
	    .demand = demand,
	    .bring_up_to_date = force_tick,
	    .comment = comment,
	    .nothing = "no thread of the program was looked at",
	    .losses = losses,
	    .loss_count = PF_COUNT(losses),
	};

	return pf_collection_run(&collection, out, query, wait);
}
