#include "sampler/boehm.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/glibc.h"
#include "base/lock.h"
#include "sampler/crew.h"
#include "sampler/gate.h"
#include "sampler/real.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

static const int64_t PATIENCE_NS = 10ll * PF_NS_PER_SECOND;
static const int64_t LOOK_NS = 5 * PF_NS_PER_MS;

/* gc.h: what is called here has been so since 7.4 (2013). */
struct stack_base {
	void *mem_base;
	void *reg_base; /* of processors that have two stacks: room for it */
};
typedef void abort_fn(const char *why);
typedef void notifier_fn(void);
enum { GC_SUCCESS = 0 };

/* name, type, parameters; `NEED` or `MAY`: whether it can be done without. */
#define CALLS(X)                                                                                   \
	X(GC_register_my_thread, int, (const struct stack_base *), NEED)                           \
	X(GC_unregister_my_thread, int, (void), NEED)                                              \
	X(GC_get_stack_base, int, (struct stack_base *), NEED)                                     \
	X(GC_try_to_collect, int, (int (*)(void)), NEED)                                           \
	X(GC_get_suspend_signal, int, (void), NEED)                                                \
	X(GC_get_thr_restart_signal, int, (void), NEED)                                            \
	X(GC_set_abort_func, void, (abort_fn *), NEED)                                             \
	X(GC_get_abort_func, abort_fn *, (void), NEED)                                             \
	X(GC_set_finalize_on_demand, void, (int), NEED)                                            \
	X(GC_get_finalize_on_demand, int, (void), NEED)                                            \
	X(GC_set_finalizer_notifier, void, (notifier_fn *), NEED)                                  \
	X(GC_get_finalizer_notifier, notifier_fn *, (void), NEED)                                  \
	X(GC_get_heap_size, size_t, (void), NEED)                                                  \
	X(GC_get_free_bytes, size_t, (void), NEED)                                                 \
	X(GC_is_disabled, int, (void), NEED)                                                       \
	X(GC_is_init_called, int, (void), MAY)                                                     \
	X(GC_set_force_unmap_on_gcollect, void, (int), MAY)                                        \
	X(GC_get_force_unmap_on_gcollect, int, (void), MAY)

#define POINTER(name, type, parameters, how) static type(*name) parameters;
CALLS(POINTER)

/* One at a time. IDLE -> WORKING -> IDLE, or GIVEN_UP until its thread comes back after all. */
enum { IDLE, WORKING, GIVEN_UP };

static uint32_t state; /* atomic, a futex word */
static int outcome;    /* of the thread, set before IDLE */
static size_t heap_before, free_before, heap_after, free_after;

static bool given_up(void)
{
	return __atomic_load_n(&state, __ATOMIC_ACQUIRE) == GIVEN_UP;
}

/* ---- the gate, which others may leave for the one inside ---- */

static uint32_t inside; /* atomic */

static void enter(void)
{
	pf_gate_enter();
	__atomic_store_n(&inside, 1, __ATOMIC_RELEASE);
}

static void leave(void)
{
	if (__atomic_exchange_n(&inside, 0, __ATOMIC_ACQ_REL))
		pf_gate_leave();
}

/* After whatever may have waited for the collector's lock for ever. */
static void come_back(void)
{
	if (!__atomic_load_n(&inside, __ATOMIC_ACQUIRE))
		enter();
}

/* The newest handlers run first: those of the collector are there since it was started, ours before or
 * after that. What is to be done in the child is done by the first ones. */
static bool meet_forks_first(void)
{
	static bool done;

	if (!done)
		done = pf_glibc_atfork(pf_gate_fork_prepare, pf_gate_fork_parent, NULL) == 0;
	return done;
}

/* ---- what there is ---- */

/* False: not all that is needed. */
static bool find_calls(void)
{
	bool all = true;

	pf_gate_enter();
#define NEED all &=
#define MAY  (void)
#define FIND(name, type, parameters, how)                                                          \
	name = (__typeof__(name))pf_real_find(#name);                                              \
	how(name != NULL);
	CALLS(FIND)
	pf_gate_leave();
	return all;
}

/* Before it is started it has no heap, and this would start it on our thread. */
static bool is_started(void)
{
	return GC_is_init_called ? GC_is_init_called() : GC_get_heap_size() > 0;
}

/* ---- registering ---- */

static jmp_buf refused;
static pthread_t registering; /* 0: nobody */
static abort_fn *program_abort;

/* Each call here may wait for the collector's lock. Of a program that does not lock,
 * GC_register_my_thread() says so first of all, and aborts. Any other abort is one. */
static void on_abort(const char *why)
{
	if (pthread_equal(pthread_self(), registering) && why &&
	    strstr(why, "registering is not previously enabled"))
		longjmp(refused, 1);
	if (program_abort)
		program_abort(why);
}

static int register_thread(const struct stack_base *base)
{
	int rc;

	program_abort = GC_get_abort_func();
	come_back();
	if (given_up())
		return -EINTR;
	registering = pthread_self();
	GC_set_abort_func(on_abort);
	if (setjmp(refused) == 0)
		rc = GC_register_my_thread(base) == GC_SUCCESS ? 0 : -EAGAIN;
	else
		rc = -EPERM;
	come_back();
	GC_set_abort_func(program_abort);
	registering = 0;
	return rc;
}

static void open_signals(int how)
{
	sigset_t gc;

	sigemptyset(&gc);
	sigaddset(&gc, GC_get_suspend_signal());
	sigaddset(&gc, GC_get_thr_restart_signal());
	pthread_sigmask(how, &gc, NULL);
}

/* ---- collecting ---- */

/* So often a fork goes first; then it waits, or who forks all the time would never be collected. */
enum { FORKS_GO_FIRST = 3 };

static int ended_by_fork;
static uint32_t marking; /* atomic: it has the lock, and asks whether it shall stop */

/* Asked again and again while it marks. */
static int shall_stop(void)
{
	__atomic_store_n(&marking, 1, __ATOMIC_RELEASE);
	return (ended_by_fork < FORKS_GO_FIRST && pf_gate_is_wanted()) || given_up();
}

static bool collect_quietly(void)
{
	int on_demand = GC_get_finalize_on_demand();
	notifier_fn *notifier = GC_get_finalizer_notifier();
	bool unmap = GC_set_force_unmap_on_gcollect && GC_get_force_unmap_on_gcollect;
	int unmapped = unmap ? GC_get_force_unmap_on_gcollect() : 0;
	bool done;

	GC_set_finalize_on_demand(1);
	GC_set_finalizer_notifier(NULL);
	if (unmap)
		GC_set_force_unmap_on_gcollect(1);
	heap_before = GC_get_heap_size();
	free_before = GC_get_free_bytes();
	/* What the first one frees the second gives back to the kernel. */
	done = GC_try_to_collect(shall_stop) != 0 && GC_try_to_collect(shall_stop) != 0;
	__atomic_store_n(&marking, 0, __ATOMIC_RELEASE);
	heap_after = GC_get_heap_size();
	free_after = GC_get_free_bytes();
	if (unmap)
		GC_set_force_unmap_on_gcollect(unmapped);
	GC_set_finalizer_notifier(notifier);
	GC_set_finalize_on_demand(on_demand);
	return done;
}

/* 0; -EAGAIN: a fork came in between; -EPERM: the program does not lock. */
static int collect_once(const struct stack_base *base)
{
	int rc;

	enter();
	open_signals(SIG_UNBLOCK);
	rc = register_thread(base);
	if (rc == 0) {
		rc = collect_quietly() ? 0 : -EAGAIN;
		ended_by_fork += rc < 0;
		come_back();
		GC_unregister_my_thread();
	}
	open_signals(SIG_BLOCK);
	leave();
	return rc;
}

static int collect(void)
{
	struct stack_base base;
	int rc;

	ended_by_fork = 0;
	if (GC_get_stack_base(&base) != GC_SUCCESS)
		return -EOPNOTSUPP;
	if (!meet_forks_first())
		return -ENOMEM;
	do {
		rc = collect_once(&base);
	} while (rc == -EAGAIN && !given_up());
	return rc;
}

static void *run(void *unused)
{
	outcome = collect();
	__atomic_store_n(&state, IDLE, __ATOMIC_RELEASE);
	pf_futex_wake(&state, INT_MAX);
	return unused;
}

/* ---- the front door ---- */

/* Who marks comes out at once; who does not waits for the lock, and must not hold every fork. */
static int give_up(int rc)
{
	uint32_t working = WORKING;

	if (!__atomic_compare_exchange_n(
		&state, &working, GIVEN_UP, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return outcome; /* it has just ended */
	if (!__atomic_load_n(&marking, __ATOMIC_ACQUIRE))
		leave();
	return rc;
}

static int wait_for_it(struct pf_wait *wait)
{
	int64_t deadline_ns = pf_clock_now_ns() + PATIENCE_NS;

	while (__atomic_load_n(&state, __ATOMIC_ACQUIRE) == WORKING) {
		int64_t now_ns = pf_clock_now_ns();

		if (now_ns >= deadline_ns)
			return give_up(-ETIMEDOUT);
		if (pf_wait_until(wait, now_ns) != 0)
			return give_up(-EINTR);
		pf_futex_wait(&state, WORKING, now_ns + LOOK_NS);
	}
	return outcome;
}

static int refuse(struct pf_buf *words, const char *why, int rc)
{
	if (words)
		pf_buf_printf(words, "Boehm's collector was not asked: %s; ", why);
	return rc;
}

static void say(struct pf_buf *words)
{
	pf_buf_printf(words,
	    "Boehm's heap %zu KiB with %zu KiB free before, %zu KiB with %zu KiB free after; ",
	    heap_before / 1024, free_before / 1024, heap_after / 1024, free_after / 1024);
}

static bool is_there(void)
{
	void *found;

	pf_gate_enter();
	found = pf_real_find("GC_gcollect");
	found = found ? pf_real_find("GC_get_heap_size") : NULL;
	pf_gate_leave();
	return found != NULL;
}

int pf_boehm_collect(struct pf_buf *words, struct pf_wait *wait)
{
	uint32_t idle = IDLE;
	int rc;

	if (!is_there())
		return -ENOENT;
	if (!__atomic_compare_exchange_n(
		&state, &idle, WORKING, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return refuse(words, "somebody waits for its lock since earlier", -EBUSY);
	rc = !find_calls() ? -EOPNOTSUPP : !is_started() ? -ENOENT : 0;
	if (rc == 0 && GC_is_disabled())
		rc = -ECANCELED;
	if (rc == 0)
		rc = pf_crew_start("boehm", run, NULL);
	if (rc < 0) {
		__atomic_store_n(&state, IDLE, __ATOMIC_RELEASE);
		return rc == -ENOENT ? rc
		       : rc == -EOPNOTSUPP
			   ? refuse(words, "it is built without threads, or before 7.4", rc)
		       : rc == -ECANCELED
			   ? refuse(words, "the program has switched it off", -EOPNOTSUPP)
			   : refuse(words, "there was no thread to be had", rc);
	}
	rc = wait_for_it(wait);
	if (rc == -EPERM)
		return refuse(words,
		    "it has only ever had one thread here, and does not lock "
		    "(GC_allow_register_threads() in main(), or proffs_on_gc())",
		    -EOPNOTSUPP);
	if (rc == -ENOMEM)
		return refuse(words, "there was no memory for a handler of forks", rc);
	if (rc == -EOPNOTSUPP)
		return refuse(words, "it does not know where a thread's stack is", rc);
	if (rc == -ETIMEDOUT)
		return refuse(words, "its lock was not to be had", rc);
	if (rc < 0)
		return refuse(words, "it was interrupted", rc);
	if (words)
		say(words);
	return 0;
}

void pf_boehm_fork_child(void)
{
	state = IDLE;
	inside = 0;
	marking = 0;
	registering = 0;
}
