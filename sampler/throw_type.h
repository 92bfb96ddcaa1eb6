/* Throw types: each type that was thrown, by name, as a number.
 *
 * Names are copied at the first throw: a type goes with its module, its counts stay. Bounded; what
 * does not fit is type 0, "other types". Lock-free, never given back. */
#pragma once
#include "base/mark.h"

#include <stdint.h>

enum { PF_THROW_NAME_MAX = 1024 };

enum pf_throw_how { PF_THROW_THROWN, PF_THROW_RETHROWN, PF_THROW_HOWS };

struct pf_throw_type {
	uint32_t hash;
	uint32_t length;
	uint64_t seen;                   /* atomic: throws of it */
	uint64_t pending[PF_THROW_HOWS]; /* atomic: those that no stack stands for yet */
	char name[];                     /* as linked ("St13runtime_error"), or "[Rust panic]" */
};

/* The number of a name of at most PF_THROW_NAME_MAX letters (longer ones are cut). PF_HOOK. */
uint32_t pf_throw_type_find(const char *name);
/* NULL: no such number yet. 0 is always there. PF_HOOK. */
struct pf_throw_type *pf_throw_type_at(uint32_t number);
/* Numbers are below this. */
uint32_t pf_throw_type_limit(void);
/* All counts to 0; numbers and names stay. */
void pf_throw_type_clear(void);
