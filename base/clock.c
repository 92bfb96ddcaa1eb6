#include "base/clock.h"

bool pf_clock_is_replaced PF_WARM;
