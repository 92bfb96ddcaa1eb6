/* Throw: the program's exceptions, by type and by the stack that threw them.
 *
 *     throw_hook.c      where the program's throws pass, and what each of them is
 *     throw_type.c      types by name
 *     throw_message.c   what an exception says of itself (throw_what*.c)
 *     throw.c           counts, samples of stacks, the last one, the profile
 *
 * Counts are exact. Up to config/exception_stacks stacks a second are taken; beyond that, one in so
 * many, and each stands for the throws of its type since the one before.
 */
#pragma once
#include "base/profile.h"
#include "sampler/throw_type.h"

struct pf_type_info;

bool pf_throw_enabled(void);
/* On starts with nothing counted; off keeps what was. Idempotent. 0 or -errno. Our own threads and
 * the constructor. */
int pf_throw_enable(bool on);
/* In the child after fork: nothing is counted until it is enabled there. */
void pf_throw_fork_child(void);

/* A throw, seen by the hook. */
struct pf_throw {
	const char *name; /* mangled, or in brackets */
	const struct pf_type_info *type;
	void *object;       /* NULL, as type, where the language is not C++ */
	const void *header; /* the unwind header; std::rethrow_exception makes its own */
	uint64_t raiser;    /* where the raising returns to, in the runtime */
	enum pf_throw_how how;
	uint32_t skip; /* frames of the runtime above whoever threw */
};
/* Counts it. PF_HOOK, guard held. */
void pf_throw_note(const struct pf_throw *seen);

/* One column, one sample for each (type, how, stack), labels `type`, `how` and, where there is one,
 * `message`, that of the first. Off: as it was when it was switched off. */
pf_collect_fn pf_throw_collect;
/* Adds a sample with its labels `type` and `how`. */
void pf_throw_add_sample(struct pf_profile *out, uint32_t type, enum pf_throw_how how,
    const uint64_t *pcs, uint32_t count, int64_t value);
