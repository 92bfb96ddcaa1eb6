/* Resident: how much of this process is in memory. */
#pragma once
#include <stdint.h>

/* In bytes, or -1: /proc is not there. Normal code, any thread. */
int64_t pf_resident_bytes(void);
