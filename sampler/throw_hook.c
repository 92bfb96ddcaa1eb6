/* Throw hook: where the program's exceptions pass.
 *
 *     program --__cxa_throw--> libstdc++ --_Unwind_RaiseException--> libgcc_s
 *     program --__cxa_rethrow--> libstdc++ --_Unwind_Resume_or_Rethrow--> libgcc_s
 *
 * The slots of the second step are patched: there every language's exceptions come by, those of
 * plugins and of a libstdc++ linked into the program, too, and std::rethrow_exception. By then the
 * exception is complete, with its type in front of it (throw_abi.h). The hooks leave by a jump, so
 * the unwinder finds the stack as it would without us.
 *
 * The runtime may come and go with a plugin (a C program that opens a C++ library), and no name
 * search of the program reaches it; so its functions are looked up in the modules before each scan.
 */
#include "sampler/throw_hook.h"
#include "base/counter.h"
#include "base/mark.h"
#include "sampler/gate.h"
#include "sampler/guard.h"
#include "sampler/module.h"
#include "sampler/patch.h"
#include "sampler/throw.h"
#include "sampler/throw_abi.h"
#include "sampler/throw_last.h"

#include <link.h>
#include <stdlib.h>
#include <string.h>

typedef int unwind_fn(struct pf_unwind_header *header);

/* Atomic, as all below: the scan of a new module may set them while others throw. */
static void *real_raise, *real_rethrow, *real_terminate, *real_globals;
static void *real_abort = (void *)abort;

/* The runtime's own functions that raise: their frame is not where the program threw. */
enum { ENTRIES_MAX = 12 };
static struct entry {
	uint64_t low, high;
} entries[ENTRIES_MAX];
static uint32_t entry_count;

/* ---- what is thrown ---- */

PF_INLINE const struct pf_cxx_header *cxx_header(const void *header)
{
	return (const void *)((const char *)header - PF_CXX_HEADER_BYTES);
}

static PF_HOOK void look_at_type(struct pf_throw *seen, const struct pf_type_info *type)
{
	seen->type = type;
	seen->name = type->name[0] == '*' ? type->name + 1 : type->name;
}

/* libstdc++ keeps the primary's object where its type would be. */
static PF_HOOK void look_at_gnu(struct pf_throw *seen, struct pf_unwind_header *header)
{
	seen->object = header + 1;
	if (header->language & PF_LANGUAGE_DEPENDENT) {
		seen->object = cxx_header(header)->type;
		header = (struct pf_unwind_header *)seen->object - 1;
		seen->how = PF_THROW_RETHROWN;
	}
	look_at_type(seen, cxx_header(header)->type);
}

static PF_HOOK void look_at_llvm(struct pf_throw *seen, struct pf_unwind_header *header)
{
	const struct pf_cxx_header *cxx = cxx_header(header);

	seen->object = header + 1;
	if (header->language & PF_LANGUAGE_DEPENDENT)
		seen->object = ((void *const *)cxx)[-1];
	if (header->language & PF_LANGUAGE_DEPENDENT || cxx->handler_count < 0)
		seen->how = PF_THROW_RETHROWN;
	look_at_type(seen, cxx->type);
}

/* "[foreign GNUCOBJC]" */
static PF_HOOK void name_language(char *out, uint64_t language)
{
	static const char start[] = "[foreign ";
	char *to = out + sizeof(start) - 1;

	memcpy(out, start, sizeof(start) - 1);
	for (int shift = 56; shift >= 0; shift -= 8) {
		char letter = (char)(language >> shift);

		if (letter > ' ' && letter <= '~')
			*to++ = letter;
	}
	*to++ = ']';
	*to = '\0';
}

/* Where the hook was called from: in the runtime, or the program's own call? */
static PF_HOOK uint32_t frames_of_runtime(uint64_t caller)
{
	uint32_t count = __atomic_load_n(&entry_count, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < count; i++)
		if (caller - entries[i].low <= entries[i].high - entries[i].low)
			return 1;
	return 0;
}

static PF_HOOK void note(struct pf_unwind_header *header, enum pf_throw_how how, uint64_t caller)
{
	uint64_t language = header->language & ~PF_LANGUAGE_DEPENDENT;
	struct pf_throw seen;
	char foreign[32];

	if (!pf_guard_enter()) {
		pf_count(PF_COUNTER_EXCEPTIONS_NESTED);
		return;
	}
	seen.how = how;
	seen.type = NULL;
	seen.object = NULL;
	seen.header = header;
	seen.raiser = caller;
	seen.skip = frames_of_runtime(caller);
	if (language == PF_LANGUAGE_GNU) {
		look_at_gnu(&seen, header);
	} else if (language == PF_LANGUAGE_LLVM) {
		look_at_llvm(&seen, header);
	} else if (header->language == PF_LANGUAGE_RUST ||
		   header->language == __builtin_bswap64(PF_LANGUAGE_RUST)) {
		seen.name = "[Rust panic]";
	} else {
		name_language(foreign, header->language);
		seen.name = foreign;
	}
	pf_throw_note(&seen);
	pf_guard_leave();
}

/* ---- the hooks ---- */

int pf_real_after_raise(struct pf_unwind_header *header);
int pf_real_after_rethrow(struct pf_unwind_header *header);
void pf_real_after_terminate(void);
void pf_real_after_abort(void);

PF_HOOK int pf_real_after_raise(struct pf_unwind_header *header)
{
	note(header, PF_THROW_THROWN, (uint64_t)__builtin_return_address(0));
	return ((unwind_fn *)__atomic_load_n(&real_raise, __ATOMIC_ACQUIRE))(header);
}

PF_HOOK int pf_real_after_rethrow(struct pf_unwind_header *header)
{
	note(header, PF_THROW_RETHROWN, (uint64_t)__builtin_return_address(0));
	return ((unwind_fn *)__atomic_load_n(&real_rethrow, __ATOMIC_ACQUIRE))(header);
}

/* Is what this thread threw last being handled? The runtime's word on it exists already, as this
 * thread has thrown: asking allocates nothing. */
static PF_HOOK bool pf_real_is_handled(const void *header)
{
	struct pf_cxx_globals *(*globals)(void) = __atomic_load_n(&real_globals, __ATOMIC_ACQUIRE);
	const struct pf_cxx_globals *now;

	if (!header || !globals)
		return false;
	now = globals();
	return now && now->caught &&
	       (now->caught + PF_CXX_HEADER_BYTES == (const char *)header ||
		   now->caught + PF_CXX_HEADER_COUNTED_BYTES == (const char *)header);
}

/* Called by the very function that raised, through whatever it calls, what was thrown last has ended the
 * program: a runtime inside the program has no other word on it. */
static PF_HOOK void note_end(uint32_t skip)
{
	uint32_t above;
	bool handled;

	if (!pf_guard_enter())
		return;
	above = pf_throw_last_frames_above();
	handled = pf_real_is_handled(pf_throw_last_header());
	if (above || handled)
		pf_throw_last_fatal(above ? above : skip, handled);
	pf_guard_leave();
}

/* Before the program's own handler, which may stay, or end the program without abort(). Who threw what
 * nobody catches is still below. */
PF_HOOK void pf_real_after_terminate(void)
{
	note_end(frames_of_runtime((uint64_t)__builtin_return_address(0)));
	((void (*)(void))__atomic_load_n(&real_terminate, __ATOMIC_ACQUIRE))();
}

PF_HOOK void pf_real_after_abort(void)
{
	note_end(0);
	((void (*)(void))real_abort)();
}

/* ---- finding the runtime ---- */

struct search {
	void *raise, *rethrow, *terminate, *globals;
	bool raise_stays, rethrow_stays, terminate_stays; /* what we have is still there */
	struct entry entries[ENTRIES_MAX];
	uint32_t entry_count;
};

static void find_function(
    const struct pf_module *m, const char *symbol, void **found, const void *have, bool *stays)
{
	uint64_t size;
	void *here = pf_module_function(m, symbol, &size);

	if (!here)
		return;
	*stays |= here == have;
	if (!*found)
		*found = here;
}

static int search_module(struct dl_phdr_info *info, size_t size, void *arg)
{
	static const char *const raising[] = {"__cxa_throw", "__cxa_rethrow",
	    "_ZSt17rethrow_exceptionNSt15__exception_ptr13exception_ptrE",
	    "__cxa_rethrow_primary_exception"};
	struct search *s = arg;
	struct pf_module m;
	uint64_t bytes;

	if (!pf_module_read(&m, info))
		return 0;
	find_function(&m, "_Unwind_RaiseException", &s->raise, real_raise, &s->raise_stays);
	find_function(
	    &m, "_Unwind_Resume_or_Rethrow", &s->rethrow, real_rethrow, &s->rethrow_stays);
	find_function(&m, "_ZSt9terminatev", &s->terminate, real_terminate, &s->terminate_stays);
	if (!s->globals)
		s->globals = pf_module_function(&m, "__cxa_get_globals_fast", &bytes);
	for (size_t i = 0; i < PF_COUNT(raising) && s->entry_count < ENTRIES_MAX; i++) {
		uint64_t at = (uint64_t)pf_module_function(&m, raising[i], &bytes);

		if (at)
			s->entries[s->entry_count++] = (struct entry){at, at + bytes};
	}
	return 0;
}

static struct pf_patch_set throw_set;

/* Inside the gate, by the scan. */
static void resolve(void)
{
	struct search s = {.entry_count = 0};

	dl_iterate_phdr(search_module, &s);
	if (!s.raise_stays)
		__atomic_store_n(&real_raise, s.raise, __ATOMIC_RELEASE);
	if (!s.rethrow_stays)
		__atomic_store_n(&real_rethrow, s.rethrow, __ATOMIC_RELEASE);
	if (!s.terminate_stays)
		__atomic_store_n(&real_terminate, s.terminate, __ATOMIC_RELEASE);
	__atomic_store_n(&real_globals, s.globals, __ATOMIC_RELEASE);
	__atomic_store_n(&entry_count, 0, __ATOMIC_RELEASE);
	memcpy(entries, s.entries, sizeof(entries));
	__atomic_store_n(&entry_count, s.entry_count, __ATOMIC_RELEASE);
	/* Its calls of itself are the second half of what we saw the first of. */
	throw_set.skip = real_raise;
}

static const struct pf_patch throw_patches[] = {
    {"_Unwind_RaiseException", (void *)pf_real_after_raise, &real_raise, NULL},
    {"_Unwind_Resume_or_Rethrow", (void *)pf_real_after_rethrow, &real_rethrow, NULL},
    {"_ZSt9terminatev", (void *)pf_real_after_terminate, &real_terminate, NULL},
};
static const struct pf_patch abort_patches[] = {
    {"abort", (void *)pf_real_after_abort, &real_abort, NULL},
};
static struct pf_patch_set throw_set = {
    .patches = throw_patches, .count = PF_COUNT(throw_patches), .resolve = resolve};
static struct pf_patch_set abort_set = {.patches = abort_patches, .count = PF_COUNT(abort_patches)};

int pf_throw_hook_on(void)
{
	int rc = pf_patch_on(&throw_set);

	if (rc == 0)
		pf_patch_on(&abort_set); /* without it nothing is missed but who was fatal */
	return rc;
}

void pf_throw_hook_off(void)
{
	pf_patch_off(&abort_set);
	pf_patch_off(&throw_set);
}
