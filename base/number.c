#include "base/number.h"
#include "base/buf.h"

void pf_numbers_finish(struct pf_numbers *numbers)
{
	pf_vec_free(numbers->at, numbers->capacity, sizeof(*numbers->at));
	*numbers = (struct pf_numbers){0};
}

void pf_numbers_add(struct pf_numbers *numbers, const struct pf_number *number)
{
	int rc = pf_vec_reserve(
	    (void **)&numbers->at, &numbers->capacity, sizeof(*numbers->at), numbers->count + 1);

	if (rc < 0 && numbers->error == 0)
		numbers->error = rc;
	if (numbers->error)
		return;
	numbers->at[numbers->count] = *number;
	if (number->per == 0)
		numbers->at[numbers->count].per = 1;
	numbers->count++;
}
