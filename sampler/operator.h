/* Operator: does a module's operator new get its memory from nobody that we see?
 *
 * One that ends in malloc is seen there, and by itself would be counted twice. What a function does is
 * not to be read off it; but what its module could do stands in the slots of that module. One that has
 * no slot for malloc and its like has a pool of its own.
 */
#pragma once
#include <link.h>
#include <stdbool.h>

/* May these operators be hooked: a library's, other than the allocator and the language's runtime, that
 * calls neither malloc nor anything of which nobody knows whether it does? It is not unloaded any more then.
 * Inside the gate (gate.h); not in a hook. */
bool pf_operator_is_own(void *function, const struct link_map *allocator);

/* Is this the executable's, with a pool of its own? Its calls pass no slot. Inside the gate; not in a hook. */
bool pf_operator_is_hidden(void *function, const struct link_map *allocator);
