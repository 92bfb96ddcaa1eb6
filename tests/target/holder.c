/* Truth: a program with profiles of its own. "connections" holds five that take_seven() took (seven,
 * two given back) and three of take_three(); "leases" holds none. "collected" is printed when
 * somebody has written 1 to gc.
 *
 * usage: holder DIR
 */
#include <errno.h>
#include <proffs/proffs.h>
#include <stdio.h>
#include <unistd.h>

static struct proffs_profile *connections, *leases;
static int things[10];
static int collected; /* atomic */

static void take_seven(void)
{
	for (int i = 0; i < 7; i++)
		proffs_profile_add(connections, &things[i]);
}

static void take_three(void)
{
	for (int i = 7; i < 10; i++)
		proffs_profile_add(connections, &things[i]);
}

static void collect(void)
{
	__atomic_store_n(&collected, 1, __ATOMIC_RELEASE);
}

int main(int argc, char **argv)
{
	struct proffs_options options = {.size = sizeof(options), .mount = argv[1]};

	if (argc != 2 || proffs_profile_new(&connections, "connections") != 0 ||
	    proffs_profile_new(&leases, "leases") != 0 ||
	    proffs_profile_new(&leases, "leases") != -EEXIST)
		return 2;
	take_seven();
	if (proffs_start(&options) != 0)
		return 1;
	take_three();
	proffs_profile_remove(connections, &things[0]);
	proffs_profile_remove(connections, &things[1]);
	proffs_profile_add(leases, argv);
	proffs_profile_remove(leases, argv);
	proffs_on_gc(collect);
	puts("ready");
	fflush(stdout);
	while (!__atomic_load_n(&collected, __ATOMIC_ACQUIRE))
		usleep(10000);
	puts("collected");
	fflush(stdout);
	pause();
	return 0;
}
