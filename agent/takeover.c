#include "agent/takeover.h"
#include "base/forbid.h"

#include <linux/futex.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum { LOOKS_A_SECOND = 10 };

static int looks_left;

/* The system call that goes on when the handler returns: the kernel has put everything back for it, which it
 * does, with SA_RESTART, if there is no deadline. */
struct call {
	uint64_t number, first, second;
	const void *at; /* the instruction */
};

#if defined(__x86_64__)

static const uint8_t call_instruction[] = {0x0f, 0x05}; /* syscall */

static struct call interrupted(const ucontext_t *context)
{
	const greg_t *r = context->uc_mcontext.gregs;

	return (struct call){.number = (uint64_t)r[REG_RAX],
	    .first = (uint64_t)r[REG_RDI],
	    .second = (uint64_t)r[REG_RSI],
	    .at = (const void *)(uintptr_t)r[REG_RIP]};
}

#elif defined(__aarch64__)

static const uint8_t call_instruction[] = {0x01, 0x00, 0x00, 0xd4}; /* svc #0 */

static struct call interrupted(const ucontext_t *context)
{
	const mcontext_t *m = &context->uc_mcontext;

	return (struct call){.number = m->regs[8],
	    .first = m->regs[0],
	    .second = m->regs[1],
	    .at = (const void *)(uintptr_t)m->pc};
}

#else
#error "agent/takeover.c: how does an interrupted system call look on this processor?"
#endif

static bool is_sleep(struct call call)
{
	uint32_t operation = (uint32_t)call.second & FUTEX_CMD_MASK;

	return call.number == SYS_futex &&
	       (operation == FUTEX_WAIT || operation == FUTEX_WAIT_BITSET) &&
	       memcmp(call.at, call_instruction, sizeof(call_instruction)) == 0;
}

/* A pthread_mutex_t of glibc's, if that is what begins with the word: who locks one finds it without an owner, or
 * aborts. Of other locks only the word is touched: what follows it (of an arena of malloc's 0 or 1, of a FILE's
 * lock an address) is no number of a thread. */
struct mutex {
	uint32_t lock, count, owner, users, kind;
};

static bool is_mutex(const struct mutex *m)
{
	enum { TID_LIMIT = 1 << 22, USERS_LIMIT = 1 << 16, KIND_LIMIT = 1 << 10 };

	return m->owner > 1 && m->owner < TID_LIMIT && m->users > 0 && m->users < USERS_LIMIT &&
	       m->kind < KIND_LIMIT;
}

static void free_word(struct mutex *m)
{
	if (is_mutex(m)) {
		m->count = 0;
		m->owner = 0;
		m->users = 0;
	}
	__atomic_store_n(&m->lock, 0, __ATOMIC_SEQ_CST);
}

static void look(int signal, siginfo_t *info, void *context)
{
	struct call call = interrupted(context);

	if (--looks_left <= 0)
		_exit(1);
	if (is_sleep(call))
		free_word((struct mutex *)(uintptr_t)call.first);
}

/* Also while no handler can run: whoever waits for a child of vfork ends by nothing less. */
static void set_limit(int seconds)
{
	struct sigevent kill_us = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
	struct itimerspec limit = {.it_value.tv_sec = seconds};
	int timer;

	if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &kill_us, &timer) == 0)
		syscall(SYS_timer_settime, timer, 0, &limit, NULL);
}

void pf_takeover_begin(int seconds)
{
	struct sigaction on_alarm = {.sa_sigaction = look, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct timeval pause = {0, 1000000 / LOOKS_A_SECOND};
	sigset_t alarm_only;

	if (!pf_is_forbidden(PF_FORBIDDEN_TIMER))
		set_limit(seconds);
	looks_left = seconds * LOOKS_A_SECOND;
	sigfillset(&on_alarm.sa_mask);
	sigaction(SIGALRM, &on_alarm, NULL);
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	sigprocmask(SIG_UNBLOCK, &alarm_only, NULL);
	setitimer(ITIMER_REAL, &(struct itimerval){pause, pause}, NULL);
}
