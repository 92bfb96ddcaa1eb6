/* Truth: everything at once, for SECONDS: short threads, modules opened and closed, forks, exceptions,
 * allocation storms, locks, and threads asleep in calls that a signal would interrupt. Each part knows
 * its own answer; what is wrong is said, and the exit code is 1. At the end one line of counts; all of
 * "corrupt", "eintr" and "lost" are 0.
 *
 * usage: chaos SECONDS MODULE...
 */
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <dlfcn.h>
#include <mutex>
#include <poll.h>
#include <semaphore.h>
#include <stdexcept>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

static std::atomic<bool> over{false};
static std::atomic<long> births, openings, forks, throws, blocks, turns, sleeps;
static std::atomic<long> corrupt, eintr, lost;

static void wrong(std::atomic<long> &count, const char *what)
{
	count++;
	fprintf(stderr, "chaos: %s: %s\n", what, strerror(errno));
}

static void give_birth()
{
	while (!over) {
		std::atomic<int> ran{0};
		std::vector<std::thread> young;

		for (int i = 0; i < 8; i++)
			young.emplace_back([&] { ran++; });
		for (auto &t : young)
			t.join();
		if (ran != 8)
			wrong(lost, "threads that did not run");
		births += 8;
		usleep(5000);
	}
}

static void open_modules(char **paths)
{
	for (char **at = paths; !over; at = at[1] ? at + 1 : paths) {
		void *handle = dlopen(*at, RTLD_NOW | RTLD_LOCAL);

		if (!handle)
			wrong(lost, dlerror());
		else
			dlclose(handle);
		openings++;
		usleep(2000);
	}
}

static void fork_children()
{
	while (!over) {
		int code = (int)(forks % 100), status = 0;
		pid_t child = fork();

		if (child == 0) {
			void *block = malloc((size_t)code * 100 + 1);

			free(block);
			if (code % 10 == 0)
				execl("/bin/sh", "sh", "-c", "exit $0",
				    std::to_string(code).c_str(), (char *)nullptr);
			_exit(code);
		}
		if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
		    WEXITSTATUS(status) != code)
			wrong(lost, "a child");
		forks++;
		usleep(20000);
	}
}

[[gnu::noinline]] static int throw_from(int depth)
{
	if (depth == 0)
		throw std::runtime_error("thrown");
	return throw_from(depth - 1) + 1;
}

static void throw_often()
{
	while (!over) {
		try {
			throw_from((int)(throws % 20));
			wrong(lost, "an exception");
		} catch (const std::runtime_error &e) {
			if (strcmp(e.what(), "thrown") != 0)
				wrong(corrupt, "an exception");
		}
		if (++throws % 100 == 0)
			usleep(1000);
	}
}

/* Every block says in its first and last byte whose it is. */
static void storm(unsigned seed)
{
	enum { SLOTS = 2000 };
	struct block {
		unsigned char *at;
		size_t size;
	};
	std::vector<block> slots(SLOTS, block{nullptr, 0});
	auto mark = [](size_t slot) { return (unsigned char)(slot * 31 + 7); };

	while (!over) {
		seed = seed * 1103515245 + 12345;
		size_t slot = seed / 65536 % SLOTS, size = seed / 7 % 4000 + 2;
		block &b = slots[slot];

		if (b.at && (b.at[0] != mark(slot) || b.at[b.size - 1] != mark(slot)))
			wrong(corrupt, "a block");
		if (b.at && seed >> 30 == 0) {
			b.at = (unsigned char *)realloc(b.at, size);
		} else {
			free(b.at);
			b.at = (unsigned char *)(seed >> 30 == 1 ? calloc(1, size) : malloc(size));
		}
		b.size = size;
		b.at[0] = b.at[size - 1] = mark(slot);
		if (++blocks % 5000 == 0)
			usleep(1000);
	}
	for (auto &b : slots)
		free(b.at);
}

static std::mutex lock;
static std::condition_variable changed;
static int turn;

static void take_turns(int mine)
{
	while (!over) {
		std::unique_lock<std::mutex> held(lock);

		changed.wait_for(
		    held, std::chrono::milliseconds(100), [&] { return turn == mine || over; });
		if (turn == mine) {
			turn = !mine;
			turns++;
		}
		changed.notify_one();
	}
}

/* Nobody sends this program a signal, so no call may be interrupted by one. */
static void sleep_in_calls(int kind)
{
	int ends[2];
	sem_t never;
	char byte;

	if (pipe(ends) != 0 || sem_init(&never, 0, 0) != 0)
		return;
	while (!over) {
		struct timespec time = {0, 30000000}, until;
		struct pollfd nothing = {ends[0], POLLIN, 0};
		int rc = 0;

		errno = 0;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec++;
		switch (kind) {
		case 0:
			rc = nanosleep(&time, nullptr);
			break;
		case 1:
			rc = poll(&nothing, 1, 30);
			break;
		case 2:
			rc = sem_timedwait(&never, &until);
			break;
		case 3:
			rc = write(ends[1], "x", 1) == 1 && read(ends[0], &byte, 1) == 1 ? 0 : -1;
			usleep(10000);
			break;
		default:
			rc = usleep(30000);
			break;
		}
		if (rc < 0 && errno == EINTR)
			wrong(eintr, "a call");
		sleeps++;
	}
}

int main(int argc, char **argv)
{
	std::vector<std::thread> all;

	if (argc < 3)
		return 2;
	all.emplace_back(give_birth);
	all.emplace_back(open_modules, argv + 2);
	all.emplace_back(fork_children);
	all.emplace_back(throw_often);
	all.emplace_back(storm, 1);
	all.emplace_back(storm, 2);
	all.emplace_back(take_turns, 0);
	all.emplace_back(take_turns, 1);
	for (int kind = 0; kind < 5; kind++)
		all.emplace_back(sleep_in_calls, kind);
	puts("ready");
	fflush(stdout);
	for (time_t end = time(nullptr) + atoi(argv[1]); time(nullptr) < end;)
		usleep(100000);
	over = true;
	for (auto &t : all)
		t.join();
	printf(
	    "births %ld openings %ld forks %ld throws %ld blocks %ld turns %ld sleeps %ld corrupt %ld "
	    "eintr %ld lost %ld\n",
	    births.load(), openings.load(), forks.load(), throws.load(), blocks.load(),
	    turns.load(), sleeps.load(), corrupt.load(), eintr.load(), lost.load());
	return corrupt || eintr || lost;
}
