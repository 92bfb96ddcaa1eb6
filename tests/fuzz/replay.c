/* Feeds every file of a directory to the fuzz target that this is linked with: one test in TAP.
 *
 * usage: fuzz_NAME CORPUS
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void replay(const char *path)
{
	FILE *file = fopen(path, "re");
	char *bytes = NULL;
	size_t size = 0, got;
	/* A buffer of its own of just that size, so that a sanitizer sees the first byte too many. */
	char piece[4096];

	if (!file) {
		printf("Bail out! %s cannot be read\n", path);
		exit(1);
	}
	while ((got = fread(piece, 1, sizeof(piece), file)) > 0) {
		bytes = realloc(bytes, size + got);
		if (!bytes)
			abort();
		memcpy(bytes + size, piece, got);
		size += got;
	}
	fclose(file);
	LLVMFuzzerTestOneInput((const uint8_t *)bytes, size);
	free(bytes);
}

int main(int argc, char **argv)
{
	struct dirent **names;
	int count, files = 0;

	if (argc != 2)
		return 2;
	count = scandir(argv[1], &names, NULL, alphasort);
	printf("1..1\n");
	fflush(stdout);
	for (int i = 0; i < count; i++) {
		char path[4096];

		snprintf(path, sizeof(path), "%s/%s", argv[1], names[i]->d_name);
		if (names[i]->d_name[0] != '.') {
			fprintf(stderr, "%s\n", path); /* the last one is the culprit */
			replay(path);
			files++;
		}
		free(names[i]);
	}
	if (count >= 0)
		free(names);
	printf("%s 1 - survives all of %d inputs\n", files ? "ok" : "not ok", files);
	return files ? 0 : 1;
}
