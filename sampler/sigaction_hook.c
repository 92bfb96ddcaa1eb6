#include "sampler/sigaction_hook.h"
#include "base/forbid.h"
#include "base/mark.h"
#include "sampler/cpu.h"
#include "sampler/patch.h"
#include "sampler/shared_stack.h"
#include "sampler/signal.h"
#include "sampler/small_stack.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the program would find in place of our handler: SIG_DFL, which it was when we took the signal,
 * or SIG_IGN. */
static __sighandler_t wanted; /* atomic */

/* The program's own handler behind ours, for each signal that was ever ours. Two threads that set
 * the same signal at once race without us, too. */
struct behind {
	__sighandler_t handler; /* atomic; whatever its parameters are */
	int flags;              /* atomic; as the program gave them */
};
static struct behind behind[65];
static pid_t program; /* atomic; whose all this is */

/* ---- in place of the program's handler ---- */

/* What the kernel would do, had we not been there. */
static PF_SIGSAFE void be_default(int signal)
{
	static const uint64_t
	    none[4]; /* the kernel's struct sigaction: handler, flags, restorer, mask */

	syscall(SYS_rt_sigaction, (long)signal, none, NULL, 8L);
	syscall(SYS_tgkill, syscall(SYS_getpid), syscall(SYS_gettid), (long)signal);
}

/* Our timers go on until the next look round; that is no business of the program's handler. It ends in
 * a jump: the handler returns to the kernel's frame, as it would without us. (Named so because it calls
 * a pointer: scripts/check-calls.) */
static PF_SIGSAFE void pf_real_pass_on(int signal, siginfo_t *info, void *context)
{
	__sighandler_t handler;

	if (pf_signal_is_from_us(info)) {
		pf_signal_dropped(info);
		return;
	}
	if (__atomic_load_n(&behind[signal].flags, __ATOMIC_RELAXED) & SA_RESETHAND)
		handler = __atomic_exchange_n(&behind[signal].handler, SIG_DFL, __ATOMIC_ACQ_REL);
	else
		handler = __atomic_load_n(&behind[signal].handler, __ATOMIC_ACQUIRE);
	if (handler == SIG_DFL)
		be_default(signal);
	else
		((pf_signal_handler_fn *)(void *)handler)(signal, info, context);
}

/* ---- the hooks ---- */

static PF_HOOK bool is_passed_on(const struct sigaction *action)
{
	return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == pf_real_pass_on;
}

static PF_HOOK bool is_handler(const struct sigaction *action)
{
	return action->sa_handler != SIG_DFL &&
	       action->sa_handler != SIG_IGN; /* whatever the flags */
}

/* What stood there before the program saw it, past our hooks, and comes back. */
static PF_HOOK bool is_of_ours(struct sigaction *action)
{
	action->sa_flags |= SA_SIGINFO;
	return pf_signal_is_handler(action) || is_passed_on(action);
}

/* What the program is told that there is. */
static PF_HOOK void show(int signal, const struct sigaction *now, struct sigaction *old)
{
	*old = *now;
	if (pf_signal_is_handler(now)) {
		old->sa_handler = __atomic_load_n(&wanted, __ATOMIC_RELAXED);
		old->sa_flags = 0;
		*(uint64_t *)&old->sa_mask =
		    0; /* glibc's sigset_t begins with the kernel's 64 bits */
	} else if (is_passed_on(now)) {
		old->sa_handler = __atomic_load_n(&behind[signal].handler, __ATOMIC_RELAXED);
		old->sa_flags = __atomic_load_n(&behind[signal].flags, __ATOMIC_RELAXED);
	}
}

static PF_HOOK int set_handler(int signal, const struct sigaction *action)
{
	struct sigaction ours = *action;
	int rc;

	ours.sa_sigaction = pf_real_pass_on;
	ours.sa_flags = (action->sa_flags | SA_SIGINFO) & ~(int)SA_RESETHAND;
	__atomic_store_n(&behind[signal].flags, action->sa_flags, __ATOMIC_RELAXED);
	__atomic_store_n(&behind[signal].handler, action->sa_handler, __ATOMIC_RELEASE);
	rc = sigaction(signal, &ours, NULL);
	pf_cpu_look_soon(); /* for another signal */
	return rc;
}

/* Samples may be on their way to where the program had a handler: they must not meet the default. */
static PF_HOOK int set_none(int signal, const struct sigaction *action, const struct sigaction *now)
{
	if (pf_signal_is_handler(now)) {
		__atomic_store_n(&wanted, action->sa_handler, __ATOMIC_RELAXED);
		return 0;
	}
	if (action->sa_handler == SIG_IGN)
		return sigaction(signal, action, NULL);
	__atomic_store_n(
	    &behind[signal].flags, action->sa_flags & ~(int)SA_RESETHAND, __ATOMIC_RELAXED);
	__atomic_store_n(&behind[signal].handler, SIG_DFL, __ATOMIC_RELEASE);
	return 0;
}

/* No sample comes to a child of fork or vfork; and what that of vfork writes down here would be its parent's. */
static PF_HOOK bool is_here(void)
{
	return syscall(SYS_getpid) == __atomic_load_n(&program, __ATOMIC_RELAXED);
}

static PF_HOOK int set(int signal, const struct sigaction *action, const struct sigaction *now)
{
	struct sigaction again = *action;

	if (!is_here())
		return sigaction(signal, action, NULL);
	if (is_of_ours(&again))
		return sigaction(signal, &again, NULL);
	return is_handler(action) ? set_handler(signal, action) : set_none(signal, action, now);
}

static PF_HOOK int set_past_ours(int signal, const struct sigaction *action, struct sigaction *old)
{
	struct sigaction now, before;
	int rc = 0;

	if (!pf_signal_was_ours(signal) || sigaction(signal, NULL, &now) < 0)
		return sigaction(signal, action, old);
	/* Samples may still come to a handler that follows an ignoring. */
	if (!pf_signal_is_handler(&now) && !is_passed_on(&now) && !(action && is_handler(action)))
		return sigaction(signal, action, old);
	show(signal, &now, &before);
	if (action)
		rc = set(signal, action, &now);
	if (rc == 0 && old)
		*old = before;
	return rc;
}

static PF_HOOK bool is_taking(const struct sigaction *action)
{
	struct sigaction again = *action;

	return is_handler(action) && !is_of_ours(&again);
}

/* What stands in the kernel when that is installed. */
static PF_HOOK uint64_t standing(int signal, const struct sigaction *action)
{
	if (pf_signal_was_ours(signal) && is_taking(action))
		return (uint64_t)pf_real_pass_on;
	return (uint64_t)action->sa_handler;
}

/* What was added to the mask of what is told as the old action is no part of it. */
static PF_HOOK void hide(
    int signal, const struct pf_small_stack_added *added, struct sigaction *old)
{
	/* SA_RESETHAND: the kernel has taken the handler, and left the mask. */
	bool reset = old->sa_handler == SIG_DFL && (old->sa_flags & SA_ONSTACK) &&
		     (old->sa_flags & (int)SA_RESETHAND);

	if (added->handler == (uint64_t)old->sa_handler || reset || pf_signal_was_ours(signal))
		*(uint64_t *)&old->sa_mask &= ~added->mask;
}

PF_HOOK int pf_sigaction_set(int signal, const struct sigaction *action, struct sigaction *old)
{
	struct pf_small_stack_added added;
	struct sigaction wider;
	uint64_t more = 0;
	int rc;

	if (pf_is_forbidden(PF_FORBIDDEN_HOST) || signal < 1 || signal > 64)
		return sigaction(signal, action, old);
	added = pf_small_stack_added(signal);
	if (action && signal == pf_signal_number() && is_taking(action))
		pf_small_stack_taken(signal);
	if (action) {
		wider = *action;
		more = pf_small_stack_wanted(action);
		*(uint64_t *)&wider.sa_mask |= more;
	}
	rc = set_past_ours(signal, action ? &wider : NULL, old);
	if (rc < 0)
		return rc;
	if (action)
		pf_small_stack_installed(
		    signal, standing(signal, action), *(const uint64_t *)&action->sa_mask, more);
	if (old)
		hide(signal, &added, old);
	return 0;
}

/* No sample in between: the stack may be another thread's, too. */
PF_HOOK int pf_sigaction_stack(const stack_t *stack, stack_t *old)
{
	uint64_t ours, before = 0;
	stack_t now;
	int rc;

	if (!stack || pf_is_forbidden(PF_FORBIDDEN_HOST) || !is_here())
		return sigaltstack(stack, old);
	ours = 1ull << (SIGURG - 1);
	if (pf_signal_number())
		ours |= 1ull << (pf_signal_number() - 1);
	syscall(SYS_rt_sigprocmask, SIG_BLOCK, &ours, &before, sizeof(ours));
	rc = sigaltstack(stack, old);
	if (rc == 0 && sigaltstack(NULL, &now) == 0) {
		pf_small_stack_note(&now);
		pf_shared_stack_note((pid_t)syscall(SYS_gettid), &now);
	}
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof(before));
	return rc;
}

/* As sigaction() with these flags, for a signal that was ours. */
static PF_HOOK __sighandler_t set_simply(int number, __sighandler_t handler, int flags)
{
	struct sigaction action, old;

	memset(&action, 0, sizeof(action));
	action.sa_handler = handler;
	action.sa_flags = flags;
	if (flags & SA_RESTART)
		*(uint64_t *)&action.sa_mask = 1ull << (number - 1); /* as glibc's signal() */
	return pf_sigaction_set(number, &action, &old) < 0 ? SIG_ERR : old.sa_handler;
}

PF_HOOK __sighandler_t pf_sigaction_signal(int number, __sighandler_t handler)
{
	__sighandler_t before;

	if (pf_signal_was_ours(number) && handler != SIG_ERR)
		return set_simply(number, handler, SA_RESTART);
	before = signal(number, handler);
	if (before != SIG_ERR && !pf_is_forbidden(PF_FORBIDDEN_HOST))
		pf_small_stack_installed(number, (uint64_t)handler, 0, 0);
	return before;
}

PF_HOOK __sighandler_t pf_sigaction_sysv_signal(int number, __sighandler_t handler)
{
	__sighandler_t before;

	if (pf_signal_was_ours(number) && handler != SIG_ERR)
		return set_simply(number, handler, (int)SA_RESETHAND | SA_NODEFER);
	before = __sysv_signal(number, handler);
	if (before != SIG_ERR && !pf_is_forbidden(PF_FORBIDDEN_HOST))
		pf_small_stack_installed(number, (uint64_t)handler, 0, 0);
	return before;
}

/* Our own slots are never patched, so these are the functions behind the hooks. */
static void *real_sigaction = (void *)sigaction;
static void *real_signal = (void *)signal;
static void *real_sysv_signal = (void *)__sysv_signal;
static void *real_stack = (void *)sigaltstack;

static const struct pf_patch patches[] = {
    {"sigaction", (void *)pf_sigaction_set, &real_sigaction, NULL},
    {"signal", (void *)pf_sigaction_signal, &real_signal, NULL},
    {"__sysv_signal", (void *)pf_sigaction_sysv_signal, &real_sysv_signal, NULL},
    {"sigaltstack", (void *)pf_sigaction_stack, &real_stack, NULL},
};

static struct pf_patch_set patch_set = {.patches = patches, .count = PF_COUNT(patches)};

int pf_sigaction_start(void)
{
	__atomic_store_n(&program, getpid(), __ATOMIC_RELAXED);
	pf_small_stack_begin();
	pf_small_stack_signal(pf_signal_number());
	return pf_patch_on(&patch_set);
}

void pf_sigaction_stop(void)
{
	pf_patch_off(&patch_set);
	pf_small_stack_signal(0); /* nobody would hide it any more */
}
