/* Throw static: a C++ runtime inside the executable whose exceptions pass no slot (-static-libgcc): nobody
 * can see them from outside, and `status` must say so.
 */
#pragma once
#include <stdbool.h>

/* Reads the executable's constants. Passes the gate; never in a hook. */
bool pf_throw_static(void);
