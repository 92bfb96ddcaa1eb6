#include "base/birth.h"
#include "base/clock.h"
#include "base/forbid.h"
#include "base/lock.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const int64_t EXEC_PATIENCE_NS = PF_NS_PER_SECOND;
/* An exec that has not taken our threads with it after this long has failed. */
static const int64_t EXEC_NS = PF_NS_PER_SECOND;
/* Who execs in vain all the time shall not keep us from ever starting. */
static const int64_t BIRTH_PATIENCE_NS = 2ll * PF_NS_PER_SECOND;

/* In a place that is claimed, and no process has been made yet. */
enum { NOBODY_YET = INT_MAX };

static struct pf_births own;
static struct pf_births *births = &own;

void pf_birth_begin(void)
{
	int64_t latest_ns = pf_clock_now_ns() + BIRTH_PATIENCE_NS;
	uint32_t never = 0;

	for (;;) {
		int64_t until_ns = __atomic_load_n(&births->until_ns, __ATOMIC_SEQ_CST);
		int64_t now_ns = pf_clock_now_ns();

		if (until_ns > now_ns && now_ns < latest_ns) {
			pf_futex_wait(&never, 0, until_ns < latest_ns ? until_ns : latest_ns);
			continue;
		}
		__atomic_fetch_add(&births->going, 1, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&births->until_ns, __ATOMIC_SEQ_CST) == until_ns)
			return;
		pf_birth_end(); /* an exec has come in between */
	}
}

void pf_birth_end(void)
{
	if (__atomic_sub_fetch(&births->going, 1, __ATOMIC_SEQ_CST) == 0)
		pf_futex_wake(&births->going, INT_MAX);
}

pid_t *pf_birth_claim(void)
{
	for (size_t i = 0; i < PF_BIRTH_ENDED_BY_EXEC_MAX; i++) {
		pid_t nobody = 0;

		if (__atomic_compare_exchange_n(&births->ended_by_exec[i], &nobody, NOBODY_YET,
			false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return &births->ended_by_exec[i];
	}
	return NULL;
}

/* Until it is waited for its number is nobody else's, so whoever kills it must be done by then. */
void pf_birth_give_back(pid_t *place)
{
	pid_t now = __atomic_load_n(place, __ATOMIC_ACQUIRE);

	while (now < 0 || !__atomic_compare_exchange_n(
			      place, &now, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		if (now < 0)
			pf_futex_wait((uint32_t *)place, (uint32_t)now, -1);
		now = __atomic_load_n(place, __ATOMIC_ACQUIRE);
	}
}

static PF_HOOK void kill_helpers(void)
{
	for (size_t i = 0; i < PF_BIRTH_ENDED_BY_EXEC_MAX; i++) {
		pid_t *place = &births->ended_by_exec[i];
		pid_t pid = __atomic_load_n(place, __ATOMIC_ACQUIRE);

		if (pid <= 0 || pid == NOBODY_YET ||
		    !__atomic_compare_exchange_n(
			place, &pid, -pid, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			continue;
		syscall(SYS_kill, pid, SIGKILL);
		__atomic_store_n(place, pid, __ATOMIC_RELEASE);
		pf_futex_wake((uint32_t *)place, INT_MAX);
	}
}

PF_HOOK void pf_birth_exec_comes(void)
{
	const int64_t look_ns = 5 * PF_NS_PER_MS;
	int64_t now_ns, deadline_ns;
	int saved = errno;
	uint32_t going;

	/* A filter of system calls may forbid to ask who we are, or what time it is. */
	if (pf_is_forbidden(PF_FORBIDDEN_HOST | PF_FORBIDDEN_SPAWN))
		return;
	if (births->program && births->program == syscall(SYS_getpid)) {
		now_ns = pf_clock_now_ns();
		deadline_ns = now_ns + EXEC_PATIENCE_NS;
		__atomic_store_n(&births->until_ns, now_ns + EXEC_NS, __ATOMIC_SEQ_CST);
		/* Killed again and again: one may be about to be made. */
		while ((going = __atomic_load_n(&births->going, __ATOMIC_SEQ_CST)) != 0 &&
		       (now_ns = pf_clock_now_ns()) < deadline_ns) {
			kill_helpers();
			pf_futex_wait(&births->going, going, now_ns + look_ns);
		}
	}
	errno = saved;
}

bool pf_birth_takes_orphans(void)
{
	int subreaper = 0;

	return getpid() == 1 || (prctl(PR_GET_CHILD_SUBREAPER, &subreaper) == 0 && subreaper != 0);
}

void pf_birth_start(void)
{
	births->program = getpid();
}

void pf_birth_fork_child(void)
{
	memset(births, 0, sizeof(*births));
}

struct pf_births *pf_birth_shared(void)
{
	return births;
}

void pf_birth_adopt(struct pf_births *shared)
{
	births = shared;
}
