#include "sampler/threads.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/feature.h"
#include "base/loss.h"
#include "sampler/cpu.h"
#include "sampler/gather.h"
#include "sampler/label.h"
#include "sampler/map.h"
#include "sampler/stack.h"
#include "sampler/syscall_name.h"
#include "sampler/task.h"
#include "sampler/thread.h"

#include <errno.h>
#include <string.h>

/* How long a thread that runs may take to answer: it does so at the next tick that meets it, and on
 * a machine with more to do than processors it has to wait for its turn. */
enum { ANSWER_NS = 500 * PF_NS_PER_MS };
/* Of the stack that created a thread: std::async in unoptimized code is 13 frames deep. */
enum { CREATOR_FRAMES = 16 };

/* Innermost first: whoever knows names chooses among them (render/creator.h). */
static void label_origin(struct pf_profile *p, const struct pf_thread *t)
{
	const uint64_t *pcs;
	uint32_t count = t->created_by ? pf_stack_read(t->created_by, &pcs) : 0;

	if (count == 0)
		return;
	for (uint32_t i = 0; i < count && i < CREATOR_FRAMES; i++)
		if (i == 0 || pcs[i] >= PF_PC_MARKER_END)
			pf_profile_label_num(p, "created_by", (int64_t)pcs[i], "address");
	pf_profile_label_num(p, "creator", t->creator, NULL);
}

static void add(void *profile, const struct pf_sight *sight)
{
	static const int64_t one = 1;
	const struct pf_thread *t = sight->thread;
	struct pf_profile *p = profile;

	if (sight->ended)
		return;
	pf_profile_add_sample(p, sight->pcs, sight->count, &one);
	pf_profile_label_str(p, "thread", t->name);
	pf_profile_label_num(p, "tid", t->tid, NULL);
	pf_profile_label_str(p, "state", pf_syscall_state(sight->state));
	if (sight->state >= 0)
		pf_profile_label_str(p, "syscall", pf_syscall_name(sight->state));
	if (sight->age_ns >= 0)
		pf_profile_label_num(p, "age_ns", sight->age_ns, "nanoseconds");
	label_origin(p, t);
	pf_label_fill(__atomic_load_n(&t->labels, __ATOMIC_RELAXED), p);
}

int pf_threads_collect(struct pf_profile *out, const struct pf_query *query, struct pf_wait *wait)
{
	static const enum pf_counter losses[] = {PF_COUNTER_THREAD_LOST,
	    PF_COUNTER_THREAD_LOST_TABLE, PF_COUNTER_STACK_OVERFLOW, PF_COUNTER_LABEL_LOST};
	struct pf_gather *gather = pf_gather_create();
	struct pf_round round = {.last = true, .each = add, .context = out};
	int rc = 0;

	(void)wait;
	if (!gather)
		return -ENOMEM;
	out->name = pf_profile_string(out, "threads");
	pf_profile_add_type(out, "threads", "count");
	pf_profile_set_period(out, "threads", "count", 1);
	out->time_ns = pf_clock_real_ns();
	if (!query->tid || !pf_thread_find((pid_t)query->tid))
		pf_cpu_scan();
	round.at_ns = pf_clock_now_ns();
	round.deadline_ns = round.at_ns + ANSWER_NS;
	if (!query->tid)
		pf_gather_round(gather, &round);
	else if (!pf_gather_one(gather, (pid_t)query->tid, &round))
		rc = -ESRCH;
	pf_gather_destroy(gather);
	if (rc < 0)
		return rc;
	pf_loss_comment(out, losses, PF_COUNT(losses));
	pf_count(PF_COUNTER_THREAD_DUMPS);
	pf_feature_set(PF_FEATURE_THREADS, PF_FEATURE_OK, NULL);
	rc = pf_map_fill(out);
	return rc < 0 ? rc : out->error;
}

static void view(const struct pf_thread *t, struct pf_thread_view *out)
{
	out->tid = t->tid;
	memcpy(out->name, t->name, sizeof(out->name));
	out->name[sizeof(out->name) - 1] = '\0';
	out->state = pf_syscall_state(pf_proc_state(t));
	out->cpu_ns = pf_clock_ns(pf_clock_of_thread(t->tid));
	out->age_ns = pf_clock_now_ns() - t->born_ns;
	out->labels = __atomic_load_n(&t->labels, __ATOMIC_RELAXED);
}

size_t pf_threads_list(struct pf_thread_view *out, size_t max)
{
	size_t count = 0;

	pf_cpu_scan();
	for (uint32_t i = 0; i < pf_thread_limit(); i++) {
		const struct pf_thread *t = pf_thread_at(i);

		if (!t || !pf_thread_is_live(t))
			continue;
		if (count < max)
			view(t, &out[count]);
		count++;
	}
	return count;
}

/* Asks the kernel of this thread alone: a shell that reads a file of each of thousands has no patience
 * for all of them each time. */
bool pf_threads_one(pid_t tid, struct pf_thread_view *out)
{
	const struct pf_thread *t = pf_thread_find(tid);
	ssize_t length;

	if (!t) {
		pf_cpu_scan(); /* made a moment ago, past our hook */
		t = pf_thread_find(tid);
	}
	if (!t)
		return false;
	view(t, out);
	length = pf_task_read(tid, "comm", out->name, sizeof(out->name));
	if (out->cpu_ns < 0 || length == -ENOENT || length == -ESRCH)
		return false;
	if (length > 0)
		out->name[length - 1] = '\0'; /* over the line's end */
	else                                  /* not to be read now: as it was seen */
		memcpy(out->name, t->name, sizeof(out->name));
	return true;
}
