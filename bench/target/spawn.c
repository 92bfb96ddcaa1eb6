/* What a preloaded library costs a short command: posix_spawn and wait of /bin/true in turn without
 * it, with it, and with a library that holds nothing. Usage: spawn ROUNDS LIBRARY EMPTY [NAME=VALUE...]
 * (the environment of the second kind). One line a round: PLAIN_NS PRELOADED_NS EMPTY_NS. */
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t once(char *const environment[])
{
	static char name[] = "/bin/true";
	char *const command[] = {name, NULL};
	int64_t start = now_ns();
	pid_t child;
	int status;

	if (posix_spawn(&child, name, NULL, NULL, command, environment) != 0 ||
	    waitpid(child, &status, 0) != child || status != 0)
		exit(1);
	return now_ns() - start;
}

int main(int argc, char **argv)
{
	char library[4096], empty[4096];
	char language[] = "LC_ALL=C";
	char *plain[] = {language, NULL};
	char *preloaded[64] = {library};
	char *with_empty[] = {empty, NULL};

	if (argc < 4 || argc > 60)
		return 2;
	snprintf(library, sizeof(library), "LD_PRELOAD=%s", argv[2]);
	snprintf(empty, sizeof(empty), "LD_PRELOAD=%s", argv[3]);
	for (int i = 4; i < argc; i++)
		preloaded[i - 3] = argv[i];
	for (int i = -20; i < atoi(argv[1]); i++) {
		int64_t a = once(plain), b = once(preloaded), c = once(with_empty);

		if (i >= 0)
			printf("%lld %lld %lld\n", (long long)a, (long long)b, (long long)c);
	}
	return 0;
}
