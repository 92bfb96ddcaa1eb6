#include "sampler/shared_stack.h"
#include "base/forbid.h"
#include "base/mark.h"
#include "sampler/precise.h"
#include "sampler/signal.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of as many registrations the last. Whoever shares registers the same again and again. */
enum { KEPT = 64 };

static struct {
	uint64_t low; /* atomic */
	pid_t tid;    /* atomic; 0: none. Moves to 0 before `low` does */
} kept[KEPT];
static uint32_t next; /* atomic */
static bool shared;   /* atomic; never taken back */

PF_SIGSAFE bool pf_shared_stack_is_free(void)
{
	return !__atomic_load_n(&shared, __ATOMIC_ACQUIRE);
}

static PF_SIGSAFE bool lives(pid_t tid)
{
	int saved = errno;
	bool there = syscall(SYS_tgkill, syscall(SYS_getpid), tid, 0) == 0;

	errno = saved;
	return there;
}

static PF_SIGSAFE bool is_anothers(uint64_t low, pid_t tid)
{
	for (uint32_t i = 0; i < KEPT; i++) {
		pid_t other = __atomic_load_n(&kept[i].tid, __ATOMIC_ACQUIRE);
		bool same = __atomic_load_n(&kept[i].low, __ATOMIC_ACQUIRE) == low;

		if (other && other != tid && same &&
		    __atomic_load_n(&kept[i].tid, __ATOMIC_ACQUIRE) == other && lives(other))
			return true;
	}
	return false;
}

static PF_SIGSAFE void keep(uint64_t low, pid_t tid)
{
	uint32_t place = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED) % KEPT;

	__atomic_store_n(&kept[place].tid, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&kept[place].low, low, __ATOMIC_RELEASE);
	__atomic_store_n(&kept[place].tid, tid, __ATOMIC_RELEASE);
}

static PF_SIGSAFE void forget(pid_t tid)
{
	for (uint32_t i = 0; i < KEPT; i++)
		if (__atomic_load_n(&kept[i].tid, __ATOMIC_RELAXED) == tid)
			__atomic_store_n(&kept[i].tid, 0, __ATOMIC_RELEASE);
}

PF_SIGSAFE void pf_shared_stack_note(pid_t tid, const stack_t *stack)
{
	uint64_t low = (uint64_t)stack->ss_sp;

	if (!pf_shared_stack_is_free())
		return;
	forget(tid);
	if ((stack->ss_flags & SS_DISABLE) || stack->ss_size == 0)
		return;
	keep(low, tid);
	/* Two who come at the same time: one of them sees the other. */
	if (!is_anothers(low, tid) || pf_is_forbidden(PF_FORBIDDEN_CREW))
		return;
	__atomic_store_n(&shared, true, __ATOMIC_SEQ_CST);
	pf_signal_leave_stacks();
	pf_precise_leave_stacks();
}
