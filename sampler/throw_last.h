/* Throw last: the exception thrown last, for whoever asks what a dying program died of.
 *
 * One record for the process; a rethrow of the same object in the same thread leaves the place of
 * the throw in it. When std::terminate() or abort() is called while the exception that this thread threw last
 * is being handled (nobody caught it, or it met a noexcept), that one is the last for ever.
 */
#pragma once
#include "sampler/throw.h"

/* `stack`: NULL, none was taken. PF_HOOK, guard held. */
void pf_throw_last_set(
    const struct pf_throw *seen, uint32_t type, const uint32_t *stack, const char *message);

/* The unwind header of what this thread threw last, or NULL. PF_HOOK, guard held. */
const void *pf_throw_last_header(void);
/* How many frames stand above whoever threw it, if the function that raised it is still on the stack: 0 if not.
 * PF_HOOK, guard held. */
uint32_t pf_throw_last_frames_above(void);
/* The program is about to end because of it; its stack, if none was taken, is that from here without the first
 * `skip` frames. Its object is asked for its message only if the runtime says that it is handled. PF_HOOK, guard held. */
void pf_throw_last_fatal(uint32_t skip, bool handled);

void pf_throw_last_fork_child(void);

/* For the door (sampler.h). */
int pf_throw_last_collect(struct pf_profile *out);
