#include "sampler/activity.h"
#include "base/clock.h"
#include "sampler/crew.h"
#include "sampler/timer.h"

enum { TRIES = 3 };
/* A program that is met asleep, but has run each time, is not watched: it would pay at each switch. */
enum { BUSY_LOOKS = 4 };

/* Ours first: what they use between the two readings looks as if somebody had run, never as if nobody. */
static int64_t others_ns(void)
{
	int64_t ours = pf_crew_cpu_ns();

	return pf_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - ours;
}

void pf_activity_watch(struct pf_activity *activity, bool on)
{
	int timer;

	if (on == (activity->timer != 0))
		return;
	activity->marked = false;
	if (!on) {
		pf_timer_delete(activity->timer - 1);
		activity->timer = 0;
		return;
	}
	timer = pf_timer_create_idle();
	if (timer >= 0)
		activity->timer = timer + 1;
}

void pf_activity_mark(struct pf_activity *activity)
{
	int64_t now_ns;

	activity->marked = activity->timer != 0;
	for (int i = 0; i < TRIES && activity->marked; i++) {
		now_ns = others_ns();
		if (i == 0 || now_ns < activity->others_ns)
			activity->others_ns = now_ns;
	}
}

/* Again, where it looks otherwise: we may have been interrupted between the two readings. */
bool pf_activity_is_none(const struct pf_activity *activity)
{
	for (int i = 0; i < TRIES && activity->marked; i++)
		if (others_ns() == activity->others_ns)
			return true;
	return false;
}

uint32_t pf_activity_step(struct pf_activity *activity, int64_t now_ns)
{
	if (activity->step_ns == now_ns)
		return activity->stage;
	activity->step_ns = now_ns;
	if (activity->looked) {
		if (!activity->ran)
			activity->busy = 0;
		else if (activity->busy < BUSY_LOOKS)
			activity->busy++;
		pf_activity_watch(activity, activity->busy < BUSY_LOOKS);
	}
	activity->looked = activity->ran = false;
	if (pf_activity_is_none(activity))
		return activity->stage;
	/* Before the threads are looked at: what they do meanwhile is for the next step. */
	pf_activity_mark(activity);
	return ++activity->stage;
}

void pf_activity_found(struct pf_activity *activity, bool ran, bool runs)
{
	activity->looked = true;
	activity->ran |= ran || runs;
	if (runs)
		activity->busy = BUSY_LOOKS;
}

void pf_activity_rest(struct pf_activity *activity)
{
	pf_activity_watch(activity, false);
	activity->looked = false;
	activity->busy = 0;
}
