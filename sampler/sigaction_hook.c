#include "sampler/sigaction_hook.h"
#include "base/mark.h"
#include "sampler/patch.h"
#include "sampler/signal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the program would find in place of our handler: SIG_DFL, which it was when we took the signal,
 * or SIG_IGN. */
static __sighandler_t wanted; /* atomic */

/* Nobody's handler for our signal, while ours is there. */
static PF_HOOK bool is_for_us(int signal, __sighandler_t handler)
{
	return signal != 0 && signal == pf_signal_number() &&
	       (handler == SIG_DFL || handler == SIG_IGN) && pf_signal_is_ours();
}

PF_HOOK int pf_sigaction_set(int signal, const struct sigaction *action, struct sigaction *old)
{
	struct sigaction ours;
	__sighandler_t was;

	if (!action || (action->sa_flags & SA_SIGINFO) || !is_for_us(signal, action->sa_handler))
		return sigaction(signal, action, old);
	was = __atomic_exchange_n(&wanted, action->sa_handler, __ATOMIC_RELAXED);
	if (!old)
		return 0;
	if (sigaction(signal, NULL, &ours) < 0)
		return -1;
	ours.sa_handler = was;
	ours.sa_flags = 0;
	*(uint64_t *)&ours.sa_mask = 0; /* glibc's sigset_t begins with the kernel's 64 bits */
	*old = ours;
	return 0;
}

PF_HOOK __sighandler_t pf_sigaction_signal(int number, __sighandler_t handler)
{
	if (is_for_us(number, handler))
		return __atomic_exchange_n(&wanted, handler, __ATOMIC_RELAXED);
	return signal(number, handler);
}

PF_HOOK __sighandler_t pf_sigaction_sysv_signal(int number, __sighandler_t handler)
{
	if (is_for_us(number, handler))
		return __atomic_exchange_n(&wanted, handler, __ATOMIC_RELAXED);
	return __sysv_signal(number, handler);
}

/* Our own slots are never patched, so these are the functions behind the hooks. */
static void *real_sigaction = (void *)sigaction;
static void *real_signal = (void *)signal;
static void *real_sysv_signal = (void *)__sysv_signal;

static const struct pf_patch patches[] = {
    {"sigaction", (void *)pf_sigaction_set, &real_sigaction, NULL},
    {"signal", (void *)pf_sigaction_signal, &real_signal, NULL},
    {"__sysv_signal", (void *)pf_sigaction_sysv_signal, &real_sysv_signal, NULL},
};

static struct pf_patch_set patch_set = {.patches = patches, .count = PF_COUNT(patches)};

int pf_sigaction_start(void)
{
	return pf_patch_on(&patch_set);
}

void pf_sigaction_stop(void)
{
	pf_patch_off(&patch_set);
}
