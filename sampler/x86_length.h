/* Length of an x86-64 instruction, as far as compilers write them in prologues and calls. */
#pragma once
#include <stdint.h>

/* In bytes (at most 15 are looked at); 0: not known here. */
int pf_x86_length(const uint8_t *code);
