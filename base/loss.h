/* What a profile has not: counters of losses as its comments. */
#pragma once
#include "base/counter.h"
#include "base/profile.h"

#include <stddef.h>

/* A comment for each of them that has counted something since the agent began. */
void pf_loss_comment(struct pf_profile *out, const enum pf_counter *losses, size_t count);
