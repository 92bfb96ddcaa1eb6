#include "sampler/filter_hook.h"
#include "base/birth.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/feature.h"
#include "base/forbid.h"
#include "base/lock.h"
#include "sampler/ask.h"
#include "sampler/cpu.h"
#include "sampler/filter.h"
#include "sampler/filter_call.h"
#include "sampler/guard.h"
#include "sampler/patch.h"
#include "sampler/precise.h"
#include "sampler/signal.h"
#include "sampler/thread.h"
#include "sampler/threadname_hook.h"
#include "sampler/timer.h"
#include "sampler/unwind_memory.h"
#include "sampler/wall.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* What nobody of ours can do without. */
enum { NEEDED_HERE = PF_FORBIDDEN_HOST, NEEDED = PF_FORBIDDEN_HOST | PF_FORBIDDEN_CREW };

static const int64_t PATIENCE_NS = 2 * PF_NS_PER_SECOND;

static const struct pf_filter_owner *owner;
static pid_t here; /* the process that has hooks of ours; not so its children by vfork */
/* From begin() to end(): who is refused takes back no bit that another one has set. */
static struct pf_lock turns = PF_LOCK_INIT(PF_LOCK_TURN);

/* An installation. */
struct turn {
	bool strict, to_all, listens;
	bool begun; /* `turns` is held */
	const struct sock_fprog *program;
	uint32_t added;   /* what is forbidden by it and was not before */
	bool left, aside; /* the thread is left alone; our threads have ended */
	bool in_guard;
	struct pf_thread *thread;
	const void *watched;
};

/* ---- what it forbids ---- */

static bool is_there(const void *at, size_t size)
{
	enum { STEP = 4096 };
	uintptr_t first = (uintptr_t)at & ~(uintptr_t)7, last = ((uintptr_t)at + size - 1) & ~7ul;

	for (uintptr_t word = first; word < last; word += STEP)
		if (!pf_unwind_memory_probe(word))
			return false;
	return pf_unwind_memory_probe(last);
}

/* What the kernel cannot read or finds wrong it refuses, and that forbids nothing. */
static bool may_be_taken(const struct turn *turn)
{
	const struct sock_fprog *program = turn->program;

	if (turn->strict)
		return true;
	if (!program || !is_there(program, sizeof(*program)))
		return false;
	if (program->len == 0 || program->len > BPF_MAXINSNS ||
	    !is_there(program->filter, program->len * sizeof(*program->filter)))
		return false;
	return pf_filter_is_one(program->filter, program->len);
}

static uint32_t forbidden_by(const struct turn *turn)
{
	return turn->strict ? ~(uint32_t)PF_FORBIDDEN_CLOCK
			    : pf_filter_forbids(turn->program->filter, turn->program->len);
}

static uint32_t filtered_here(void)
{
	return pf_forbidden_here & ~(uint32_t)PF_FORBIDDEN_CLOCK;
}

/* With TSYNC all threads get the caller's whole chain, also what it had installed for itself. */
static uint32_t added_by(const struct turn *turn)
{
	uint32_t to_all = *pf_forbidden_to_all;

	if (turn->to_all)
		return (forbidden_by(turn) | filtered_here()) & ~to_all;
	return forbidden_by(turn) & ~(pf_forbidden_here | to_all);
}

/* ---- a thread that is left alone ---- */

/* Signals of ours that are under way would still come, and the way back from a handler is a system call. */
static void take_pending(void)
{
	struct timespec now = {0, 0};
	sigset_t ours, before;

	sigemptyset(&ours);
	if (pf_signal_number())
		sigaddset(&ours, pf_signal_number());
	if (pf_precise_owns_signal())
		sigaddset(&ours, SIGURG);
	pthread_sigmask(SIG_BLOCK, &ours, &before);
	while (sigtimedwait(&ours, NULL, &now) > 0 || errno == EINTR)
		;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Our own threads have an event and questions for it: until they have let go. */
static void wait_let_go(const struct pf_thread *t)
{
	int64_t deadline_ns = pf_clock_now_ns() + PATIENCE_NS;
	uint32_t never = 0;

	if (pf_precise_has(t))
		pf_cpu_look_soon();
	if (pf_ask_is_asked(t))
		pf_wall_let_go();
	while ((pf_precise_has(t) || pf_ask_is_asked(t)) && pf_clock_now_ns() < deadline_ns)
		pf_futex_wait(&never, 0, pf_clock_now_ns() + PF_NS_PER_MS);
}

static void leave_alone(struct turn *turn)
{
	struct pf_thread *t = pf_thread_enrol_self();

	turn->left = true;
	turn->thread = t;
	pf_thread_set_alone(t, true);
	if (t) {
		pf_timer_disarm(t);
		wait_let_go(t);
	}
	take_pending();
	turn->watched = pf_thread_watch_end(NULL);
}

static void look_after(const struct turn *turn)
{
	pf_thread_watch_end(turn->watched);
	pf_thread_set_alone(turn->thread, false);
}

/* ---- before and after ---- */

static void say(const struct turn *turn)
{
	pf_feature_set(PF_FEATURE_SECCOMP, PF_FEATURE_DEGRADED,
	    turn->left
		? "a filter of the program would end it for what we do on its threads: those "
		  "that have it are left alone (threads_left_alone)"
		: "a filter of the program would end it for some system calls of ours: "
		  "they are left out");
}

static void begin_locked(struct turn *turn)
{
	/* No filter takes back what another says; and nothing may be asked any more. */
	if (pf_is_forbidden(PF_FORBIDDEN_HOST) || here != getpid() || !may_be_taken(turn))
		return;
	turn->added = added_by(turn);
	if (!turn->added)
		return;
	if (turn->to_all) {
		if (turn->added & NEEDED)
			turn->aside = owner->step_aside();
		if (turn->added & PF_FORBIDDEN_SPAWN)
			pf_birth_exec_comes(); /* no child of ours is half made */
		__atomic_fetch_or(pf_forbidden_to_all, turn->added, __ATOMIC_SEQ_CST);
	} else {
		if (turn->added & NEEDED_HERE)
			leave_alone(turn);
		pf_forbidden_here |= turn->added;
	}
	if (turn->added & PF_FORBIDDEN_HOST)
		turn->in_guard = pf_guard_enter(); /* for life */
	say(turn);
}

static void begin(struct turn *turn)
{
	int saved = errno;

	if (pf_forbidden_here & PF_FORBIDDEN_HOST || !owner || (!turn->program && !turn->strict))
		return;
	pf_lock_take(&turns);
	turn->begun = true;
	begin_locked(turn);
	errno = saved;
}

static void end_locked(const struct turn *turn, long rc)
{
	bool done = rc == 0 || (rc > 0 && (turn->listens || !turn->to_all));

	if (done) {
		if (turn->left)
			pf_count(PF_COUNTER_THREADS_LEFT_ALONE);
		return;
	}
	if (turn->to_all)
		__atomic_fetch_and(pf_forbidden_to_all, ~turn->added, __ATOMIC_SEQ_CST);
	else
		pf_forbidden_here &= ~turn->added;
	if (turn->in_guard)
		pf_guard_leave();
	if (turn->left)
		look_after(turn);
	if (turn->aside)
		owner->step_back();
	if (!(filtered_here() | *pf_forbidden_to_all))
		pf_feature_set(PF_FEATURE_SECCOMP, PF_FEATURE_OFF, NULL);
}

static void end(const struct turn *turn, long rc)
{
	int saved = errno;

	if (turn->added)
		end_locked(turn, rc);
	if (turn->begun)
		pf_lock_give(&turns);
	errno = saved;
}

/* ---- the processor's clock ---- */

/* A thread whose reading of it is a SIGSEGV, and so of those that it creates: we ask the kernel there, and
 * do without ticks. From before it is so until after. */
static long set_clock(long mode, long a, long b, long c)
{
	uint32_t was = pf_forbidden_here & PF_FORBIDDEN_CLOCK;
	long rc;

	pf_forbidden_here |= PF_FORBIDDEN_CLOCK;
	rc = syscall(SYS_prctl, PR_SET_TSC, mode, a, b, c);
	if (rc == 0)
		was = (unsigned)mode == PR_TSC_SIGSEGV ? PF_FORBIDDEN_CLOCK : 0;
	pf_forbidden_here = filtered_here() | was;
	return rc;
}

/* ---- the hooks ---- */

/* Variadic in its header; each argument is a long in a register. */
static int change_process(int option, long a, long b, long c, long d)
{
	struct turn turn = {.strict = a == SECCOMP_MODE_STRICT};
	int rc;

	if (option == PR_SET_TSC)
		return (int)set_clock(a, b, c, d);
	if (option != PR_SET_SECCOMP)
		return pf_threadname_prctl(option, a, b, c, d);
	if (a == SECCOMP_MODE_FILTER)
		turn.program = (const struct sock_fprog *)b;
	begin(&turn);
	rc = prctl(option, a, b, c, d);
	end(&turn, rc);
	return rc;
}

/* Named in the assembler text below: syscall(SYS_seccomp or SYS_prctl, ...). */
PF_HIDDEN long pf_filter_syscall(long number, long a, long b, long c, long d, long e);

__attribute__((used)) long pf_filter_syscall(long number, long a, long b, long c, long d, long e)
{
	struct turn turn = {.to_all = false};
	long rc;

	if (number == SYS_prctl && a == PR_SET_SECCOMP)
		return change_process((int)a, b, c, d, e);
	if (number == SYS_prctl && a == PR_SET_TSC)
		return set_clock(b, c, d, e);
	if (number == SYS_prctl)
		return syscall(number, a, b, c, d, e);
	turn.strict = a == SECCOMP_SET_MODE_STRICT && b == 0 && c == 0;
	if (a == SECCOMP_SET_MODE_FILTER)
		turn.program = (const struct sock_fprog *)c;
	turn.to_all = b & SECCOMP_FILTER_FLAG_TSYNC;
	turn.listens = b & SECCOMP_FILTER_FLAG_NEW_LISTENER;
	begin(&turn);
	rc = syscall(number, a, b, c, d, e);
	end(&turn, rc);
	return rc;
}

/* As in wait_futex_hook.c: what is not ours goes on as it came. */
PF_HIDDEN void *pf_filter_real_syscall = (void *)syscall;

#if defined(__x86_64__)
#define GO_ON                                                                                      \
	"cmpq $317, %rdi\n" /* SYS_seccomp */                                                      \
	"je pf_filter_syscall\n"                                                                   \
	"cmpq $157, %rdi\n" /* SYS_prctl */                                                        \
	"je pf_filter_syscall\n"                                                                   \
	"jmp *pf_filter_real_syscall(%rip)\n"
_Static_assert(SYS_seccomp == 317 && SYS_prctl == 157, "the numbers above");
#elif defined(__aarch64__)
#define GO_ON                                                                                      \
	"cmp x0, #277\n" /* SYS_seccomp */                                                         \
	"b.eq 1f\n"                                                                                \
	"cmp x0, #167\n" /* SYS_prctl */                                                           \
	"b.eq 1f\n"                                                                                \
	"adrp x16, pf_filter_real_syscall\n"                                                       \
	"ldr x16, [x16, #:lo12:pf_filter_real_syscall]\n"                                          \
	"br x16\n"                                                                                 \
	"1:\n"                                                                                     \
	"b pf_filter_syscall\n"
_Static_assert(SYS_seccomp == 277 && SYS_prctl == 167, "the numbers above");
#endif

__asm__(".pushsection .text\n"
	".p2align 4\n"
	".globl pf_filter_after_syscall\n"
	".hidden pf_filter_after_syscall\n"
	".type pf_filter_after_syscall, @function\n"
	"pf_filter_after_syscall:\n"
	".cfi_startproc\n" GO_ON ".cfi_endproc\n"
	".size pf_filter_after_syscall, .-pf_filter_after_syscall\n"
	".popsection\n");

static void *real_prctl = (void *)prctl;

enum { PRCTL, SYSCALL };

static struct pf_patch patches[] = {
    [PRCTL] = {"prctl", (void *)change_process, &real_prctl, NULL},
    [SYSCALL] = {"syscall", (void *)pf_filter_after_syscall, &pf_filter_real_syscall, NULL},
};

static struct pf_patch_set set = {.patches = patches, .count = PF_COUNT(patches)};

/* Who wants them on; changed by one thread at a time for each. */
static bool names;
static void *waits; /* wait_futex_hook.c's, in place of ours */

static int update(void)
{
	patches[SYSCALL].hook = waits ? waits : (void *)pf_filter_after_syscall;
	return owner || names || waits ? pf_patch_on(&set) : pf_patch_off(&set);
}

void pf_filter_hook_start(const struct pf_filter_owner *of)
{
	owner = of;
	here = getpid();
	update();
}

int pf_filter_hook_names(bool on)
{
	names = on;
	return set.on == on ? 0 : update();
}

int pf_filter_hook_waits(void *hook)
{
	waits = hook;
	return update();
}

void pf_filter_fork_child(void)
{
	pf_lock_reset(&turns);
	if (!pf_is_forbidden(PF_FORBIDDEN_HOST))
		here = (pid_t)syscall(SYS_getpid);
}
