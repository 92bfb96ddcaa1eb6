/* A library whose functions the tests look up: exported, static, with aliases, with mangled names,
 * without a size. Built as it is, stripped, stripped with a debug file, stripped with .gnu_debugdata.
 */
#define EXPORT __attribute__((visibility("default"), noinline, used))

int shop_exported(int x);
int __shop_underscored(int x);
int shop_weak(int x);
int shop_cxx(int x) __asm__("_ZN4shop4Cart3addEv");
int shop_rust(int x) __asm__("_ZN4shop4cart3add17h0123456789abcdefE");
void *shop_address(int which);

static __attribute__((noinline, used)) int shop_static(int x)
{
	__asm__ volatile("" : "+r"(x));
	return x * 3;
}

EXPORT int shop_exported(int x)
{
	__asm__ volatile("" : "+r"(x));
	return shop_static(x) + 1;
}

/* One function of three names, as libc has them: the local one first in the table. */
EXPORT int __shop_underscored(int x)
{
	__asm__ volatile("" : "+r"(x));
	return x + 7;
}
extern __typeof(__shop_underscored) shop_weak
    __attribute__((weak, visibility("default"), alias("__shop_underscored")));
static __typeof(__shop_underscored) a_local_name __attribute__((used, alias("__shop_underscored")));

EXPORT int shop_cxx(int x)
{
	__asm__ volatile("" : "+r"(x));
	return x + 8;
}

EXPORT int shop_rust(int x)
{
	__asm__ volatile("" : "+r"(x));
	return x + 9;
}

/* As hand-written assembly often is: a function without a size, up to the next one. */
__asm__(".text\n"
	".type shop_sizeless, @function\n"
	"shop_sizeless: nop; nop; nop; nop; nop; nop; nop; nop\n"
	".type shop_after, @function\n"
	"shop_after: nop; ret\n"
	".size shop_after, . - shop_after\n"
	/* No symbol at all covers these. */
	"shop_nothing: nop; nop; nop; nop\n");
extern char sizeless __asm__("shop_sizeless") __attribute__((visibility("hidden")));
extern char after __asm__("shop_after") __attribute__((visibility("hidden")));
extern char nothing __asm__("shop_nothing") __attribute__((visibility("hidden")));

EXPORT void *shop_address(int which)
{
	switch (which) {
	case 0:
		return (void *)shop_exported;
	case 1:
		return (void *)shop_static;
	case 2:
		return (void *)__shop_underscored;
	case 3:
		return (void *)shop_cxx;
	case 4:
		return (void *)shop_rust;
	case 5:
		return &sizeless;
	case 6:
		return &after;
	default:
		return &nothing;
	}
}
