/* host: a program that does everything we have hooks for, again and again, and checks each time that
 * it got what it asked for. It says `all well` and ends with 7 when its standard input ends, whoever
 * watches it and whatever becomes of them.
 */
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <dlfcn.h>
#include <mutex>
#include <pthread.h>
#include <stdexcept>
#include <sys/wait.h>
#include <unistd.h>

static std::atomic<bool> over;
static std::atomic<int> failures;

static void need(bool well, const char *what)
{
	if (well)
		return;
	if (failures++ < 20) {
		fprintf(stderr, "host: %s: %s\n", what, strerror(errno));
		fflush(stderr);
	}
}

static void nap()
{
	struct timespec time = {0, 2000000};

	errno = 1234;
	need(nanosleep(&time, nullptr) == 0, "nanosleep");
	need(errno == 1234, "errno after nanosleep");
}

static void *allocate(void *)
{
	enum { KEPT = 64 };
	unsigned char *kept[KEPT] = {nullptr};
	size_t sizes[KEPT] = {0};

	for (unsigned i = 0; !over; i++) {
		unsigned at = i % KEPT;
		size_t size = i * 7919u % 60000 + 1;

		need(!kept[at] || (kept[at][0] == (unsigned char)at &&
				      kept[at][sizes[at] - 1] == (unsigned char)at),
		    "memory is not what it was");
		free(kept[at]);
		errno = 1234;
		kept[at] = static_cast<unsigned char *>(malloc(size));
		need(kept[at] && errno == 1234, "malloc");
		if (!kept[at])
			break;
		sizes[at] = size;
		kept[at][0] = kept[at][size - 1] = (unsigned char)at;
		if (at == 0)
			nap();
	}
	for (unsigned char *one : kept)
		free(one);
	return nullptr;
}

static std::mutex lock;
static long guarded, also_guarded;

static void *contend(void *)
{
	while (!over) {
		for (int i = 0; i < 100; i++) {
			std::lock_guard<std::mutex> held(lock);

			need(guarded == also_guarded, "two in the lock");
			guarded++;
			for (volatile int n = 0; n < 300; n = n + 1)
				;
			also_guarded++;
		}
		nap();
	}
	return nullptr;
}

__attribute__((noinline)) static void raise_it(int number)
{
	throw std::runtime_error(std::to_string(number));
}

static void *throw_and_catch(void *)
{
	for (int i = 0; !over; i++) {
		try {
			raise_it(i);
			need(false, "throw");
		} catch (const std::runtime_error &e) {
			need(atoi(e.what()) == i, "what was thrown");
		}
		if (i % 10 == 0)
			nap();
	}
	return nullptr;
}

static void *born(void *arg)
{
	free(malloc(100000));
	return arg;
}

static void bear()
{
	pthread_t thread;
	void *back = nullptr;

	need(pthread_create(&thread, nullptr, born, &lock) == 0, "pthread_create");
	need(pthread_join(thread, &back) == 0 && back == &lock, "pthread_join");
}

static void beget()
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		free(malloc(100000));
		_exit(5);
	}
	need(pid > 0 && waitpid(pid, &status, 0) == pid, "waitpid");
	need(WIFEXITED(status) && WEXITSTATUS(status) == 5, "the child's end");
}

static void load()
{
	void *library = dlopen("libresolv.so.2", RTLD_NOW | RTLD_LOCAL);

	need(library && dlsym(library, "ns_get16"), "dlopen");
	if (library)
		need(dlclose(library) == 0, "dlclose");
}

static void *all_else(void *)
{
	for (unsigned i = 0; !over; i++) {
		bear();
		if (i % 10 == 0)
			load();
		if (i % 50 == 0)
			beget();
		nap();
		nap();
	}
	return nullptr;
}

int main()
{
	void *(*const lives[])(void *) = {allocate, contend, contend, throw_and_catch, all_else};
	pthread_t threads[5];
	char byte;
	ssize_t got;

	for (int i = 0; i < 5; i++)
		need(pthread_create(&threads[i], nullptr, lives[i], nullptr) == 0, "a thread");
	while ((got = read(STDIN_FILENO, &byte, 1)) > 0)
		;
	need(got == 0, "read");
	over = true;
	for (pthread_t thread : threads)
		need(pthread_join(thread, nullptr) == 0, "its end");
	puts(failures ? "not well" : "all well");
	return 7;
}
