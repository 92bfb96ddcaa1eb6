#include "sampler/sigwait_hook.h"
#include "base/mark.h"
#include "sampler/patch.h"
#include "sampler/signal.h"

#include <stddef.h>
#include <sys/signalfd.h>
#include <time.h>

/* So many real-time signals in a set mean "all there are". */
enum { ALL_AT_LEAST = 16, FIRST_REAL_TIME = 32 };

static bool claimed; /* atomic */

bool pf_sigwait_claimed(void)
{
	return __atomic_exchange_n(&claimed, false, __ATOMIC_RELAXED);
}

/* glibc's sigset_t begins with the kernel's 64 bits. */
PF_INLINE uint64_t *bits_of(sigset_t *set)
{
	return (uint64_t *)set;
}

static PF_HOOK uint32_t count_bits(uint64_t bits)
{
	uint32_t count = 0;

	for (; bits; bits &= bits - 1)
		count++;
	return count;
}

/* The set to wait for instead: `set` itself, or `own` with a copy of it without our signal. */
static PF_HOOK const sigset_t *without_ours(const sigset_t *set, sigset_t *own)
{
	int signal = pf_signal_number();
	uint64_t ours = signal ? 1ull << (signal - 1) : 0;

	if (!set)
		return set;
	*own = *set;
	if (!(*bits_of(own) & ours))
		return set;
	if (count_bits(*bits_of(own) >> FIRST_REAL_TIME) < ALL_AT_LEAST) {
		__atomic_store_n(&claimed, true, __ATOMIC_RELAXED);
		return set;
	}
	*bits_of(own) &= ~ours;
	return own;
}

PF_HOOK int pf_sigwait_wait(const sigset_t *set, int *signal)
{
	sigset_t own;

	return sigwait(without_ours(set, &own), signal);
}

PF_HOOK int pf_sigwait_info(const sigset_t *set, siginfo_t *info)
{
	sigset_t own;

	return sigwaitinfo(without_ours(set, &own), info);
}

PF_HOOK int pf_sigwait_timed(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
	sigset_t own;

	return sigtimedwait(without_ours(set, &own), info, timeout);
}

PF_HOOK int pf_sigwait_fd(int fd, const sigset_t *set, int flags)
{
	sigset_t own;

	return signalfd(fd, without_ours(set, &own), flags);
}

/* Our own slots are never patched, so these are the functions behind the hooks. */
static void *real_sigwait = (void *)sigwait;
static void *real_sigwaitinfo = (void *)sigwaitinfo;
static void *real_sigtimedwait = (void *)sigtimedwait;
static void *real_signalfd = (void *)signalfd;

static const struct pf_patch patches[] = {
    {"sigwait", (void *)pf_sigwait_wait, &real_sigwait, NULL},
    {"sigwaitinfo", (void *)pf_sigwait_info, &real_sigwaitinfo, NULL},
    {"sigtimedwait", (void *)pf_sigwait_timed, &real_sigtimedwait, NULL},
    {"signalfd", (void *)pf_sigwait_fd, &real_signalfd, NULL},
};

static struct pf_patch_set patch_set = {.patches = patches, .count = PF_COUNT(patches)};

int pf_sigwait_start(void)
{
	return pf_patch_on(&patch_set);
}

void pf_sigwait_stop(void)
{
	pf_patch_off(&patch_set);
}
