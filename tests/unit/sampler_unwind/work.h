/* Work to be sampled: the same code built in several ways (WORK_NAME tells them apart), so that every
 * kind of frame the compilers make is on the stack at random moments. */
#pragma once
#include <stdbool.h>

/* Works at the bottom of about `depth` frames until *stop. */
typedef void work_fn(int depth, volatile bool *stop);

work_fn work_o2, work_o0, work_fp, work_os, work_cxx;

/* One exception, thrown and caught. */
void work_cxx_once(void);
