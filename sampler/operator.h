/* Operator: does a module's operator new get its memory from nobody that we see?
 *
 * One that ends in malloc is seen there, and by itself would be counted twice. What a module could call
 * stands in its slots: one that has none for malloc and its like has a pool of its own. Of one that has, the
 * executable's code is read (reach.h).
 */
#pragma once
#include "sampler/reach.h"

#include <link.h>
#include <stdbool.h>

/* May these operators be hooked: a library's, other than the allocator and the language's runtime, that
 * calls neither malloc nor anything of which nobody knows whether it does? It is not unloaded any more then.
 * Inside the gate (gate.h); not in a hook. */
bool pf_operator_is_own(void *function, const struct link_map *allocator);

enum pf_operator_calls {
	PF_OPERATOR_SEEN,    /* they end in malloc, or pass a slot */
	PF_OPERATOR_UNKNOWN, /* the executable's, and may be the one or the other */
	PF_OPERATOR_HIDDEN,  /* the executable's, with a pool of its own: its calls pass no slot */
};

/* By name only: no function is looked up, which would wait for a dlopen. Then what another library may allocate
 * is not known. Inside the gate; not in a hook. */
enum pf_operator_calls pf_operator_calls(void *function, const struct pf_reach_throw *throws,
    const struct link_map *allocator, bool by_name);
