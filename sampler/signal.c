#include "sampler/signal.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/lock.h"
#include "sampler/ask.h"
#include "sampler/crew.h"
#include "sampler/sample.h"
#include "sampler/shared_stack.h"
#include "sampler/small_stack.h"
#include "sampler/task.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The value: | 22 bits mark | 2 bits purpose | 16 bits generation | 24 bits slot | */
enum { SLOT_BITS = 24, GENERATION_BITS = 16, PURPOSE_BITS = 2 };
enum { MARK_SHIFT = SLOT_BITS + GENERATION_BITS + PURPOSE_BITS };
static const uint64_t MARK = 0x2f0ffull;

/* What must be left below the handler: twice what a capture was seen to use, and less than what a
 * signal stack of 8 KiB has left behind the kernel's own frame. Not more than a page: then one
 * question tells whether the stack goes on so far. */
enum { ROOM_BYTES = 4096, PAGE_BYTES = 4096 };

static int number;         /* atomic; 0: none yet */
static uint64_t were_ours; /* atomic; one bit each, from 1 on */
static struct pf_lock choice_lock = PF_LOCK_INIT(PF_LOCK_THREAD);

PF_SIGSAFE int pf_signal_number(void)
{
	return __atomic_load_n(&number, __ATOMIC_ACQUIRE);
}

PF_SIGSAFE union sigval pf_signal_value(const struct pf_thread *t, enum pf_signal_purpose purpose)
{
	uint64_t value = MARK << MARK_SHIFT;

	value |= (uint64_t)purpose << (SLOT_BITS + GENERATION_BITS);
	value |= (uint64_t)(pf_thread_generation(t) & 0xffff) << SLOT_BITS;
	value |= t->number;
	return (union sigval){.sival_ptr = (void *)value};
}

PF_SIGSAFE bool pf_signal_is_from_us(const siginfo_t *info)
{
	return (info->si_code == SI_TIMER || info->si_code == SI_QUEUE) &&
	       (uint64_t)info->si_value.sival_ptr >> MARK_SHIFT == MARK;
}

/* Whom the signal is for; NULL with *ours when it came too late for that thread. */
static PF_SIGSAFE struct pf_thread *addressee(
    const siginfo_t *info, bool *ours, enum pf_signal_purpose *purpose)
{
	uint64_t value = (uint64_t)info->si_value.sival_ptr;
	struct pf_thread *t;

	*ours = pf_signal_is_from_us(info);
	if (!*ours)
		return NULL;
	*purpose = value >> (SLOT_BITS + GENERATION_BITS) & 3;
	t = pf_thread_at(value & ((1u << SLOT_BITS) - 1));
	if (!t || (pf_thread_generation(t) & 0xffff) != (value >> SLOT_BITS & 0xffff))
		return NULL;
	return t;
}

/* One that no hook has seen registered: by a bare system call, or before us. */
static PF_SIGSAFE void note_stack(struct pf_thread *t, const stack_t *stack)
{
	pf_small_stack_note(stack);
	if (!t || t->alternate == (uint64_t)stack->ss_sp)
		return;
	t->alternate = (uint64_t)stack->ss_sp;
	pf_shared_stack_note(t->tid, stack);
}

/* The program's own action was the default when we took the signal, so there is nobody to pass a
 * foreign one on to; the default would end the program. It is counted. */
static PF_SIGSAFE void on_signal(int signal, siginfo_t *info, void *context)
{
	int saved = errno;
	enum pf_signal_purpose purpose = PF_SIGNAL_SAMPLE;
	bool ours;
	struct pf_thread *t = addressee(info, &ours, &purpose);

	(void)signal;
	if (!ours)
		pf_count(PF_COUNTER_CPU_FOREIGN_SIGNAL);
	else if (t && purpose == PF_SIGNAL_SAMPLE)
		pf_sample_take(t, context);
	else if (t)
		pf_ask_answer(t, context);
	note_stack(t, &((const ucontext_t *)context)->uc_stack);
	errno = saved;
}

PF_SIGSAFE void pf_signal_dropped(const siginfo_t *info)
{
	enum pf_signal_purpose purpose = PF_SIGNAL_SAMPLE;
	bool ours;
	struct pf_thread *t = addressee(info, &ours, &purpose);

	pf_count(PF_COUNTER_CPU_LOST_TAKEN);
	if (t && purpose == PF_SIGNAL_ASK)
		pf_ask_refuse(t);
}

/* Can it be read? The kernel looks for us: with an impossible `how` it changes nothing and says
 * EFAULT or EINVAL. Keeps no descriptor and takes no lock. */
static PF_SIGSAFE bool is_readable(uint64_t address)
{
	long rc = syscall(SYS_rt_sigprocmask, ~0L, address & ~7ull, NULL, 8);

	return rc == 0 || errno != EFAULT;
}

PF_SIGSAFE bool pf_signal_has_room(struct pf_thread *t, const ucontext_t *context)
{
	uint64_t here = (uint64_t)__builtin_frame_address(0);
	uint64_t alternate = (uint64_t)context->uc_stack.ss_sp;
	uint64_t lowest = here - ROOM_BYTES;

	if (here - alternate < context->uc_stack.ss_size)
		return here - alternate >= ROOM_BYTES;
	if (lowest / PAGE_BYTES == t->room_page)
		return true;
	if (!is_readable(lowest))
		return false;
	t->room_page = lowest / PAGE_BYTES;
	return true;
}

/* ---- the choice ---- */

static bool is_default(int signal)
{
	struct sigaction now;

	return sigaction(signal, NULL, &now) == 0 && now.sa_handler == SIG_DFL;
}

/* How many of the program's threads block each signal: blockers[signal]. */
static void count_blockers(uint32_t blockers[65])
{
	struct pf_task_list list;

	if (pf_task_list(&list) < 0)
		return;
	for (size_t i = 0; i < list.count; i++) {
		uint64_t mask;

		if (pf_thread_blocked(list.tids[i], &mask) < 0)
			continue;
		for (int signal = 1; signal <= 64; signal++)
			blockers[signal] += mask >> (signal - 1) & 1;
	}
	pf_task_list_finish(&list);
}

/* The free one that fewest threads block, the highest of these; the very last one last, because
 * programs that count down from the end begin there. 0: none. */
static int choose(void)
{
	uint32_t blockers[65] = {0};
	int best = 0;

	count_blockers(blockers);
	for (int signal = SIGRTMAX - 1; signal >= SIGRTMIN; signal--)
		if (is_default(signal) && (!best || blockers[signal] < blockers[best]))
			best = signal;
	if (!best && is_default(SIGRTMAX))
		best = SIGRTMAX;
	return best;
}

void pf_signal_action(struct sigaction *action, pf_signal_handler_fn *handler)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGSYS};

	memset(action, 0, sizeof(*action));
	action->sa_sigaction = handler;
	action->sa_flags = SA_SIGINFO | SA_RESTART | (pf_shared_stack_is_free() ? SA_ONSTACK : 0);
	sigfillset(&action->sa_mask);
	/* A fault of the program inside must still reach whoever reports it. */
	for (size_t i = 0; i < PF_COUNT(faults); i++)
		sigdelset(&action->sa_mask, faults[i]);
}

PF_SIGSAFE void pf_signal_leave_stack(int signal, pf_signal_handler_fn *handler)
{
	struct {
		uint64_t handler, flags, restorer, mask;
	} now; /* the kernel's struct sigaction */

	if (syscall(SYS_rt_sigaction, (long)signal, NULL, &now, sizeof(now.mask)) < 0 ||
	    now.handler != (uint64_t)handler || !(now.flags & SA_ONSTACK))
		return;
	now.flags &= ~(uint64_t)SA_ONSTACK;
	syscall(SYS_rt_sigaction, (long)signal, &now, NULL, sizeof(now.mask));
}

PF_SIGSAFE void pf_signal_leave_stacks(void)
{
	int signal = pf_signal_number();

	if (signal)
		pf_signal_leave_stack(signal, on_signal);
}

uint64_t pf_signal_mask_inside(void)
{
	struct sigaction action;

	pf_signal_action(&action, on_signal);
	/* glibc's sigset_t begins with the kernel's 64 bits; two signals cannot be blocked. */
	return *(const uint64_t *)&action.sa_mask &
	       ~(1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1));
}

static int install_locked(void)
{
	struct sigaction action, before;
	int signal;

	do {
		signal = choose();
		if (signal == 0)
			return -EBUSY;
		pf_signal_action(&action, on_signal);
		/* First: from here on the hooks look twice (sigaction_hook.c). */
		__atomic_fetch_or(&were_ours, 1ull << (signal - 1), __ATOMIC_RELEASE);
		if (sigaction(signal, &action, &before) < 0)
			return -errno;
		if (!pf_shared_stack_is_free()) /* by now */
			pf_signal_leave_stack(signal, on_signal);
		/* The program took it meanwhile. */
		if (before.sa_handler != SIG_DFL)
			sigaction(signal, &before, NULL);
	} while (before.sa_handler != SIG_DFL);
	pf_small_stack_signal(signal);
	__atomic_store_n(&number, signal, __ATOMIC_RELEASE);
	return 0;
}

int pf_signal_install(void)
{
	int rc;

	pf_lock_take(&choice_lock);
	rc = number ? 0 : install_locked();
	pf_lock_give(&choice_lock);
	return rc;
}

int pf_signal_move(void)
{
	int rc;

	pf_lock_take(&choice_lock);
	rc = install_locked();
	pf_lock_give(&choice_lock);
	return rc;
}

PF_SIGSAFE void pf_signal_fork_child(void)
{
	pf_small_stack_begin();
	choice_lock.word = 0;
}

PF_HOOK bool pf_signal_was_ours(int signal)
{
	return signal >= 1 && signal <= 64 &&
	       __atomic_load_n(&were_ours, __ATOMIC_ACQUIRE) >> (signal - 1) & 1;
}

PF_HOOK bool pf_signal_is_handler(const struct sigaction *action)
{
	return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == on_signal;
}

PF_HOOK bool pf_signal_is_ours(void)
{
	struct sigaction now;
	int signal = pf_signal_number();

	if (signal == 0)
		return true;
	if (sigaction(signal, NULL, &now) < 0)
		return true; /* it cannot be asked, so nothing says that it is not */
	return pf_signal_is_handler(&now);
}
