#include "agent/identity_hook.h"
#include "agent/agent.h"
#include "base/clock.h"
#include "base/forbid.h"
#include "base/mark.h"
#include "sampler/crew.h"
#include "sampler/patch.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint32_t managed; /* atomic: the program has changed capabilities of its own accord */

/* What decides whether a thread may change its identity; tid 0: the caller. False: not told. */
static bool rights_of(pid_t tid, uint32_t *out)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, tid};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	*out = data[0].effective & (1u << CAP_SETUID | 1u << CAP_SETGID);
	return true;
}

/* A filter of system calls may forbid to ask, at the price of the process: nobody is asked before
 * the program itself has had to do with capabilities. */
static bool may_the_same(void)
{
	uint32_t own, ours;
	pid_t member;

	if (pf_is_forbidden(PF_FORBIDDEN_HOST | PF_FORBIDDEN_RIGHTS) ||
	    !__atomic_load_n(&managed, __ATOMIC_RELAXED) || !pf_agent_is_here())
		return true;
	member = pf_crew_any();
	return member == 0 || !rights_of(0, &own) || !rights_of(member, &ours) || own == ours;
}

/* True: our threads have ended for it. */
static bool step_aside(bool necessary)
{
	int saved = errno;
	bool gone, aside = necessary && pf_agent_step_aside(&gone);

	errno = saved;
	return aside;
}

static int step_back(bool aside, int rc)
{
	int saved = errno;

	if (aside)
		pf_agent_again();
	errno = saved;
	return rc;
}

extern int capset(cap_user_header_t header, const cap_user_data_t data);

static int change_capabilities(cap_user_header_t header, const cap_user_data_t data)
{
	__atomic_store_n(&managed, 1, __ATOMIC_RELAXED);
	return capset(header, data);
}

/* The kernel asks for a process of one thread. What the program has itself it hears of as ever. */
static bool is_for_one_thread(int what, int kinds)
{
	return (what & kinds) && !pf_is_forbidden(PF_FORBIDDEN_HOST) && pf_agent_is_here();
}

static int change_unshare(int what)
{
	const int alone = CLONE_NEWUSER | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM;
	bool aside = step_aside(is_for_one_thread(what, alone));

	return step_back(aside, unshare(what));
}

/* 0: whatever the namespace is. Into another mount namespace only a thread may go that shares its working
 * directory with nobody: ours shares it until it has set out. */
static int change_setns(int fd, int type)
{
	const int alone = CLONE_NEWUSER | CLONE_NEWTIME;
	int saved = errno, kind = type;
	bool aside;

	if (kind == 0 && is_for_one_thread(alone, alone))
		kind = ioctl(fd, NS_GET_NSTYPE);
	aside = step_aside(kind > 0 && is_for_one_thread(kind, alone));
	if (!aside && pf_agent_is_here())
		pf_agent_wait_set_out(PF_NS_PER_SECOND);
	errno = saved;
	return step_back(aside, setns(fd, type));
}

#define HOOK(name, parameters, ...)                                                                \
	static int change_##name parameters                                                        \
	{                                                                                          \
		bool aside = step_aside(!may_the_same());                                          \
                                                                                                   \
		return step_back(aside, name(__VA_ARGS__));                                        \
	}                                                                                          \
	static void *real_##name = (void *)name

HOOK(setuid, (uid_t a), a);
HOOK(seteuid, (uid_t a), a);
HOOK(setreuid, (uid_t a, uid_t b), a, b);
HOOK(setresuid, (uid_t a, uid_t b, uid_t c), a, b, c);
HOOK(setgid, (gid_t a), a);
HOOK(setegid, (gid_t a), a);
HOOK(setregid, (gid_t a, gid_t b), a, b);
HOOK(setresgid, (gid_t a, gid_t b, gid_t c), a, b, c);
HOOK(setgroups, (size_t count, const gid_t *list), count, list);
HOOK(initgroups, (const char *user, gid_t group), user, group);

static void *real_capset = (void *)capset, *real_unshare = (void *)unshare,
	    *real_setns = (void *)setns;

#define PATCH(name)                                                                                \
	{                                                                                          \
#name, (void *)change_##name, &real_##name, NULL                                   \
	}

static const struct pf_patch patches[] = {
    PATCH(setuid),
    PATCH(seteuid),
    PATCH(setreuid),
    PATCH(setresuid),
    PATCH(setgid),
    PATCH(setegid),
    PATCH(setregid),
    PATCH(setresgid),
    PATCH(setgroups),
    PATCH(initgroups),
    PATCH(unshare),
    PATCH(setns),
    {"capset", (void *)change_capabilities, &real_capset, NULL},
};

static struct pf_patch_set set = {.patches = patches, .count = PF_COUNT(patches)};

void pf_identity_start(void)
{
	pf_patch_on(&set);
}
