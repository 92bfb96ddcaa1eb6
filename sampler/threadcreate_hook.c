/* Thread creation: pthread_create and thrd_create go through here, so that every new thread has its
 * slot and its timer from its first instruction on, and so that we know who created it.
 *
 * The new thread starts in `begin`, which leaves by a jump into the program's start routine: no
 * frame of ours stays on its stack. Its end is told by the destructor of a thread-specific key,
 * which runs for a return, pthread_exit and cancellation alike.
 */
#include "sampler/threadcreate_hook.h"
#include "base/feature.h"
#include "base/forbid.h"
#include "base/mark.h"
#include "sampler/guard.h"
#include "sampler/last.h"
#include "sampler/patch.h"
#include "sampler/sample.h"
#include "sampler/sigaction_hook.h"
#include "sampler/sigwait_hook.h"
#include "sampler/stack.h"
#include "sampler/thread.h"
#include "sampler/threadcreate.h"
#include "sampler/threadname_hook.h"
#include "sampler/timer.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <threads.h>
#include <unistd.h>

/* Destructors of other keys may still work for the program after the first round. */
enum { LAST_ROUND = 2 };

static PF_TLS uint32_t end_rounds;
static pthread_key_t end_key;
static bool have_key;
static struct pf_thread first; /* the process's first thread, which nobody created: no tid */

static void end(void *slot)
{
	const struct pf_thread *t = slot;
	bool entered, is_last_round, is_its_own;

	if (pf_is_forbidden(PF_FORBIDDEN_HOST))
		return;
	entered = pf_guard_enter();
	is_last_round = ++end_rounds >= LAST_ROUND;
	/* Not so in the forked child of the thread that had the slot. */
	is_its_own = t->tid == (pid_t)syscall(SYS_gettid);

	if (!is_last_round) {
		pthread_setspecific(end_key, slot);
	} else if (is_its_own) {
		pf_thread_self = NULL;
		pf_sample_thread_end(slot);
	}
	if (entered)
		pf_guard_leave();
	if (is_last_round)
		pf_last_end(is_its_own);
}

void pf_thread_watch_first(void)
{
	bool entered = pf_guard_enter();

	if (!have_key)
		have_key = pthread_key_create(&end_key, end) == 0;
	if (have_key && syscall(SYS_gettid) == getpid() && !pthread_getspecific(end_key))
		pthread_setspecific(end_key, &first);
	if (entered)
		pf_guard_leave();
}

const void *pf_thread_watch_end(const void *watched)
{
	const void *before = have_key ? pthread_getspecific(end_key) : NULL;

	if (before != watched)
		pthread_setspecific(end_key, watched);
	return before;
}

/* On the new thread, before anything of the program's. */
static void settle_in(struct pf_thread *t)
{
	bool entered = pf_guard_enter();
	struct pf_thread *superseded;

	pf_forbidden_here = t->forbidden;
	/* Its creator is left alone, so it is: not a step of ours on it. The scan will meet it. */
	if (pf_is_forbidden(PF_FORBIDDEN_HOST)) {
		pf_thread_discard(t);
		return; /* in the guard for life */
	}
	superseded = pf_thread_begin(t);

	if (superseded) {
		pf_timer_disarm(superseded);
		pf_thread_release(superseded);
	}
	end_rounds = 0;
	/* For a high key number this allocates: the guard keeps it out of the heap profile. */
	if (have_key)
		pthread_setspecific(end_key, t);
	pf_sample_thread_begin(t);
	if (entered)
		pf_guard_leave();
}

static void *begin(void *slot)
{
	struct pf_thread *t = slot;
	void *(*start)(void *) = (void *(*)(void *))t->start;
	void *argument = t->argument;

	settle_in(t);
	return start(argument);
}

static int begin_c11(void *slot)
{
	struct pf_thread *t = slot;
	thrd_start_t start = (thrd_start_t)t->start;
	void *argument = t->argument;

	settle_in(t);
	return start(argument);
}

/* A thread to be. */
struct birth {
	bool watched; /* false: inside our own code, nothing of it is ours to know */
	bool counted;
	uint32_t stack;
	struct pf_thread *thread; /* its slot, or NULL: the table is full */
};

static PF_HOOK void conceive(struct birth *b, uint64_t start, void *argument)
{
	b->thread = NULL;
	b->counted = false;
	b->watched = !pf_is_forbidden(PF_FORBIDDEN_HOST) && pf_guard_enter();
	if (!b->watched && (pf_forbidden_here & PF_FORBIDDEN_HOST))
		b->thread = pf_thread_conceive(start, argument, 0);
	if (!b->watched)
		return;
	b->stack = pf_stack_capture_here();
	b->thread = pf_thread_conceive(start, argument, b->stack);
	b->counted = b->thread;
	if (b->counted)
		pf_last_count(1); /* before its creator may end */
	pf_guard_leave();
}

static PF_HOOK void deliver(const struct birth *b, bool created)
{
	if (created && b->watched)
		pf_threadcreate_count(b->stack, 1);
	if (!created && b->counted)
		pf_last_count(-1);
	if (!created && b->thread)
		pf_thread_discard(b->thread);
}

PF_HOOK int pf_threadcreate_pthread(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
	struct birth b;
	int rc;

	conceive(&b, (uint64_t)start, argument);
	if (b.thread)
		rc = pthread_create(thread, attributes, begin, b.thread);
	else
		rc = pthread_create(thread, attributes, start, argument);
	deliver(&b, rc == 0);
	return rc;
}

PF_HOOK int pf_threadcreate_thrd(thrd_t *thread, thrd_start_t start, void *argument)
{
	struct birth b;
	int rc;

	conceive(&b, (uint64_t)start, argument);
	if (b.thread)
		rc = thrd_create(thread, begin_c11, b.thread);
	else
		rc = thrd_create(thread, start, argument);
	deliver(&b, rc == thrd_success);
	return rc;
}

/* Our own slots are never patched, so these are the functions behind the hooks. */
static void *real_pthread_create = (void *)pthread_create;
static void *real_thrd_create = (void *)thrd_create;

static const struct pf_patch patches[] = {
    {"pthread_create", (void *)pf_threadcreate_pthread, &real_pthread_create, NULL},
    {"thrd_create", (void *)pf_threadcreate_thrd, &real_thrd_create, NULL},
};

static struct pf_patch_set patch_set = {.patches = patches, .count = PF_COUNT(patches)};

int pf_thread_start(void)
{
	int rc;

	if (!pf_threadcreate_start())
		return 0; /* by the constructor, before main() */
	pf_thread_watch_first();
	pf_sigaction_start();
	pf_sigwait_start();
	pf_threadname_start(); /* without it names are up to a second old */
	rc = pf_patch_on(&patch_set);
	if (rc < 0)
		pf_feature_set(PF_FEATURE_THREAD_HOOK, PF_FEATURE_NONE,
		    "pthread_create could not be patched; new threads are found once a second");
	else if (!have_key)
		pf_feature_set(PF_FEATURE_THREAD_HOOK, PF_FEATURE_DEGRADED,
		    "no thread-specific key was left; ends of threads are found once a second");
	else
		pf_feature_set(PF_FEATURE_THREAD_HOOK, PF_FEATURE_OK, NULL);
	return rc;
}

void pf_thread_stop(void)
{
	pf_patch_off(&patch_set);
	pf_threadcreate_stop();
	pf_threadname_stop();
	pf_sigwait_stop();
	pf_sigaction_stop();
	pf_feature_set(PF_FEATURE_THREAD_HOOK, PF_FEATURE_OFF, NULL);
}
