/* A function that the compiler has split: entered by a jump, with a large frame kept by the frame
 * pointer, in which an earlier call has left what looks like frames. x86-64. */
#pragma once

/* Litters the stack and then sleeps (in pause()) under split_stand, in the split-off part. Never returns. */
void split_stand(void);

extern const char split_part[], split_part_end[];     /* the part that sleeps */
extern const char split_litter[], split_litter_end[]; /* what is not there any more */
extern const char split_caller[], split_caller_end[]; /* what called it */

/* Sleeps for ever (in pause), with the frame pointer saved and gone: what called it is found by that. */
void split_nap(void);

/* The same, called by a function whose frame is found by its frame pointer, which the kernel does not
 * tell of a sleeper. */
void split_doze(void);
