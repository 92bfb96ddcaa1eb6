/* Threads made through the C++ library: once "ready" is printed, 1 was created by by_thread, 2 by
 * by_vector, 1 by by_async, and all of them wait. Without optimization the library has up to a dozen
 * frames of its own between these and pthread_create. */
#include <cstdio>
#include <future>
#include <semaphore.h>
#include <thread>
#include <unistd.h>
#include <vector>

static sem_t up, never;

static void stay()
{
	sem_post(&up);
	while (sem_wait(&never) != 0) {
	}
}

__attribute__((noinline)) std::thread by_thread()
{
	return std::thread(stay);
}

__attribute__((noinline)) void by_vector(std::vector<std::thread> &all)
{
	all.emplace_back(stay);
	all.emplace_back(stay);
}

__attribute__((noinline)) std::future<void> by_async()
{
	return std::async(std::launch::async, stay);
}

int main()
{
	std::vector<std::thread> all;

	sem_init(&up, 0, 0);
	sem_init(&never, 0, 0);
	std::thread one = by_thread();
	by_vector(all);
	std::future<void> later = by_async();
	for (int i = 0; i < 4; i++)
		sem_wait(&up);
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
