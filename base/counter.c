#include "base/counter.h"

static uint64_t own_values[PF_COUNTER_COUNT];
uint64_t *pf_counter_values PF_WARM = own_values;

static const struct {
	const char *name;
	const char *what;
} rows[] = {
#define X(id, name, what) {name, what},
    PF_COUNTERS(X)
#undef X
};

const char *pf_counter_name(enum pf_counter counter)
{
	return rows[counter].name;
}

const char *pf_counter_what(enum pf_counter counter)
{
	return rows[counter].what;
}

void pf_counter_adopt(uint64_t *values)
{
	pf_counter_values = values;
}
