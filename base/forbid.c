#include "base/forbid.h"

PF_TLS uint32_t pf_forbidden_here;

static uint32_t own;
uint32_t *pf_forbidden_to_all = &own;

void pf_forbidden_adopt(uint32_t *to_all)
{
	pf_forbidden_to_all = to_all;
}
