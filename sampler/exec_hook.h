/* Exec hook: what the program passes through on its way to an exec, whatever it calls: it waits for
 * helpers of ours that are being born (base/birth.h), and goes on to the real function with its
 * arguments untouched, however many there are.
 */
#pragma once

/* Our own threads, before the first birth. */
void pf_exec_hook_start(void);
