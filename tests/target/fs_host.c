/* fs_host: a program with a tree and no sampler, for tests of the file system on a real mount.
 *
 * usage: fs_host [-m DIR] [-r REAPER] [-w] [-R] [COMMAND...]
 *
 *     -m DIR      attach the tree there; else detached and published
 *     -r REAPER   the path of proffs-reaper
 *     -w          with a wall collector; -R: the recorder has a window
 *     COMMAND     what the main thread does once the tree can be read: open PATH, read PATH,
 *                 exit N, exec SECONDS, fork SECONDS, sigchld, stop; then it waits for SIGUSR1
 *                 and ends cleanly
 *
 * Prints "ready PATH" when the tree is there, or "failed: REASON" and exits with 3. Its profiles
 * are known: see tests/unit/fs/fake_door.h. The first thread of the tree makes a private descriptor
 * table, as the agent's does.
 */
#include "base/clock.h"
#include "fs/fs.h"
#include "tests/unit/fs/fake_door.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct pf_fs_options options;
static struct pf_fs *fs;
static int start_rc;
static const char *why = "?";
static sem_t started, ended;
static volatile sig_atomic_t children; /* SIGCHLDs seen */

static void make_private_table(void)
{
	int null;

	if (syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_UNSHARE) != 0)
		abort();
	null = open("/dev/null", O_RDWR);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	if (unshare(CLONE_FS) != 0)
		abort();
}

static void *serve(void *arg)
{
	make_private_table();
	start_rc = proffs_fs_start(&fs, &fake.door, &options, &why);
	sem_post(&started);
	if (start_rc == 0)
		proffs_fs_serve(fs);
	sem_post(&ended);
	return NULL;
}

static void on_child(int sig)
{
	children++;
}

static void start_tree(void)
{
	sem_init(&started, 0, 0);
	sem_init(&ended, 0, 0);
	if (fake.door.start_thread("fuse", serve, NULL) != 0)
		abort();
	while (sem_wait(&started) != 0)
		;
	if (start_rc == 0) {
		printf("ready %s\n", proffs_fs_path(fs));
		fflush(stdout);
		return;
	}
	printf("failed: %s (%s)\n", why, strerror(-start_rc));
	exit(3);
}

static void stop_tree(void)
{
	proffs_fs_stop(fs);
	while (sem_wait(&ended) != 0)
		;
}

static void open_in_tree(const char *name, int flags)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/%s", proffs_fs_path(fs), name);
	if (open(path, flags) < 0) {
		perror(path);
		exit(4);
	}
}

/* The main thread reads a file of its own tree, all of it. */
static void read_own(const char *name)
{
	char path[4200], buffer[4096];
	long bytes = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", proffs_fs_path(fs), name);
	fd = open(path, O_RDONLY);
	while (fd >= 0 && (n = read(fd, buffer, sizeof(buffer))) > 0)
		bytes += n;
	printf("read %ld\n", bytes);
	fflush(stdout);
}

/* "open PATH" leaves it open; "exit N" ends the program as it is. */
static void run_commands(char **words)
{
	for (; *words; words++) {
		if (strcmp(*words, "open") == 0 && words[1])
			open_in_tree(*++words, O_RDONLY);
		else if (strcmp(*words, "read") == 0 && words[1])
			read_own(*++words);
		else if (strcmp(*words, "exit") == 0 && words[1])
			exit(atoi(*++words));
		else if (strcmp(*words, "stop") == 0)
			stop_tree(), exit(0);
		else if (strcmp(*words, "exec") == 0 && words[1])
			execlp("sleep", "sleep", words[1], (char *)NULL), exit(5);
		else if (strcmp(*words, "fork") == 0 && words[1]) {
			if (fork() == 0)
				execlp("sleep", "sleep", words[1], (char *)NULL);
			words++;
		} else if (strcmp(*words, "sigchld") == 0) {
			int rc = (int)waitpid(-1, NULL, WNOHANG);

			printf("sigchld %d wait %d %s\n", (int)children, rc,
			    rc < 0 ? strerror(errno) : "");
			fflush(stdout);
		}
	}
}

int main(int argc, char **argv)
{
	struct sigaction child = {.sa_handler = on_child, .sa_flags = SA_RESTART};
	sigset_t usr1;
	bool wall = false, recorder = false;
	int option;

	while ((option = getopt(argc, argv, "+m:r:wR")) != -1) {
		if (option == 'm')
			options.mount = optarg;
		else if (option == 'r')
			options.reaper = optarg;
		else if (option == 'w')
			wall = true;
		else if (option == 'R')
			recorder = true;
		else
			return 2;
	}
	fake_door_reset(wall);
	fake.recorder_has = recorder;
	sigaction(SIGCHLD, &child, NULL);
	start_tree();
	run_commands(argv + optind);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	while (sigwaitinfo(&usr1, NULL) < 0) /* after SIGCONT */
		;
	stop_tree();
	return 0;
}
