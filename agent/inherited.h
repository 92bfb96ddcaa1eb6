/* Inherited: dead helpers of ours that an exec left behind, where it did not pass our hook
 * (base/birth.h): what was the program before us had them, and now they are this one's.
 */
#pragma once

/* Waits for those that are dead. Who has a child of its own kind without an exit signal, dead and not
 * waited for, and not ours, before them keeps them. Any thread. */
void pf_inherited_reap(void);
