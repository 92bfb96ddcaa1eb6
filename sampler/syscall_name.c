#include "sampler/syscall_name.h"
#include "base/mark.h"
#include "sampler/feed.h"

#include <stddef.h>
#include <string.h>

static const char *const names[] = {
#include "sampler/syscall_table.inc"
};

/* Calls that differ in their arguments, not in what the thread waits for. */
static const struct {
	const char *call;
	const char *state;
} states[] = {
    {"nanosleep", "sleep"},
    {"clock_nanosleep", "sleep"},
    {"ppoll", "poll"},
    {"pselect6", "select"},
    {"epoll_pwait", "epoll_wait"},
    {"epoll_pwait2", "epoll_wait"},
    {"futex_wait", "futex"},
    {"futex_waitv", "futex"},
    {"pread64", "read"},
    {"readv", "read"},
    {"preadv", "read"},
    {"preadv2", "read"},
    {"pwrite64", "write"},
    {"writev", "write"},
    {"pwritev", "write"},
    {"pwritev2", "write"},
    {"accept4", "accept"},
    {"recvfrom", "recv"},
    {"recvmsg", "recv"},
    {"recvmmsg", "recv"},
    {"sendto", "send"},
    {"sendmsg", "send"},
    {"sendmmsg", "send"},
    {"wait4", "wait"},
    {"waitid", "wait"},
    {"rt_sigtimedwait", "sigwait"},
    {"rt_sigsuspend", "sigwait"},
    {"pause", "sigwait"},
};

const char *pf_syscall_name(int number)
{
	if (number < 0 || (size_t)number >= PF_COUNT(names) || !names[number])
		return "unknown";
	return names[number];
}

const char *pf_syscall_state(int number)
{
	const char *name;

	if (number == PF_STATE_RUNNING)
		return "running";
	if (number == PF_STATE_FAULT)
		return "fault";
	if (number == PF_STATE_ASLEEP)
		return "asleep";
	name = pf_syscall_name(number);
	for (size_t i = 0; i < PF_COUNT(states); i++)
		if (strcmp(states[i].call, name) == 0)
			return states[i].state;
	return name;
}
