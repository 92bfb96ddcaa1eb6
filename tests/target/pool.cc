// operator new and delete over memory that nobody gives back: with nomad.cc in one program, or as a library
// of its own. OVER_MALLOC: they end in malloc.
#include <cstddef>
#include <cstdlib>
#include <new>
#include <sys/mman.h>

#ifdef OVER_MALLOC
static void *take(std::size_t size) { return std::malloc(size); }
static void give(void *at) { std::free(at); }
#else
static void *take(std::size_t size)
{
	static std::size_t used;
	static char *pool = static_cast<char *>(
	    mmap(nullptr, 1 << 28, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	std::size_t at = __atomic_fetch_add(&used, (size + 63) / 64 * 64, __ATOMIC_RELAXED);
	return at + size <= 1 << 28 ? pool + at : nullptr;
}
static void give(void *) {}
#endif

void *operator new(std::size_t size)
{
	if (void *at = take(size))
		return at;
	throw std::bad_alloc();
}

void operator delete(void *at) noexcept { give(at); }
void operator delete(void *at, std::size_t) noexcept { give(at); }
