/* A module whose calls are bound at their first use. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

void lazy_run(void);

static volatile double sink;

__attribute__((visibility("default"))) void lazy_run(void)
{
	sink = erf(sink + 0.5) + (double)strtol("17", NULL, 10);
}
