/* Patience: how long the kernel waits for a tree that does not answer. */
#pragma once
#include <stdint.h>

/* Seconds after which the kernel ends a tree that has not answered a request; 0: never. */
int64_t pf_patience_seconds(void);
