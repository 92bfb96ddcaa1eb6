/* A C program, without any C++ in it, that opens a plugin which throws (arguments: plugin, rounds).
 *
 * A round: wait for a line of input, open it, print "opened", wait for a line, let it throw 25 times and
 * catch them all, print how many, close it. So the C++ runtime comes and goes. At the end "done", and it
 * waits for a line again.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	int rounds = argc > 2 ? atoi(argv[2]) : 1;

	for (int i = 0; i < rounds; i++) {
		void *plugin;
		int (*run)(int);

		if (getchar() == EOF)
			return 1;
		plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
		run = plugin ? (int (*)(int))dlsym(plugin, "plugin_throw_and_catch") : NULL;
		if (!run)
			return 1;
		printf("opened %d\n", i);
		fflush(stdout);
		if (getchar() == EOF)
			return 1;
		printf("caught %d\n", run(25));
		fflush(stdout);
		dlclose(plugin);
	}
	printf("done\n");
	fflush(stdout);
	getchar();
	return 0;
}
