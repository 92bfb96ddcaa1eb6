/* Truth: what a program that links -lproffs sees. Each line it reads is a command, each answer one
 * line: threads, start DIR, start-detached, start-bad, stop, path, version, quit.
 */
#include <dirent.h>
#include <proffs/proffs.h>
#include <stdio.h>
#include <string.h>

static int thread_count(void)
{
	DIR *tasks = opendir("/proc/self/task");
	int count = -2; /* . and .. */

	while (tasks && readdir(tasks))
		count++;
	if (tasks)
		closedir(tasks);
	return count;
}

static void say_rc(int rc)
{
	printf("%s\n", rc == 0 ? "ok" : strerror(-rc));
}

static void obey(char *command)
{
	struct proffs_options options = {.size = sizeof(options)};

	if (strcmp(command, "threads") == 0) {
		printf("%d\n", thread_count());
	} else if (strncmp(command, "start ", 6) == 0) {
		options.mount = command + 6;
		say_rc(proffs_start(&options));
	} else if (strcmp(command, "start-detached") == 0) {
		say_rc(proffs_start(NULL));
	} else if (strcmp(command, "start-bad") == 0) {
		options.set = "cpu/hz=fast";
		say_rc(proffs_start(&options));
	} else if (strcmp(command, "stop") == 0) {
		say_rc(proffs_stop());
	} else if (strcmp(command, "path") == 0) {
		printf("%s\n", proffs_path() ? proffs_path() : "none");
	} else if (strcmp(command, "version") == 0) {
		printf("%s\n", proffs_version());
	} else {
		printf("no such command\n");
	}
}

int main(void)
{
	char line[4096];

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, "quit") == 0)
			return 0;
		obey(line);
	}
	return 0;
}
