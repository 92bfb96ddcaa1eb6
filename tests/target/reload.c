/* Truth: reload OLD NEW GO [unseen]: when the file GO appears, the plugin OLD is opened, used and closed,
 * then NEW in the same way, then OLD again. Each use spins 300 ms in PREFIX_spin(), sleeps below
 * PREFIX_sleep() until the file seen_PREFIX is there, and keeps blocks of 1000 bytes made by PREFIX_keep(): OLD 1000 each time, NEW 500. The
 * two are of the same size, and each is opened again until it is where the first one was: then "same
 * place" is printed, and "done" at the end. With `unseen`, dlclose is called by a pointer that was asked of dlsym.
 */
#include <dlfcn.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int (*close_it)(void *handle) = dlclose;

/* The kernel likes to give the place just left, but somebody else may have taken it for a while. */
static void *open_at(const char *path, uintptr_t address)
{
	enum { TRIES = 500 };

	for (int i = 0; i < TRIES; i++) {
		void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
		struct link_map *map = handle;

		if (!handle)
			break;
		if (address == 0 || map->l_addr == address)
			return handle;
		close_it(handle);
		usleep(1000);
	}
	fprintf(stderr, "%s: %s\n", path, dlerror());
	exit(1);
}

/* Where it was. */
static uintptr_t use(const char *path, const char *prefix, int blocks, uintptr_t address)
{
	static const char *const parts[] = {"spin", "sleep", "keep"};
	void *handle = open_at(path, address), *place;
	char seen[64];

	address = ((struct link_map *)handle)->l_addr;
	snprintf(seen, sizeof(seen), "seen_%s", prefix);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		char name[64];

		snprintf(name, sizeof(name), "%s_%s", prefix, parts[i]);
		place = dlsym(handle, name);
		if (i == 1)
			((void (*)(const char *))place)(seen);
		else
			((void (*)(int))place)(i == 2 ? blocks : 300);
	}
	close_it(handle);
	return address;
}

int main(int argc, char **argv)
{
	uintptr_t place;

	if (argc > 4)
		close_it = (int (*)(void *))dlsym(RTLD_DEFAULT, "dlclose");
	printf("ready\n");
	fflush(stdout);
	while (access(argv[3], F_OK) != 0)
		usleep(20000);
	place = use(argv[1], "old", 1000, 0);
	use(argv[2], "new", 500, place);
	use(argv[1], "old", 1000, place);
	printf("same place\n");
	printf("done\n");
	fflush(stdout);
	for (;;)
		pause();
}
