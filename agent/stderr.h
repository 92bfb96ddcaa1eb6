/* Standard error: the few lines that the program's user is to see though nobody asked.
 *
 * It is the program's: no line is worth that it waits, gets a signal, or finds something of ours in a
 * file of its own; and nothing of ours holds it open, for somebody may wait for the end of a pipe.
 */
#pragma once
#include <stdbool.h>

/* Three pieces as one line, if it can be written at once. From normal code, the program's thread. */
void pf_stderr_say(const char *what, const char *which, const char *end);

/* From the constructor: what it is now, for the two below. */
void pf_stderr_remember(void);

/* Has the program still what it had then? */
bool pf_stderr_is_same(void);

/* The same line from another process, when the program has ended: by name. So a terminal or a file has
 * it; a pipe, or what has been renamed since, has not. */
void pf_stderr_say_afterwards(const char *what, const char *which, const char *end);
