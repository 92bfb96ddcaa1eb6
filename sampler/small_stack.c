#include "sampler/small_stack.h"
#include "base/forbid.h"
#include "base/mark.h"

#include <stdbool.h>
#include <string.h>
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
static uint64_t ours; /* atomic; our signal's bit */
static uint64_t
    added[SIGNALS + 1]; /* atomic; what is in the kernel's mask and not in the program's */

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

/* The mask of an action that stands in the kernel, as it is to be. */
static PF_SIGSAFE uint64_t widened(int signal, uint64_t mask)
{
	uint64_t now = __atomic_load_n(&ours, __ATOMIC_ACQUIRE);
	uint64_t own = mask & ~__atomic_load_n(&added[signal], __ATOMIC_RELAXED);

	__atomic_store_n(&added[signal], now & ~own, __ATOMIC_RELAXED);
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
			wider.mask = widened(signal, now.mask);
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

PF_SIGSAFE void pf_small_stack_note(const stack_t *stack)
{
	if ((stack->ss_flags & SS_DISABLE) || stack->ss_size - 1 >= PF_SMALL_STACK_BYTES - 1 ||
	    __atomic_load_n(&small, __ATOMIC_ACQUIRE))
		return;
	__atomic_store_n(&small, true, __ATOMIC_RELEASE);
	/* A filter may let a thread register a stack and no handler. */
	if (is_needed() && !pf_is_forbidden(PF_FORBIDDEN_CREW))
		spare_all();
}

void pf_small_stack_signal(int signal)
{
	__atomic_store_n(&ours, signal ? 1ull << (signal - 1) : 0, __ATOMIC_RELEASE);
	if (is_needed())
		spare_all();
}

PF_SIGSAFE void pf_small_stack_widen(int signal, struct sigaction *action)
{
	uint64_t *mask =
	    (uint64_t *)&action->sa_mask; /* glibc's sigset_t begins with the kernel's 64 bits */
	uint64_t more = 0;

	if (is_needed() && is_on_stack((uint64_t)action->sa_handler, (uint64_t)action->sa_flags))
		more = __atomic_load_n(&ours, __ATOMIC_ACQUIRE) & ~*mask;
	__atomic_store_n(&added[signal], more, __ATOMIC_RELAXED);
	*mask |= more;
}

PF_SIGSAFE uint64_t pf_small_stack_added(int signal)
{
	return signal >= 1 && signal <= SIGNALS ? __atomic_load_n(&added[signal], __ATOMIC_RELAXED)
						: 0;
}

PF_SIGSAFE void pf_small_stack_hide(struct sigaction *action, uint64_t added_before)
{
	*(uint64_t *)&action->sa_mask &= ~added_before;
}

PF_SIGSAFE void pf_small_stack_installed(int signal)
{
	if (is_needed())
		spare(signal);
}
