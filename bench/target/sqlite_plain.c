/* sqlite's workload once, for profilers that start with the process. Usage: sqlite_plain TIMES ROWS;
 * prints the CPU time in ns. */
#include "busy.h"
#include "sqlite.h"

int main(int argc, char **argv)
{
	int64_t start;

	if (argc != 3)
		return 2;
	sqlite_start((unsigned)atoi(argv[2]));
	start = busy_thread_cpu_ns();
	for (int i = 0; i < atoi(argv[1]); i++)
		sqlite_work();
	printf("%lld\n", (long long)(busy_thread_cpu_ns() - start));
	return 0;
}
