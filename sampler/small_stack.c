#include "sampler/small_stack.h"
#include "base/forbid.h"
#include "base/mark.h"

#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SIGNALS = 64 };

/* The kernel's struct sigaction, with the restorer of whoever installed it. */
struct action {
	uint64_t handler;
	uint64_t flags;
	uint64_t restorer;
	uint64_t mask;
};

static bool small;    /* atomic; never taken back: stacks may be used for ever */
static bool spared;   /* atomic; all handlers have been gone through since */
static uint64_t ours; /* atomic; our signal's bit */
static pid_t here;    /* atomic; the process whose all this is */
/* What is in the kernel's mask and not in the program's. Counts only for the handler that stands there:
 * others may come past us. All atomic. */
static struct pf_small_stack_added added[SIGNALS + 1];

PF_INLINE bool is_needed(void)
{
	return __atomic_load_n(&small, __ATOMIC_ACQUIRE) &&
	       __atomic_load_n(&ours, __ATOMIC_ACQUIRE) != 0;
}

PF_INLINE bool is_on_stack(uint64_t handler, uint64_t flags)
{
	return handler != (uint64_t)SIG_DFL && handler != (uint64_t)SIG_IGN && (flags & SA_ONSTACK);
}

static PF_SIGSAFE bool get(int signal, struct action *action)
{
	return syscall(SYS_rt_sigaction, (long)signal, NULL, action, sizeof(action->mask)) == 0;
}

static PF_SIGSAFE bool put(int signal, const struct action *action, struct action *before)
{
	return syscall(SYS_rt_sigaction, (long)signal, action, before, sizeof(action->mask)) == 0;
}

static PF_SIGSAFE bool is_same(const struct action *a, const struct action *b)
{
	return a->handler == b->handler && a->flags == b->flags && a->restorer == b->restorer &&
	       a->mask == b->mask;
}

static PF_SIGSAFE void set_added(int signal, uint64_t handler, uint64_t mask)
{
	__atomic_store_n(&added[signal].mask, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&added[signal].handler, handler, __ATOMIC_RELEASE);
	__atomic_store_n(&added[signal].mask, mask, __ATOMIC_RELEASE);
}

PF_SIGSAFE struct pf_small_stack_added pf_small_stack_added(int signal)
{
	return (struct pf_small_stack_added){
	    .handler = __atomic_load_n(&added[signal].handler, __ATOMIC_ACQUIRE),
	    .mask = __atomic_load_n(&added[signal].mask, __ATOMIC_ACQUIRE),
	};
}

/* The mask of an action that stands in the kernel, as it is to be. */
static PF_SIGSAFE uint64_t widened(int signal, const struct action *action)
{
	uint64_t now = __atomic_load_n(&ours, __ATOMIC_ACQUIRE);
	struct pf_small_stack_added before = pf_small_stack_added(signal);
	uint64_t own = action->mask;

	if (before.handler == action->handler)
		own &= ~before.mask;
	set_added(signal, action->handler, now & ~own);
	return own | now;
}

/* Another thread may install an action between our reading and our writing. It comes back to us in
 * place of what we left there, and is put back, widened, too. */
static PF_SIGSAFE void spare(int signal)
{
	struct action now, left, found;

	if (!get(signal, &now))
		return;
	left = now;
	for (;;) {
		struct action wider = now;

		if (is_on_stack(now.handler, now.flags))
			wider.mask = widened(signal, &now);
		if (is_same(&wider, &left) || !put(signal, &wider, &found) ||
		    is_same(&found, &left) || is_same(&found, &wider))
			return;
		left = wider;
		now = found;
	}
}

static PF_SIGSAFE void spare_all(void)
{
	for (int signal = 1; signal <= SIGNALS; signal++)
		spare(signal);
}

static PF_SIGSAFE bool is_here(void)
{
	return syscall(SYS_getpid) == __atomic_load_n(&here, __ATOMIC_RELAXED);
}

PF_SIGSAFE void pf_small_stack_note(const stack_t *stack)
{
	if (__atomic_load_n(&spared, __ATOMIC_ACQUIRE) || (stack->ss_flags & SS_DISABLE) ||
	    stack->ss_size - 1 >= PF_SMALL_STACK_BYTES - 1)
		return;
	__atomic_store_n(&small, true, __ATOMIC_RELEASE);
	/* A filter may let a thread register a stack and no handler. */
	if (!is_needed() || pf_is_forbidden(PF_FORBIDDEN_CREW) || !is_here())
		return;
	spare_all();
	__atomic_store_n(&spared, true, __ATOMIC_RELEASE);
}

PF_SIGSAFE void pf_small_stack_signal(int signal)
{
	__atomic_store_n(&ours, signal ? 1ull << (signal - 1) : 0, __ATOMIC_RELEASE);
	if (!__atomic_load_n(&small, __ATOMIC_ACQUIRE))
		return;
	spare_all();
	__atomic_store_n(&spared, signal != 0, __ATOMIC_RELEASE);
}

PF_SIGSAFE void pf_small_stack_begin(void)
{
	if (!pf_is_forbidden(PF_FORBIDDEN_HOST))
		__atomic_store_n(&here, (pid_t)syscall(SYS_getpid), __ATOMIC_RELAXED);
}

PF_SIGSAFE uint64_t pf_small_stack_wanted(const struct sigaction *action)
{
	/* glibc's sigset_t begins with the kernel's 64 bits */
	uint64_t own = *(const uint64_t *)&action->sa_mask;

	if (!is_needed() ||
	    !is_on_stack((uint64_t)action->sa_handler, (uint64_t)action->sa_flags) || !is_here())
		return 0;
	return __atomic_load_n(&ours, __ATOMIC_ACQUIRE) & ~own;
}

/* Another thread may have widened it already: what it has written down is not to be lost. */
PF_SIGSAFE void pf_small_stack_installed(
    int signal, uint64_t handler, uint64_t mask, uint64_t wanted)
{
	bool own = wanted || (mask & __atomic_load_n(&ours, __ATOMIC_ACQUIRE));

	if (!__atomic_load_n(&small, __ATOMIC_ACQUIRE) || !is_here())
		return;
	if (own || pf_small_stack_added(signal).handler != handler)
		set_added(signal, handler, wanted);
	if (is_needed() && !pf_is_forbidden(PF_FORBIDDEN_CREW))
		spare(signal);
}

/* Does a handler with SA_ONSTACK block it of its own accord? */
static PF_SIGSAFE bool is_blocked_by_any(uint64_t bit)
{
	for (int signal = 1; signal <= SIGNALS; signal++) {
		struct pf_small_stack_added a = pf_small_stack_added(signal);
		struct action now;

		if (get(signal, &now) && is_on_stack(now.handler, now.flags) && (now.mask & bit) &&
		    !(a.handler == now.handler && (a.mask & bit)))
			return true;
	}
	return false;
}

PF_SIGSAFE void pf_small_stack_taken(int signal)
{
	uint64_t bit = 1ull << (signal - 1), was = bit;
	bool blocked;
	stack_t now;

	if (!is_needed() || pf_is_forbidden(PF_FORBIDDEN_CREW) || !is_here())
		return;
	blocked = is_blocked_by_any(bit);
	/* Or there is another one meanwhile. */
	if (!__atomic_compare_exchange_n(&ours, &was, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return;
	spare_all();
	__atomic_store_n(&spared, false, __ATOMIC_RELEASE);
	if (!blocked && syscall(SYS_sigaltstack, NULL, &now) == 0 && (now.ss_flags & SS_ONSTACK))
		syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &bit, NULL, sizeof(bit));
}
