/* Heap balance: how what the heap profile shows adds up to what the kernel charges the process for. */
#pragma once
#include "base/profile.h"

/* Ends the profile's text (notes) with a sum of lines that is VmRSS. The profile's last column is
 * bytes in use. Our own threads. */
void pf_heap_balance(struct pf_profile *out);
