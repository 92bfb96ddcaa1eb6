#include "sampler/patch_poke.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/forbid.h"
#include "base/lock.h"
#include "base/mark.h"
#include "sampler/gate.h"
#include "sampler/past_look.h"
#include "sampler/real.h"
#include "sampler/unwind.h"

#include <limits.h>

uint32_t pf_patch_poke;

/* Our thread answers in a fraction of a millisecond, once it has a processor. */
static const int64_t PATIENCE_NS = 100 * (int64_t)PF_NS_PER_MS;
/* Where it did not, nobody else waits so long, or until it is heard of again. */
static const int64_t SULK_NS = 5 * (int64_t)PF_NS_PER_SECOND;

static uint32_t asked;        /* atomic: how often */
static uint32_t answered;     /* atomic futex word: up to which of these */
static bool listening;        /* atomic */
static int64_t deaf_until_ns; /* atomic: nobody need ask before */
static PF_TLS bool opened;    /* this thread has called dlopen, and not dlsym since */

/* Named in the assembler text below. */
PF_HIDDEN void *pf_patch_poke_dlopen, *pf_patch_poke_dlmopen, *pf_patch_poke_dlclose;
PF_HIDDEN void *pf_patch_poke_dlsym, *pf_patch_poke_dlvsym;
PF_HIDDEN void pf_patch_poke_opening(void);
PF_HIDDEN void pf_patch_poke_asking(void *handle, const char *symbol);
void pf_real_after_poke_dlopen(void);
void pf_real_after_poke_dlmopen(void);
void pf_real_after_poke_dlsym(void);
void pf_real_after_poke_dlvsym(void);
int pf_real_around_dlclose(void *handle);

static PF_HOOK void poke(void)
{
	__atomic_fetch_add(&pf_patch_poke, 1, __ATOMIC_RELEASE);
	pf_futex_wake(&pf_patch_poke, INT_MAX);
}

__attribute__((used)) PF_HOOK void pf_patch_poke_opening(void)
{
	opened = true;
	poke();
}

static PF_HOOK bool is_open(uint32_t ticket, uint32_t *last)
{
	*last = __atomic_load_n(&answered, __ATOMIC_ACQUIRE);
	return (int32_t)(*last - ticket) < 0;
}

/* Whatever keeps our thread (a lock of the loader's that this thread holds, a fork), it is waited for
 * only so long. */
static PF_HOOK void ask_and_wait(int64_t deadline_ns)
{
	uint32_t ticket = __atomic_add_fetch(&asked, 1, __ATOMIC_SEQ_CST);
	uint32_t last;

	poke();
	while (__atomic_load_n(&listening, __ATOMIC_ACQUIRE) && is_open(ticket, &last) &&
	       pf_clock_now_ns() < deadline_ns && !pf_is_forbidden(PF_FORBIDDEN_FUTEX))
		pf_futex_wait(&answered, last, deadline_ns);
	if (is_open(ticket, &last)) {
		pf_count(PF_COUNTER_MODULES_LATE);
		__atomic_store_n(&deaf_until_ns, pf_clock_now_ns() + SULK_NS, __ATOMIC_RELAXED);
	}
}

PF_INLINE bool is_same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

static PF_HOOK bool has(const struct pf_patch_set *set, const char *symbol)
{
	const struct pf_patch *patches = __atomic_load_n(&set->patches, __ATOMIC_RELAXED);

	for (size_t i = 0; i < set->count; i++)
		if (is_same(patches[i].symbol, symbol) &&
		    __atomic_load_n(patches[i].real, __ATOMIC_RELAXED))
			return true;
	return false;
}

/* What dlsym returns is the function itself, which no slot leads to. */
static PF_HOOK void count_fetched(const char *symbol)
{
	for (const struct pf_patch_set *s = pf_patch_sets(); s; s = s->next)
		if (s->counts_asking && __atomic_load_n(&s->on, __ATOMIC_RELAXED) && has(s, symbol))
			pf_count(PF_COUNTER_HEAP_FETCHED);
}

/* Who has opened a module and now asks for a function in it is about to call it. */
__attribute__((used)) PF_HOOK void pf_patch_poke_asking(void *handle, const char *symbol)
{
	int64_t now_ns;

	if (symbol)
		count_fetched(symbol);
	if (PF_LIKELY(!opened))
		return;
	opened = false;
	if (!__atomic_load_n(&listening, __ATOMIC_ACQUIRE) || pf_is_forbidden(PF_FORBIDDEN_HOST))
		return;
	now_ns = pf_clock_now_ns();
	if (now_ns >= __atomic_load_n(&deaf_until_ns, __ATOMIC_RELAXED))
		ask_and_wait(now_ns + PATIENCE_NS);
	else
		pf_count(PF_COUNTER_MODULES_LATE);
}

void pf_patch_poke_listen(bool on)
{
	__atomic_store_n(&listening, on, __ATOMIC_RELEASE);
	if (!on)
		pf_futex_wake(&answered, INT_MAX);
}

uint32_t pf_patch_poke_asked(void)
{
	return __atomic_load_n(&asked, __ATOMIC_SEQ_CST);
}

bool pf_patch_poke_is_answered(uint32_t ticket)
{
	return __atomic_load_n(&answered, __ATOMIC_RELAXED) == ticket;
}

void pf_patch_poke_answer(uint32_t ticket, int64_t deaf_until)
{
	__atomic_store_n(&deaf_until_ns, deaf_until, __ATOMIC_RELAXED);
	if (pf_patch_poke_is_answered(ticket))
		return;
	__atomic_store_n(&answered, ticket, __ATOMIC_RELEASE);
	pf_futex_wake(&answered, INT_MAX);
}

/* Keeps the (at most three) arguments, calls ours, and jumps. */
#if defined(__x86_64__)
#define CALL_THEN_JUMP(ours, name)                                                                 \
	__asm__(".pushsection pf_hook, \"ax\", @progbits\n"                                        \
		".globl pf_real_after_poke_" #name "\n"                                            \
		".hidden pf_real_after_poke_" #name "\n"                                           \
		".type pf_real_after_poke_" #name ", @function\n"                                  \
		"pf_real_after_poke_" #name ":\n"                                                  \
		".cfi_startproc\n"                                                                 \
		"pushq %rdi\n.cfi_adjust_cfa_offset 8\n"                                           \
		"pushq %rsi\n.cfi_adjust_cfa_offset 8\n"                                           \
		"pushq %rdx\n.cfi_adjust_cfa_offset 8\n"                                           \
		"call " #ours "\n"                                                                 \
		"popq %rdx\n.cfi_adjust_cfa_offset -8\n"                                           \
		"popq %rsi\n.cfi_adjust_cfa_offset -8\n"                                           \
		"popq %rdi\n.cfi_adjust_cfa_offset -8\n"                                           \
		"jmp *pf_patch_poke_" #name "(%rip)\n"                                             \
		".cfi_endproc\n"                                                                   \
		".size pf_real_after_poke_" #name ", .-pf_real_after_poke_" #name "\n"             \
		".popsection\n")
#elif defined(__aarch64__)
#define CALL_THEN_JUMP(ours, name)                                                                 \
	__asm__(".pushsection pf_hook, \"ax\", @progbits\n"                                        \
		".globl pf_real_after_poke_" #name "\n"                                            \
		".hidden pf_real_after_poke_" #name "\n"                                           \
		".type pf_real_after_poke_" #name ", @function\n"                                  \
		"pf_real_after_poke_" #name ":\n"                                                  \
		".cfi_startproc\n"                                                                 \
		"stp x0, x1, [sp, #-32]!\n.cfi_adjust_cfa_offset 32\n"                             \
		"stp x2, x30, [sp, #16]\n.cfi_rel_offset x30, 24\n"                                \
		"bl " #ours "\n"                                                                   \
		"ldp x2, x30, [sp, #16]\n.cfi_restore x30\n"                                       \
		"ldp x0, x1, [sp], #32\n.cfi_adjust_cfa_offset -32\n"                              \
		"adrp x16, pf_patch_poke_" #name "\n"                                              \
		"ldr x16, [x16, #:lo12:pf_patch_poke_" #name "]\n"                                 \
		"br x16\n"                                                                         \
		".cfi_endproc\n"                                                                   \
		".size pf_real_after_poke_" #name ", .-pf_real_after_poke_" #name "\n"             \
		".popsection\n")
#endif

CALL_THEN_JUMP(pf_patch_poke_opening, dlopen);
CALL_THEN_JUMP(pf_patch_poke_opening, dlmopen);
CALL_THEN_JUMP(pf_patch_poke_asking, dlsym);
CALL_THEN_JUMP(pf_patch_poke_asking, dlvsym);

/* dlclose looks at no caller, so it may be wrapped: the unwinder stands aside while a module goes,
 * and what it was is remembered. */
PF_HOOK int pf_real_around_dlclose(void *handle)
{
	int rc;

	poke();
	pf_past_close_begin();
	pf_unwind_close_begin();
	rc = ((int (*)(void *))pf_patch_poke_dlclose)(handle);
	pf_unwind_close_end();
	pf_past_close_end();
	return rc;
}

static const struct pf_patch patches[] = {
    {"dlopen", (void *)pf_real_after_poke_dlopen, &pf_patch_poke_dlopen, NULL},
    {"dlmopen", (void *)pf_real_after_poke_dlmopen, &pf_patch_poke_dlmopen, NULL},
    {"dlclose", (void *)pf_real_around_dlclose, &pf_patch_poke_dlclose, NULL},
};

static const struct pf_patch asks[] = {
    {"dlsym", (void *)pf_real_after_poke_dlsym, &pf_patch_poke_dlsym, NULL},
    {"dlvsym", (void *)pf_real_after_poke_dlvsym, &pf_patch_poke_dlvsym, NULL},
};

struct pf_patch_set pf_patch_poke_set = {.patches = patches, .count = PF_COUNT(patches)};
struct pf_patch_set pf_patch_ask_set = {.patches = asks, .count = PF_COUNT(asks)};

void pf_patch_poke_resolve(void)
{
	static int done; /* atomic */

	if (__atomic_load_n(&done, __ATOMIC_ACQUIRE))
		return;
	pf_gate_enter();
	pf_patch_poke_dlopen = pf_real_find("dlopen");
	pf_patch_poke_dlmopen = pf_real_find("dlmopen");
	pf_patch_poke_dlclose = pf_real_find("dlclose");
	pf_patch_poke_dlsym = pf_real_find("dlsym");
	pf_patch_poke_dlvsym = pf_real_find("dlvsym");
	pf_gate_leave();
	__atomic_store_n(&done, 1, __ATOMIC_RELEASE);
}
