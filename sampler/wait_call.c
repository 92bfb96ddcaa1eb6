#include "sampler/wait_call.h"
#include "base/glibc.h"
#include "sampler/gate.h"
#include "sampler/real.h"
#include "sampler/wait_hook.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>

void *pf_wait_calls[PF_CALL_COUNT];
bool pf_wait_call_may_try;

#define X(name)                                                                                    \
	PF_HOOK long pf_real_##name(PF_CALL_PARAMS)                                                \
	{                                                                                          \
		return PF_WAIT_CALL(name);                                                         \
	}
PF_WAIT_CALLS(X)
#undef X

PF_HOOK long pf_real_syscall_of(const long args[7])
{
	typedef long syscall_fn(long number, PF_CALL_PARAMS);

	return ((syscall_fn *)pf_wait_calls[PF_CALL_syscall])(
	    args[0], args[1], args[2], args[3], args[4], args[5], args[6]);
}

static const char *const names[] = {
#define X(name) #name,
    PF_WAIT_CALLS(X)
#undef X
};

static bool is_condition(int call)
{
	return call == PF_CALL_pthread_cond_wait || call == PF_CALL_pthread_cond_timedwait;
}

static bool is_in_libc(void *address)
{
	return pf_real_are_together(address, dlsym(RTLD_DEFAULT, "gnu_get_libc_version"));
}

/* Two kinds of condition variables go by one name, and old C libraries gave dlsym the older kind
 * (glibc bug 14932). */
static void *find(int call)
{
	void *found = NULL;

	if (is_condition(call) && PF_CONDITION_VERSION)
		found = dlvsym(RTLD_DEFAULT, names[call], PF_CONDITION_VERSION);
	return found && is_in_libc(found) ? found : pf_real_find(names[call]);
}

static bool are_of_one_library(void)
{
	static const enum pf_wait_call calls[] = {
#define X(name) PF_CALL_##name,
	    PF_LOCK_CALLS(X) PF_TRY_CALLS(X) PF_UNLOCK_CALLS(X)
#undef X
	};
	void *trylock = pf_wait_calls[PF_CALL_pthread_mutex_trylock];

	for (size_t i = 0; i < PF_COUNT(calls); i++)
		if (pf_wait_calls[calls[i]] &&
		    !pf_real_are_together(pf_wait_calls[calls[i]], trylock))
			return false;
	return trylock;
}

void pf_wait_call_resolve(void)
{
	static int done; /* atomic */

	if (__atomic_load_n(&done, __ATOMIC_ACQUIRE))
		return;
	pf_gate_enter();
	for (int i = 0; i < PF_CALL_COUNT; i++)
		__atomic_store_n(&pf_wait_calls[i], find(i), __ATOMIC_RELEASE);
	pf_wait_call_may_try = are_of_one_library();
	dlerror(); /* nobody shall find our misses */
	pf_gate_leave();
	__atomic_store_n(&done, 1, __ATOMIC_RELEASE);
}
