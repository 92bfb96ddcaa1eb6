/* proffs list: living trees, one a line: process, place, command. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

/* The command of a process, blanks between its words, control bytes as '?'. */
static void print_command(pid_t pid)
{
	char path[64];
	int c, wide = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	file = fopen(path, "re");
	while (file && (c = fgetc(file)) != EOF && wide++ < 200)
		putchar(c == '\0' ? ' ' : c < 0x20 || c == 0x7f ? '?' : c);
	if (file)
		fclose(file);
}

static void print_living(const struct pf_place *place, void *arg)
{
	int *found = arg;

	if (place->dead)
		return;
	++*found;
	printf("%-8d %-32s ", (int)place->pid, place->path);
	print_command(place->pid);
	putchar('\n');
}

int pf_list_main(int argc, char **argv)
{
	int found = 0;

	if (argc > 1) {
		pf_say("usage: proffs list");
		return 2;
	}
	pf_place_each(print_living, &found);
	return 0;
}
