/* UTC as text, without libc's time zone lock: a child forked while one of our threads held that
 * lock would hang in its own localtime().
 */
#pragma once
#include <stdint.h>

enum { PF_UTC_TEXT = 32 };

/* "2026-11-21T06:52:26Z" from nanoseconds since the epoch. Any thread. */
void pf_utc_text(int64_t real_ns, char out[PF_UTC_TEXT]);
/* "20261121T065226", for file names. */
void pf_utc_stamp(int64_t real_ns, char out[PF_UTC_TEXT]);
