/* Frames that compilers seldom make and people do: in assembly, with notes that say so. Each calls
 * `down` once. */
#pragma once

typedef void down_fn(void);
typedef void odd_fn(down_fn *down);

/* The CFA is told by rbx, as in the dynamic loader's trampoline. */
odd_fn odd_by_rbx;
/* The old sp is on the stack, and an expression finds it, as in OpenSSL. */
odd_fn odd_by_expression;
/* The return address waits in r12 while the stack is put elsewhere. */
odd_fn odd_return_in_register;
/* rbp is kept in r13 and comes back from there. */
odd_fn odd_bp_in_register;
/* rbp of the caller is computed: val_offset and val_expression. */
odd_fn odd_computed;
/* 40,000 bytes in one frame, more than a short row can say. */
odd_fn odd_large;
