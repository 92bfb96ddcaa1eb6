/* Pulse: what the history notes every second. A few system calls, no lock of the program's, none of
 * its threads.
 */
#pragma once
#include "base/history.h"

struct pf_live;

/* Every column; PF_HISTORY_UNKNOWN where there is nothing to tell. */
void pf_pulse_take(struct pf_live *live, int64_t value[PF_HISTORY_COLUMN_COUNT]);
