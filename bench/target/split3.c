/* Truth: fifty() 50 %, thirty() 30 %, twenty() 20 % of SECONDS (argument) of CPU time, in stretches
 * of random length. */
#include "busy.h"

#include <stdlib.h>

#define SHARE(name)                                                                                \
	static __attribute__((noinline)) void name(int64_t until_ns)                               \
	{                                                                                          \
		while (busy_thread_cpu_ns() < until_ns)                                            \
			busy_leaf(2000);                                                           \
		__asm__ volatile("/* " #name " */"); /* or three equal ones become one */          \
	}
SHARE(fifty)
SHARE(thirty)
SHARE(twenty)

int main(int argc, char **argv)
{
	int64_t end = (int64_t)(argc > 1 ? atoi(argv[1]) : 10) * 1000000000;
	int64_t at = busy_thread_cpu_ns();
	uint32_t random = 1;

	while (at < end) {
		int64_t length;

		random = random * 1664525 + 1013904223;
		length = 3000000 + random % 10000000;
		fifty(at + length / 2);
		thirty(at + length * 8 / 10);
		twenty(at + length);
		at += length;
	}
	return 0;
}
