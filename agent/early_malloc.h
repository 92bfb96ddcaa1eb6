/* Early malloc: does the executable's own malloc work before main() has begun?
 *
 * Some make it ready in main() (GCL's, so maxima's; what dumps its heap and loads it again). Nothing of libc calls it
 * before that, but we do: threads, and a dlsym() that finds nothing. So it is tried in a copy of the
 * process, whose end harms nobody. Only where the malloc that the process has is the executable's.
 */
#pragma once
#include <stdbool.h>

/* From the constructor, before anything that may allocate. Also true where no copy can be made. */
bool pf_early_malloc_works(void);
