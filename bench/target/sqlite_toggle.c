/* The cost of heap sampling in sqlite (toggle.h). Usage: sqlite_toggle ROUNDS ROWS */
#include "sqlite.h"
#include "toggle.h"

static void heap_on(void)
{
	toggle_write("+heap");
}

static void heap_off(void)
{
	toggle_write("-heap");
}

int main(int argc, char **argv)
{
	static const struct toggle_way ways[] = {
	    {"null", NULL, NULL}, {"proffs", heap_on, heap_off}};

	if (argc != 3)
		return 2;
	sqlite_start((unsigned)atoi(argv[2]));
	toggle_start("enable", NULL);
	toggle_run(ways, 2, (unsigned)atoi(argv[1]), sqlite_work);
	return proffs_stop() == 0 ? 0 : 1;
}
