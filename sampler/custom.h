/* Custom: profiles that the program itself defines: things it holds (connections, handles, leases),
 * each by a key of its choice, with the stack that took it.
 *
 *   (profile, key) --hash--> chain of entries --stack--> stack store
 *
 * Add and remove are cheap (a stack walk, a lock for some instructions) and allowed while the agent
 * does not run: what was added before the tree is opened is in it.
 */
#pragma once
#include "base/mark.h"

#include <stddef.h>
#include <stdint.h>

struct pf_profile;
struct proffs_profile;

/* A profile of this name: 0. -EEXIST: there is one, and *out is it. -EINVAL: not 1 to 47 letters,
 * digits, '_' and '-'; -ENOSPC: there are 64. From normal code. */
int pf_custom_new(struct proffs_profile **out, const char *name);

/* One more key, with the caller's stack: 0. -EEXIST it is in already; -ENOMEM. NULL: -EINVAL. */
int pf_custom_add(struct proffs_profile *profile, const void *key);
/* 0; -ENOENT it is not in. */
int pf_custom_remove(struct proffs_profile *profile, const void *key);

/* By number, from 0: the name, which lives for ever; NULL: there are no more. */
const char *pf_custom_name(uint32_t number);
/* How many keys each stack holds. Our own threads. 0 or -errno. */
int pf_custom_collect(uint32_t number, struct pf_profile *out);

/* In the child after fork: nobody is inside. */
void pf_custom_fork_child(void);
