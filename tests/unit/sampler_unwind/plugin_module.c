/* A module to be opened and closed while its frames are on a stack. */
#include <stdint.h>

uint32_t plugin_call(uint32_t (*down)(void));

static volatile uint32_t sink;

__attribute__((visibility("default"))) uint32_t plugin_call(uint32_t (*down)(void))
{
	uint32_t result = down();

	sink = result;
	return result;
}
