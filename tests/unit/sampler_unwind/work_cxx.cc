/* Exceptions thrown, caught, rethrown and cleaned up after, and what the standard library does. */
#include <algorithm>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

extern "C" void work_cxx(int depth, volatile bool *stop);

namespace
{
volatile long sink;

struct Counted {
	std::string name{"a name too long for the short string"};
	~Counted()
	{
		sink = sink + (long)name.size();
	}
};

__attribute__((noinline)) void fall(int height)
{
	Counted counted;

	if (height == 0)
		throw std::runtime_error("down");
	try {
		fall(height - 1);
	} catch (const std::logic_error &) {
		sink = sink + 1;
	}
}

__attribute__((noinline)) void catch_some()
{
	try {
		fall(6);
	} catch (const std::exception &e) {
		sink = sink + e.what()[0];
	}
}

__attribute__((noinline)) void sort_some()
{
	std::map<std::string, int> words;
	std::vector<int> numbers(100);

	for (int i = 0; i < 100; i++) {
		words["word" + std::to_string(i * 7919 % 100)] += i;
		numbers[(size_t)i] = i * 7919 % 101;
	}
	std::sort(numbers.begin(), numbers.end(), [](int a, int b) { return a > b; });
	sink = sink + words.begin()->second + numbers[3];
}

__attribute__((noinline)) void descend(int depth, volatile bool *stop)
{
	Counted counted;

	if (depth > 0) {
		descend(depth - 1, stop);
		return;
	}
	while (!*stop) {
		catch_some();
		sort_some();
	}
}
} // namespace

void work_cxx(int depth, volatile bool *stop)
{
	descend(depth, stop);
}

extern "C" void work_cxx_once()
{
	catch_some();
}
