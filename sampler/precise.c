/* The signal is SIGURG, and that is the point of this file. perf tells by F_SETSIG; when such a
 * real-time signal finds its queue full (RLIMIT_SIGPENDING is per user, so anybody may fill it),
 * the kernel sends SIGIO instead, and that ends a program that never heard of it. A classic signal
 * needs no queue, is pending once at most, and this one is ignored by default: one that comes late,
 * or to a program that has just taken it, does nothing. Go's runtime chose it for the same reasons.
 *
 * Descriptors of events are in the crew's private table: the kernel keeps owner and signal with the
 * file, so the thread is told all the same. In the handler the descriptor's number is the cookie:
 *
 *   si_fd -> owners[fd] = | generation | slot + 1 | -> a slot of this very thread, or not ours
 */
#include "sampler/precise.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/feature.h"
#include "base/forbid.h"
#include "base/glibc.h"
#include "sampler/sample.h"
#include "sampler/signal.h"
#include "sampler/timer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef PF_SMALL
enum { DESCRIPTOR_LIMIT = 64 };
#else
enum { DESCRIPTOR_LIMIT = 8192 };
#endif

/* An event this far behind its thread's clock is not heard. */
enum { OVERDUE_SAMPLES = 4 };
/* A thread gets another period after so many samples: to change it begins a new one, so the last is
 * cut short. */
enum { SHUFFLE_SAMPLES = 8 };

static uint64_t *owners;        /* by descriptor; pointer and entries atomic */
static int64_t event_period_ns; /* the drainer's alone: what the events have */
static bool said_why;           /* the drainer's alone: the feature tells why there are none */

/* ---- on the program's threads ---- */

/* What only the kernel can send for one of our descriptors to this thread. */
static PF_SIGSAFE struct pf_thread *addressee(const siginfo_t *info)
{
	uint64_t *table = __atomic_load_n(&owners, __ATOMIC_ACQUIRE);
	struct pf_thread *t;
	uint64_t owner;

	if (!table || info->si_code < POLL_IN || info->si_code > POLL_HUP)
		return NULL;
	if (info->si_fd < 0 || info->si_fd >= DESCRIPTOR_LIMIT)
		return NULL;
	owner = __atomic_load_n(&table[info->si_fd], __ATOMIC_ACQUIRE);
	if ((uint32_t)owner == 0)
		return NULL;
	t = pf_thread_at((uint32_t)owner - 1);
	if (!t || pf_thread_generation(t) != owner >> 32)
		return NULL;
	return t->tid == (pid_t)syscall(SYS_gettid) ? t : NULL;
}

/* One that is not ours would have been ignored: so it is. */
static PF_SIGSAFE void on_event(int signal, siginfo_t *info, void *context)
{
	int saved = errno;
	struct pf_thread *t = addressee(info);

	(void)signal;
	if (t)
		pf_sample_take(t, context);
	errno = saved;
}

/* ---- the handler's place ---- */

static bool is_ours(const struct sigaction *now)
{
	return (now->sa_flags & SA_SIGINFO) && now->sa_sigaction == on_event;
}

static bool is_default(const struct sigaction *now)
{
	return !(now->sa_flags & SA_SIGINFO) && now->sa_handler == SIG_DFL;
}

/* Ours is there, or nobody's. Once put it stays: a program that takes the signal between our look
 * and our giving it back would lose its own. */
static int take_signal(void)
{
	struct sigaction now, action;

	if (sigaction(SIGURG, NULL, &now) < 0)
		return -errno;
	if (is_ours(&now))
		return 0;
	if (!is_default(&now))
		return -EBUSY;
	pf_signal_action(&action, on_event);
	return sigaction(SIGURG, &action, NULL) < 0 ? -errno : 0;
}

/* ---- events ---- */

static int open_event(pid_t tid, int64_t period_ns)
{
	struct perf_event_attr attr = {
	    .type = PERF_TYPE_SOFTWARE,
	    .size = sizeof(attr),
	    .config = PERF_COUNT_SW_TASK_CLOCK,
	    .sample_period = (uint64_t)period_ns,
	    .wakeup_events = 1,
	    .disabled = 1,
	    .exclude_kernel = 1, /* all that an ordinary user may have */
	    .exclude_hv = 1,
	};
	long fd;

	if (pf_is_forbidden(PF_FORBIDDEN_EVENT))
		return -EPERM;
	fd = syscall(SYS_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : (int)fd;
}

/* Half of what the process may have is left to the agent's other files. */
static bool may_keep(int fd)
{
	struct rlimit limit;

	if (fd >= DESCRIPTOR_LIMIT || getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return false;
	return (rlim_t)fd < limit.rlim_cur / 2;
}

static int aim(int fd, pid_t tid)
{
	struct f_owner_ex owner = {F_OWNER_TID, tid};

	if (fcntl(fd, F_SETOWN_EX, &owner) < 0 || fcntl(fd, F_SETSIG, SIGURG) < 0 ||
	    fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

/* Around the period asked for, so that the rate is what was asked for on average: a program that does
 * the same thing over and over would else be met in the same few places of its round. */
static uint64_t draw_period(int64_t period_ns)
{
	enum { PARTS = 1 << 16 };
	uint64_t rate = PARTS / 2 + pf_timer_draw() % PARTS; /* 1/2 to 3/2 */

	return (uint64_t)period_ns * PARTS / rate;
}

/* An event that strikes this thread, already known to the handler: its descriptor or -errno. */
static int start_event(const struct pf_thread *t, uint32_t generation, int64_t period_ns)
{
	int fd = open_event(t->tid, (int64_t)draw_period(period_ns));
	int rc;

	if (fd < 0)
		return fd;
	rc = may_keep(fd) ? aim(fd, t->tid) : -EMFILE;
	if (rc == 0) {
		__atomic_store_n(
		    &owners[fd], (uint64_t)generation << 32 | (t->number + 1), __ATOMIC_RELEASE);
		if (ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) == 0)
			return fd;
		rc = -errno;
		__atomic_store_n(&owners[fd], 0, __ATOMIC_RELEASE);
	}
	close(fd);
	return rc;
}

static void stop_event(struct pf_thread *t)
{
	int fd = t->event_fd - 1;

	/* Nobody's, before another event can have the number. */
	__atomic_store_n(&owners[fd], 0, __ATOMIC_RELEASE);
	close(fd);
	__atomic_store_n(&t->event_fd, 0, __ATOMIC_RELEASE);
}

PF_SIGSAFE void pf_precise_leave_stacks(void)
{
	pf_signal_leave_stack(SIGURG, on_event);
}

bool pf_precise_owns_signal(void)
{
	struct sigaction now;

	return sigaction(SIGURG, NULL, &now) == 0 && is_ours(&now);
}

bool pf_precise_has(const struct pf_thread *t)
{
	return __atomic_load_n(&t->event_fd, __ATOMIC_ACQUIRE) != 0;
}

/* ---- in line with what is wanted ---- */

static const char *why_refused(int rc)
{
	if (rc == -EBUSY)
		return "the program handles SIGURG itself; timers go on";
	if (rc == -EMFILE)
		return "not enough descriptors for every thread (RLIMIT_NOFILE); the rest by timers";
	if (rc == -ENOMEM)
		return "out of memory; timers go on";
	return "perf_event_open is refused (kernel.perf_event_paranoid, or a seccomp filter); "
	       "timers go on";
}

static void say(enum pf_feature_state state, int rc)
{
	said_why = state == PF_FEATURE_DEGRADED || state == PF_FEATURE_NONE;
	pf_feature_set(PF_FEATURE_CPU_PRECISE, state, said_why ? why_refused(rc) : NULL);
}

/* A thread that waits for "all signals" would be handed ours. Asked where there is no event yet, or
 * one that brings nothing. */
static bool is_blocked(const struct pf_thread *t)
{
	uint64_t mask;

	if (t->event_fd && pf_sample_owed_ns(t) < OVERDUE_SAMPLES * pf_sample_nominal_ns(t))
		return false;
	return pf_thread_blocked(t->tid, &mask) == 0 && mask >> (SIGURG - 1) & 1 &&
	       mask != pf_signal_mask_inside();
}

/* 0 or -errno: no event for this thread, which then keeps its timer. */
static int follow(struct pf_thread *t, int64_t period_ns)
{
	uint32_t generation = pf_thread_generation(t);
	bool wanted = period_ns && pf_thread_is_live(t) && !pf_thread_is_alone(t) && !is_blocked(t);
	uint64_t period;
	int rc;

	if (t->event_fd && (!wanted || t->event_generation != generation))
		stop_event(t);
	if (!wanted)
		return 0;
	if (!t->event_fd) {
		rc = start_event(t, generation, period_ns);
		if (rc < 0)
			return rc == -ESRCH ? 0 : rc; /* it has just ended */
		t->event_generation = generation;
		__atomic_store_n(&t->event_fd, rc + 1, __ATOMIC_RELEASE);
	} else if (period_ns != event_period_ns) {
		period = draw_period(period_ns);
		if (!pf_is_forbidden(PF_FORBIDDEN_EVENT))
			ioctl(t->event_fd - 1, PERF_EVENT_IOC_PERIOD, &period);
	}
	/* Its own first step may have made a timer since. */
	pf_timer_disarm(t);
	return 0;
}

static int follow_all(int64_t period_ns)
{
	uint32_t followed = 0;
	int refused = 0;

	for (uint32_t i = 0; i < pf_thread_limit(); i++) {
		struct pf_thread *t = pf_thread_at(i);
		int rc = t ? follow(t, period_ns) : 0;

		if (rc < 0)
			refused = rc;
		else if (t && t->event_fd)
			followed++;
	}
	event_period_ns = period_ns;
	if (refused)
		say(followed ? PF_FEATURE_DEGRADED : PF_FEATURE_NONE, refused);
	return refused;
}

static int prepare(void)
{
	if (!owners)
		__atomic_store_n(
		    &owners, pf_arena_map(DESCRIPTOR_LIMIT * sizeof(*owners)), __ATOMIC_RELEASE);
	return owners ? take_signal() : -ENOMEM;
}

void pf_precise_update(int64_t period_ns)
{
	int rc;

	if (period_ns == 0) {
		if (event_period_ns || said_why) {
			follow_all(0);
			say(PF_FEATURE_OFF, 0);
		}
		return;
	}
	rc = prepare();
	if (rc < 0) {
		follow_all(0);
		say(PF_FEATURE_NONE, rc);
		return;
	}
	if (follow_all(period_ns) == 0)
		say(PF_FEATURE_OK, 0);
}

bool pf_precise_is_used(void)
{
	return event_period_ns != 0;
}

void pf_precise_shuffle(void)
{
	if (pf_is_forbidden(PF_FORBIDDEN_EVENT))
		return;
	for (uint32_t i = 0; event_period_ns && i < pf_thread_limit(); i++) {
		struct pf_thread *t = pf_thread_at(i);
		int64_t sampled_ns;
		uint64_t period;

		if (!t || !t->event_fd || !pf_thread_is_live(t))
			continue;
		sampled_ns = __atomic_load_n(&t->sampled_cpu_ns, __ATOMIC_RELAXED);
		if (sampled_ns - t->shuffled_cpu_ns < SHUFFLE_SAMPLES * event_period_ns &&
		    sampled_ns >= t->shuffled_cpu_ns)
			continue;
		t->shuffled_cpu_ns = sampled_ns;
		period = draw_period(event_period_ns);
		ioctl(t->event_fd - 1, PERF_EVENT_IOC_PERIOD, &period);
	}
}

int pf_precise_probe(void)
{
	int fd = open_event((pid_t)syscall(SYS_gettid), PF_NS_PER_SECOND);
	struct sigaction now;
	int rc = fd < 0 ? fd : 0;

	if (fd >= 0)
		close(fd);
	if (rc == 0 && sigaction(SIGURG, NULL, &now) == 0 && !is_ours(&now) && !is_default(&now))
		rc = -EBUSY;
	if (rc == 0)
		return 0;
	pf_feature_set(PF_FEATURE_CPU_PRECISE, PF_FEATURE_NONE, why_refused(rc));
	return -EOPNOTSUPP;
}

PF_SIGSAFE void pf_precise_fork_child(void)
{
	for (uint32_t i = 0; owners && i < DESCRIPTOR_LIMIT; i++)
		owners[i] = 0;
	event_period_ns = 0;
}
