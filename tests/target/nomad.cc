// Truth: 1,000 blocks of 1,000 bytes by new in stays(), 1,000 of 100 by new[] in arrays(), and 1,000 of 500
// in goes(), which are deleted; then "ready". One that cannot be had throws. It calls no malloc itself.
#include <cstddef>
#include <new>
#include <unistd.h>

static char *volatile kept[2000];

__attribute__((noinline)) static void stays(int i)
{
	kept[i] = static_cast<char *>(::operator new(1000));
	*kept[i] = 1;
}

__attribute__((noinline)) static void arrays(int i)
{
	kept[1000 + i] = new char[100];
	*kept[1000 + i] = 1;
}

__attribute__((noinline)) static char *goes()
{
	char *at = static_cast<char *>(::operator new(500));
	*at = 1;
	return at;
}

int main()
{
	bool thrown = false;

	for (int i = 0; i < 1000; i++) {
		stays(i);
		arrays(i);
		::operator delete(goes());
	}
	try {
		*static_cast<volatile char *>(::operator new(std::size_t{1} << 62)) = 1;
	} catch (const std::bad_alloc &) {
		thrown = true;
	}
	if (thrown && write(1, "ready\n", 6) == 6)
		for (;;)
			pause();
	return 1;
}
