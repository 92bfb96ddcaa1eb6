/* Lives: one thing that a process can do to itself, chosen by name.
 *
 * usage: life CASE [ARGS]
 *
 * What it prints and how it ends is the same with and without us. LIFE_TREE (where %p becomes the
 * process id) names its tree: before it does what it is asked to, it waits until that can be read.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <link.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WAIT_SECONDS = 60, OTHER_ID = 12345 };

static int exit_code(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int outcome_of(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return exit_code(status);
}

/* ---- its own tree ---- */

/* A file of the tree; false: it runs without one. */
static int tree_file(char *out, const char *name)
{
	const char *tree = getenv("LIFE_TREE");
	const char *mark = tree ? strstr(tree, "%p") : NULL;

	if (!tree)
		return 0;
	if (mark)
		snprintf(out, 4096, "%.*s%d%s/%s", (int)(mark - tree), tree, (int)getpid(),
		    mark + 2, name);
	else
		snprintf(out, 4096, "%s/%s", tree, name);
	return 1;
}

static void wait_for_tree(void)
{
	char path[4096];

	if (!tree_file(path, "README"))
		return;
	for (int tenth = 0; tenth < WAIT_SECONDS * 10; tenth++) {
		if (access(path, R_OK) == 0)
			return;
		usleep(100000);
	}
	fprintf(stderr, "life: no tree at %s\n", path);
	exit(99);
}

/* Its length; -errno. */
static long read_whole(const char *name)
{
	char path[4096], text[65536];
	long length = 0;
	ssize_t n;
	int fd;

	if (!tree_file(path, name))
		return 1;
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return -errno;
	while ((n = read(fd, text, sizeof(text))) > 0)
		length += n;
	if (n < 0)
		length = -errno;
	close(fd);
	return length;
}

static int read_or_say(const char *name)
{
	long length = read_whole(name);

	if (length <= 0)
		printf("%s: %s\n", name, length ? strerror((int)-length) : "empty");
	return length > 0;
}

/* ---- ends ---- */

static int by_return(char **args)
{
	return 3;
}

static int by_exit_now(char **args)
{
	_exit(4);
}

static int by_signal(char **args)
{
	raise(atoi(args[0]));
	return 99;
}

static int by_abort(char **args)
{
	abort();
}

static int by_segv(char **args)
{
	struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};

	setrlimit(RLIMIT_CORE, &all);
	*(volatile int *)1 = 0;
	return 99;
}

static int kill_holder(struct dl_phdr_info *info, size_t size, void *unused)
{
	kill(getpid(), SIGKILL);
	return 99;
}

/* Killed while it holds the loader's lock. */
static int by_loader(char **args)
{
	return dl_iterate_phdr(kill_holder, NULL);
}

static void *end_at_once(void *unused)
{
	return unused;
}

static int at_work; /* atomic: threads that have begun */

static void *bear(void *unused)
{
	pthread_t thread;

	__atomic_fetch_add(&at_work, 1, __ATOMIC_RELAXED);
	for (;;) {
		if (pthread_create(&thread, NULL, end_at_once, NULL) == 0)
			pthread_join(thread, NULL);
	}
	return unused;
}

static int kill_among(int count, void *(*work)(void *))
{
	pthread_t thread;

	for (int i = 0; i < count; i++)
		if (pthread_create(&thread, NULL, work, NULL) != 0)
			return 99;
	while (__atomic_load_n(&at_work, __ATOMIC_RELAXED) < count)
		usleep(1000);
	usleep(20000);
	kill(getpid(), SIGKILL);
	return 99;
}

/* Killed while its threads create others, and hold what that takes. */
static int by_births(char **args)
{
	return kill_among(4, bear);
}

static void *churn(void *unused)
{
	void *volatile block;

	__atomic_fetch_add(&at_work, 1, __ATOMIC_RELAXED);
	for (;;) {
		block = malloc(5000); /* more than a thread keeps for itself */
		free(block);
	}
	return unused;
}

/* Killed while most of malloc's arenas are in some thread's hands. */
static int by_allocations(char **args)
{
	return kill_among(20, churn);
}

static int by_exec(char **args)
{
	execv(args[0], args);
	return 99;
}

static int open_files(char **args)
{
	static const char *const names[] = {"heap", "status", "cpu/hz", "threads.pprof", "."};
	char path[4096];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (tree_file(path, names[i]) && open(path, O_RDONLY) < 0)
			return 98;
	return 5;
}

/* ---- children ---- */

static int by_fork(char **args)
{
	pid_t pid = fork();

	if (pid == 0) {
		free(malloc(100000));
		exit(21);
	}
	printf("child: %d\n", outcome_of(pid));
	return 0;
}

/* What the child does is all that POSIX lets it do. */
static int by_vfork(char **args)
{
	pid_t pid = vfork();

	if (pid == 0)
		_exit(22);
	printf("child: %d\n", outcome_of(pid));
	return 0;
}

static int by_spawn(char **args)
{
	pid_t pid = -1;
	int rc = posix_spawn(&pid, args[0], NULL, NULL, args, environ);

	printf("spawn: %d, child: %d\n", rc, outcome_of(pid));
	return 0;
}

/* Twice forked, a session of its own, and it lives on until the file named is gone. */
static int by_daemonize(char **args)
{
	pid_t pid = fork();

	if (pid != 0)
		return outcome_of(pid);
	setsid();
	if (fork() != 0)
		_exit(6);
	for (int fd = 0; fd < 64; fd++)
		close(fd);
	while (access(args[0], F_OK) == 0) {
		free(malloc(1000));
		usleep(10000);
	}
	return 0;
}

/* Allocates on other threads until the end. */
static void *allocate(void *unused)
{
	void *kept[64] = {NULL};

	for (unsigned i = 0;; i++) {
		free(kept[i % 64]);
		kept[i % 64] = malloc(i % 5000 + 1);
	}
	return NULL;
}

static void start_allocating(int count)
{
	pthread_t thread;

	while (count-- > 0)
		pthread_create(&thread, NULL, allocate, NULL);
}

/* args: how many, one after the other, each of which allocates and frees as well. */
static int by_many_forks(char **args)
{
	int good = 0;

	start_allocating(2);
	for (int i = atoi(args[0]); i > 0; i--) {
		pid_t pid = fork();

		if (pid == 0) {
			for (int n = 0; n < 50; n++)
				free(malloc((size_t)n * 1000));
			_exit(i % 100);
		}
		good += outcome_of(pid) == i % 100;
	}
	printf("good: %d\n", good);
	return 0;
}

/* A prefork server: args[0] children that live until the file args[1] is gone. */
static int by_prefork(char **args)
{
	int count = atoi(args[0]), good = 0;

	for (int i = 0; i < count; i++)
		if (fork() == 0) {
			while (access(args[1], F_OK) == 0)
				usleep(50000);
			exit(8);
		}
	while (count-- > 0) {
		int status;

		if (wait(&status) > 0)
			good += exit_code(status) == 8;
	}
	printf("good: %d\n", good);
	return 0;
}

/* ---- who and where it is ---- */

static int by_setuid(char **args)
{
	if (setgroups(0, NULL) != 0 || setgid(OTHER_ID) != 0 || setuid(OTHER_ID) != 0)
		return 98;
	printf("%d %d\n", (int)getegid(), (int)geteuid());
	return 0;
}

int capset(cap_user_header_t header, const cap_user_data_t data); /* in libc, in no header of its */

/* As setpriv does: what it may do outlives the change of user, and does the rest. */
static int by_capabilities(char **args)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct own[_LINUX_CAPABILITY_U32S_3];

	if (prctl(PR_SET_KEEPCAPS, 1) != 0 || syscall(SYS_capget, &header, own) != 0)
		return 98;
	if (setresuid(OTHER_ID, OTHER_ID, OTHER_ID) != 0 || capset(&header, own) != 0)
		return 97;
	if (setresgid(OTHER_ID, OTHER_ID, OTHER_ID) != 0 || setgroups(0, NULL) != 0)
		return 96;
	printf("%d %d %d\n", (int)getegid(), (int)geteuid(), getgroups(0, NULL));
	return 0;
}

static int by_chroot(char **args)
{
	if (chroot(args[0]) != 0 || chdir("/") != 0)
		return 98;
	puts(access("/inside", F_OK) == 0 ? "inside" : "outside");
	return 0;
}

/* The kernel refuses it to a process of more than one thread. */
static int by_other_users(char **args)
{
	int rc = unshare(CLONE_NEWUSER);

	printf("%d %d\n", rc, (int)getuid());
	return 4;
}

static int by_unshare(char **args)
{
	printf("%d\n", unshare(CLONE_NEWNS));
	return 0;
}

/* ---- descriptors ---- */

static int by_closefrom(char **args)
{
	closefrom(3);
	puts(read_or_say("status") ? "read" : "not read");
	return open("/dev/null", O_RDONLY);
}

static int by_dup2(char **args)
{
	for (int fd = 3; fd <= 20; fd++)
		if (dup2(1, fd) != fd)
			return 98;
	puts(read_or_say("status") ? "read" : "not read");
	return 0;
}

/* ---- it reads its own tree ---- */

static void *read_again_and_again(void *good)
{
	static const char *const names[] = {
	    "heap", "threads", "status", "allocs.pprof", "threads.folded", "debug/pprof/heap"};

	for (int i = 0; i < 60; i++)
		*(int *)good += read_or_say(names[i % 6]);
	return NULL;
}

/* One thread reads while the others allocate. */
static int by_reading(char **args)
{
	pthread_t reader;
	int good = 0;

	start_allocating(2);
	pthread_create(&reader, NULL, read_again_and_again, &good);
	pthread_join(reader, NULL);
	printf("good: %d\n", good);
	return 0;
}

/* The main thread waits for a capture, and then reads others while one is running. */
static int by_capture(char **args)
{
	int good = 0;

	start_allocating(1);
	good += read_or_say("cpu-0.3s.txt");
	good += read_or_say("debug/pprof/heap?seconds=0.2");
	good += read_or_say("wall-0.2s.pprof");
	printf("good: %d\n", good);
	return 0;
}

static int by_standing_inside(char **args)
{
	char path[4096], place[4096];
	struct statfs space;
	struct stat st;

	if (!tree_file(path, "cpu"))
		return puts("1 1 1"), 0;
	if (statfs(path, &space) != 0 || stat(path, &st) != 0 || chdir(path) != 0)
		return 98;
	printf("%d %d %d\n", getcwd(place, sizeof(place)) && strcmp(place, path) == 0,
	    access("hz", R_OK) == 0, S_ISDIR(st.st_mode));
	return 0;
}

static int by_waiting(char **args)
{
	puts("waiting");
	fflush(stdout);
	while (access(args[0], F_OK) == 0)
		usleep(10000);
	return 9;
}

static const struct {
	const char *name;
	int (*live)(char **args);
} lives[] = {
    {"return", by_return},
    {"_exit", by_exit_now},
    {"signal", by_signal},
    {"abort", by_abort},
    {"segv", by_segv},
    {"loader", by_loader},
    {"births", by_births},
    {"allocations", by_allocations},
    {"exec", by_exec},
    {"open", open_files},
    {"fork", by_fork},
    {"vfork", by_vfork},
    {"spawn", by_spawn},
    {"daemonize", by_daemonize},
    {"forks", by_many_forks},
    {"prefork", by_prefork},
    {"setuid", by_setuid},
    {"capabilities", by_capabilities},
    {"chroot", by_chroot},
    {"unshare", by_unshare},
    {"other_users", by_other_users},
    {"closefrom", by_closefrom},
    {"dup2", by_dup2},
    {"reading", by_reading},
    {"capture", by_capture},
    {"inside", by_standing_inside},
    {"waiting", by_waiting},
};

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	wait_for_tree();
	for (size_t i = 0; i < sizeof(lives) / sizeof(lives[0]); i++)
		if (strcmp(argv[1], lives[i].name) == 0)
			return lives[i].live(argv + 2);
	return 2;
}
