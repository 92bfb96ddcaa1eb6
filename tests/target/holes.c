/* A program that trusts an address which it has just given up, as one with a single thread may: it finds a hole
 * by mapping and unmapping it, and moves a mapping of its own there.
 *
 *   holes SECONDS CHILDREN    itself, and CHILDREN of fork, for so long
 *   holes arenas              how many of malloc's arenas there are more after 60 ms of main() than before
 *
 * Every mapping holds its number on its first page, and has no other in memory, while it lives. Prints how many
 * were found changed. Most of its time is between giving up and moving.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KEPT = 8, PAGE = 4096, SIZES = 11 };

struct mapping {
	uint64_t *at;
	size_t size;
	uint64_t number;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void pause_us(double us)
{
	for (double end = now() + us / 1e6; now() < end;)
		;
}

static void *map(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED) {
		perror("mmap");
		exit(3);
	}
	madvise(at, size, MADV_NOHUGEPAGE);
	return at;
}

/* One page is written, so that one alone is in memory. */
static bool is_whole(const struct mapping *m)
{
	static unsigned char resident[PAGE];
	size_t pages = m->size / PAGE, count = 0;

	if (mincore(m->at, m->size, resident) != 0)
		return false;
	for (size_t i = 0; i < pages; i++)
		count += resident[i] & 1;
	for (size_t i = 0; i < PAGE / sizeof(*m->at); i++)
		if (m->at[i] != m->number)
			return false;
	return count == 1;
}

static struct mapping move_into_a_hole(size_t size, uint64_t number)
{
	struct mapping m = {map(size), size, number};
	void *hole = map(size);

	for (size_t i = 0; i < PAGE / sizeof(*m.at); i++)
		m.at[i] = number;
	munmap(hole, size);
	pause_us(20);
	m.at = mremap(m.at, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, hole);
	if (m.at == MAP_FAILED) {
		perror("mremap");
		exit(3);
	}
	return m;
}

static int dig(double seconds)
{
	struct mapping kept[KEPT] = {{NULL}};
	uint64_t number = 0, changed = 0;
	double end = now() + seconds;

	while (now() < end) {
		struct mapping *place = &kept[number % KEPT];

		if (place->at) {
			changed += !is_whole(place);
			munmap(place->at, place->size);
		}
		number++;
		*place = move_into_a_hole((size_t)PAGE << (number * 7 % SIZES), number);
	}
	printf("%s mappings, %llu changed\n", number > 100 ? "enough" : "too few",
	    (unsigned long long)changed);
	return changed ? 1 : 0;
}

/* What an arena has not taken yet ends at a multiple of 64 MiB. */
static int count_arenas(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long low, high;
	char access[8], line[512];
	int count = 0;

	while (maps && fgets(line, sizeof(line), maps))
		count += sscanf(line, "%lx-%lx %7s", &low, &high, access) == 3 &&
			 access[0] == '-' && high - low > 60ul << 20 && high % (64ul << 20) == 0;
	if (maps)
		fclose(maps);
	return count;
}

static int watch_arenas(void)
{
	int before = count_arenas();

	pause_us(60000);
	printf("%d more arenas\n", count_arenas() - before);
	return 0;
}

int main(int argc, char **argv)
{
	int status, failed = 0;

	if (argc == 2 && strcmp(argv[1], "arenas") == 0)
		return watch_arenas();

	if (argc < 3)
		return 2;
	for (int i = 0; i < atoi(argv[2]); i++)
		if (fork() == 0)
			return dig(atof(argv[1]));
	failed = dig(atof(argv[1]));
	while (wait(&status) > 0)
		failed |= status;
	return failed ? 1 : 0;
}
