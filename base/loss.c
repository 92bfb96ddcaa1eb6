#include "base/loss.h"

void pf_loss_comment(struct pf_profile *out, const enum pf_counter *losses, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t lost = pf_counter_get(losses[i]);

		if (lost)
			pf_profile_comment(out, "%s %llu (%s)", pf_counter_name(losses[i]),
			    (unsigned long long)lost, pf_counter_what(losses[i]));
	}
}
