/* _dl_find_object (glibc 2.35), the only way to a module's unwind info without a lock.
 *
 * Declared weak: it lives in the dynamic linker itself, which is loaded anyway and shall not become
 * a dependency of ours; and where it is missing, the program still starts. PF_SIGSAFE.
 */
#pragma once
#include "base/mark.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>

extern int _dl_find_object(void *pc, struct dl_find_object *out) __attribute__((weak));

PF_INLINE bool pf_find_object(uint64_t pc, struct dl_find_object *out)
{
	return _dl_find_object && _dl_find_object((void *)(uintptr_t)pc, out) == 0;
}
