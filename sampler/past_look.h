/* Past look: compares the loader's list of modules with what past.h knows. Around a dlclose, on the
 * program's own thread, so that a module that lived for a moment is known before it goes; and now
 * and then by a thread of ours, for those that are closed past our hook.
 *
 * While nothing has been opened or closed a look costs some 50 ns.
 */
#pragma once

/* In the gate on our own threads. PF_HOOK; errno is kept. */
void pf_past_look(void);

/* Around the real dlclose. PF_HOOK; errno is kept. */
void pf_past_close_begin(void);
void pf_past_close_end(void);
