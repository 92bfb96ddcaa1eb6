/* A fixed amount of work (argument: units of about 20 us); prints the CPU time it took, in ns. */
#include "busy.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	unsigned units = argc > 1 ? (unsigned)atoi(argv[1]) : 50000;
	int64_t start = busy_thread_cpu_ns();

	busy_work(units);
	printf("%lld\n", (long long)(busy_thread_cpu_ns() - start));
	return 0;
}
