/* proffs: the command. `proffs run` starts a program with the agent in it; the rest looks after
 * the trees. */
#include "cli/cli.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int version_main(int argc, char **argv)
{
	puts("proffs " PF_VERSION);
	return 0;
}

static const struct {
	const char *name;
	pf_command_fn *run;
	const char *help;
} commands[] = {
    {"run", pf_run_main, "run [-m DIR] [OPTIONS] -- CMD ARGS              watch a program"},
    {"list", pf_list_main, "list                                            living trees"},
    {"clean", pf_clean_main, "clean                                           remove dead ones"},
    {"version", version_main, "version"},
};

void pf_say(const char *format, ...)
{
	/* Nobody listens, and the program is to be run all the same. */
	void (*before)(int) = signal(SIGPIPE, SIG_IGN);
	va_list args;

	va_start(args, format);
	fputs("proffs: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	if (before != SIG_ERR)
		signal(SIGPIPE, before);
}

static int usage(FILE *to)
{
	fputs("usage: proffs COMMAND\n", to);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(to, "  proffs %s\n", commands[i].help);
	return to == stdout ? 0 : 2;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return usage(stderr);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0)
		return usage(stdout);
	if (strcmp(argv[1], "--version") == 0)
		return version_main(1, argv);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	pf_say("there is no command '%s'", argv[1]);
	return usage(stderr);
}
