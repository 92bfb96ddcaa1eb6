/* Birth: our helper processes, and an exec of the program, keep out of each other's way.
 *
 *     our thread --clone--> a go-between --clone--> the helper         clone ... waitpid: a birth
 *
 * Whose parent the kernel does not take for the program's is the go-between's child; the go-between
 * itself is the program's until our thread has waited for it. An exec ends our thread, and nobody would
 * ever wait: the dead one would stay until the program's end. So an exec waits for the births that are
 * on their way, which takes a moment, and none begins when one has come.
 *
 * What does not pass the hook (sampler/exec_hook.c) is mended by who comes after (agent/inherited.h).
 */
#pragma once
#include "base/mark.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { PF_BIRTH_ENDED_BY_EXEC_MAX = 8 };

struct pf_births {
	pid_t program;    /* 0: no exec is waited for */
	uint32_t going;   /* atomic, a futex word */
	int64_t until_ns; /* atomic: an exec has come; until then no birth begins */
	/* Go-betweens that live as long as their helper works. 0: free; negative: being killed. */
	pid_t ended_by_exec[PF_BIRTH_ENDED_BY_EXEC_MAX]; /* atomic */
};

/* Around clone ... waitpid, on a thread of ours. */
void pf_birth_begin(void);
void pf_birth_end(void);

/* A place whose go-between an exec kills; the kernel writes its number there (CLONE_PARENT_SETTID).
 * NULL: none is free. To be given back before the waitpid. */
pid_t *pf_birth_claim(void);
void pf_birth_give_back(pid_t *place);

/* The calling thread is about to exec, or to forbid what births need: ends births or waits for them, for a second at the most. In
 * another process than the program's it returns at once. errno is kept. */
void pf_birth_exec_comes(void);

/* Does this process take in orphans: the first one of a pid namespace, or a subreaper (prctl(2))? What we would
 * leave to nobody would be the program's own child then, and who waits for all its children would wait for one that
 * waits for the program. Normal code. */
bool pf_birth_takes_orphans(void);

/* From now on an exec of this process is waited for. */
void pf_birth_start(void);
/* In the child after fork: nothing is on its way here. */
void pf_birth_fork_child(void);

struct pf_births *pf_birth_shared(void);
void pf_birth_adopt(struct pf_births *births);
