/* Futex hook: syscall(SYS_futex, ...), which is how Rust's locks and C++20's waits sleep.
 *
 * Three-state locks (free, held, held and waited for: Drepper; Rust's Mutex) wait for a 2 to go. Rust's
 * RwLock is two words:
 *
 *   state   bit 31 writers wait, bit 30 readers wait, below them how often it is held, all ones by a writer
 *   wakes   how often a writer was woken
 *
 * Readers wait for the first to change, writers for the second; both are entered as waiting for the first, since
 * whoever lets go of it may wake a writer and leave the readers asleep. Whoever wakes any of these has released a
 * lock. All others wait for something to happen, and whoever wakes them has done no harm: a std::future
 * waits for a word that is its top bit and nothing else, a condition for a number that follows no state.
 *
 * A 2 is not always a lock: a latch of two waits for it, too. But a lock of that kind wakes one, and
 * who lets all go at once has opened a gate. So each kind has numbers of its own. And a state that both
 * wait for is -1, which many a number begins as, and which stands for a parked thread; and one that is free
 * until a writer wakes up, a future's: they are taken for states only where a clearer one was seen before. */
#include "base/mark.h"
#include "sampler/unwind_memory.h"
#include "sampler/wait_call.h"
#include "sampler/wait_hook.h"
#include "sampler/waiter.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdint.h>
#include <sys/syscall.h>

enum { WRITERS_WAIT = 1u << 31, HELD = (1u << 30) - 1, READERS_MAX = 1 << 16 };
enum { WORD = sizeof(uint32_t), STATES = 256, PAGE_BYTES = 4096 /* or more */ };

static uint64_t states[STATES]; /* atomic: the last one seen, by address */

static PF_HOOK uint64_t *place_of(long state)
{
	return &states[((uint64_t)state >> 2) * 0x9e3779b97f4a7c15ull >> 56];
}

/* Known as one, or known from now on? */
static PF_HOOK bool is_state(long at, uint32_t value)
{
	uint32_t held = value & HELD;

	if (value >> 30 == 0)
		return false;
	if (value == UINT32_MAX || held == 0 || (held != HELD && held > READERS_MAX))
		return __atomic_load_n(place_of(at), __ATOMIC_RELAXED) == (uint64_t)at;
	__atomic_store_n(place_of(at), (uint64_t)at, __ATOMIC_RELAXED);
	return true;
}

/* Is there a word before it, in the same page, which can be read: 90 ns. */
static PF_HOOK bool has_before(long futex)
{
	return (futex & (PAGE_BYTES - 1)) >= WORD && pf_unwind_memory_probe((uint64_t)futex - WORD);
}

PF_INLINE const void *lock_of(long futex, int kind)
{
	return (const void *)(futex | kind);
}

/* Who waits borrows the lock: it stays. */
static PF_HOOK bool waits_to_write(long futex)
{
	uint32_t state;

	if (!has_before(futex))
		return false;
	state = __atomic_load_n((const uint32_t *)futex - 1, __ATOMIC_RELAXED);
	return (state & WRITERS_WAIT) && is_state(futex - WORD, state);
}

/* Whoever wakes a writer has said in the state that none waits any more. Who wakes has let the lock go,
 * and its memory may be gone, but for one that waits. */
static PF_HOOK bool wakes_writer(long futex)
{
	uint32_t state;

	return has_before(futex) &&
	       pf_waiter_look(
		   lock_of(futex - WORD, PF_WAITER_GATE), (const uint32_t *)futex - 1, &state) &&
	       !(state & WRITERS_WAIT);
}

/* Named in the assembler text below: syscall(number, six arguments), which lie in `args`. */
PF_HIDDEN long pf_wait_futex(const long args[7]);

/* FUTEX_LOCK_PI says EAGAIN of an owner that is just ending: then the lock is to be asked for again. */
static PF_HOOK enum pf_wait_outcome outcome_of(const long args[7], long rc)
{
	long operation = args[2] & FUTEX_CMD_MASK;

	if (rc == 0)
		return PF_WAIT_GOT;
	return errno == EAGAIN && (operation == FUTEX_WAIT || operation == FUTEX_WAIT_BITSET)
		   ? PF_WAIT_CHANGED
		   : PF_WAIT_GAVE_UP;
}

static PF_HOOK long wait_in_futex(const long args[7], const void *lock, bool lock_like)
{
	struct pf_wait_turn turn;
	long rc;

	pf_waiter_begin(&turn, lock, PF_WAIT_FUTEX, lock_like);
	rc = pf_real_syscall_of(args);
	pf_waiter_end(&turn, outcome_of(args, rc));
	return rc;
}

static PF_HOOK long wait_for_word(const long args[7], uint32_t value)
{
	if (value == 2)
		return wait_in_futex(args, lock_of(args[1], 0), true);
	if (is_state(args[1], value))
		return wait_in_futex(args, lock_of(args[1], PF_WAITER_GATE), true);
	if (waits_to_write(args[1]))
		return wait_in_futex(args, lock_of(args[1] - WORD, PF_WAITER_GATE), true);
	return wait_in_futex(args, lock_of(args[1], 0), false);
}

static PF_HOOK void wake(long futex, uint32_t count)
{
	if (count == 1 && pf_waiter_maybe(lock_of(futex - WORD, 0)) && wakes_writer(futex))
		pf_waiter_charge(lock_of(futex - WORD, PF_WAITER_GATE), PF_WAIT_FUTEX);
	if (!pf_waiter_maybe(lock_of(futex, 0)))
		return;
	if (count == 1)
		pf_waiter_charge(lock_of(futex, 0), PF_WAIT_FUTEX);
	pf_waiter_charge(lock_of(futex, PF_WAITER_GATE), PF_WAIT_FUTEX);
}

__attribute__((used)) PF_HOOK long pf_wait_futex(const long args[7])
{
	uint32_t value = (uint32_t)args[3];

	switch (args[2] & FUTEX_CMD_MASK) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
		return wait_for_word(args, value);
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2:
	case FUTEX_WAIT_REQUEUE_PI:
		return wait_in_futex(args, lock_of(args[1], 0), true);
	case FUTEX_WAKE:
	case FUTEX_WAKE_BITSET:
		wake(args[1], value);
		break;
	case FUTEX_UNLOCK_PI:
		if (pf_waiter_maybe(lock_of(args[1], 0)))
			pf_waiter_charge(lock_of(args[1], 0), PF_WAIT_FUTEX);
		break;
	default:
		break;
	}
	return pf_real_syscall_of(args);
}

/* A function of C may not be variadic and pass on what it does not know; and what looks like the
 * seventh argument may be the caller's own variable, which is read here, as libc does, and never
 * written. Any other system call goes on as it came. */
#if defined(__x86_64__)
__asm__(".pushsection pf_hook, \"ax\", @progbits\n"
	".p2align 6\n"
	".globl pf_real_after_syscall\n"
	".hidden pf_real_after_syscall\n"
	".type pf_real_after_syscall, @function\n"
	"pf_real_after_syscall:\n"
	".cfi_startproc\n"
	"cmpq $202, %rdi\n" /* SYS_futex */
	"je 1f\n"
	"jmp *pf_wait_real_syscall(%rip)\n"
	"1:\n"
	"pushq 8(%rsp)\n.cfi_adjust_cfa_offset 8\n"
	"pushq %r9\n.cfi_adjust_cfa_offset 8\n"
	"pushq %r8\n.cfi_adjust_cfa_offset 8\n"
	"pushq %rcx\n.cfi_adjust_cfa_offset 8\n"
	"pushq %rdx\n.cfi_adjust_cfa_offset 8\n"
	"pushq %rsi\n.cfi_adjust_cfa_offset 8\n"
	"pushq %rdi\n.cfi_adjust_cfa_offset 8\n"
	"movq %rsp, %rdi\n"
	"call pf_wait_futex\n"
	"addq $56, %rsp\n.cfi_adjust_cfa_offset -56\n"
	"ret\n"
	".cfi_endproc\n"
	".size pf_real_after_syscall, .-pf_real_after_syscall\n"
	".popsection\n");
_Static_assert(SYS_futex == 202, "the number above");
#elif defined(__aarch64__)
__asm__(".pushsection pf_hook, \"ax\", @progbits\n"
	".p2align 6\n"
	".globl pf_real_after_syscall\n"
	".hidden pf_real_after_syscall\n"
	".type pf_real_after_syscall, @function\n"
	"pf_real_after_syscall:\n"
	".cfi_startproc\n"
	"cmp x0, #98\n" /* SYS_futex */
	"b.eq 1f\n"
	"adrp x16, pf_wait_real_syscall\n"
	"ldr x16, [x16, #:lo12:pf_wait_real_syscall]\n"
	"br x16\n"
	"1:\n"
	"stp x29, x30, [sp, #-80]!\n.cfi_adjust_cfa_offset 80\n"
	".cfi_rel_offset x29, 0\n.cfi_rel_offset x30, 8\n"
	"stp x0, x1, [sp, #16]\n"
	"stp x2, x3, [sp, #32]\n"
	"stp x4, x5, [sp, #48]\n"
	"str x6, [sp, #64]\n"
	"add x0, sp, #16\n"
	"bl pf_wait_futex\n"
	"ldp x29, x30, [sp], #80\n.cfi_adjust_cfa_offset -80\n"
	".cfi_restore x29\n.cfi_restore x30\n"
	"ret\n"
	".cfi_endproc\n"
	".size pf_real_after_syscall, .-pf_real_after_syscall\n"
	".popsection\n");
_Static_assert(SYS_futex == 98, "the number above");
#endif

void *pf_wait_real_syscall;
