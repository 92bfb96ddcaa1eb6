#include "base/sort.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* What glibc sorts on its stack. */
enum { SMALL_BYTES = 1024 };

struct sort {
	size_t size;
	pf_compare_with_fn *compare;
	void *arg;
	char *spare; /* for half of them */
};

/* Two runs that are sorted, one behind the other, become one. */
static void merge(const struct sort *s, char *items, size_t first, size_t count)
{
	const char *a = s->spare, *a_end = s->spare + first * s->size;
	const char *b = items + first * s->size, *b_end = items + count * s->size;
	char *out = items;

	memcpy(s->spare, items, first * s->size);
	while (a < a_end && b < b_end) {
		const char **lesser = s->compare(b, a, s->arg) < 0 ? &b : &a;

		memcpy(out, *lesser, s->size);
		*lesser += s->size;
		out += s->size;
	}
	memcpy(out, a, (size_t)(a_end - a)); /* the rest of b is in place */
}

static void sort(const struct sort *s, char *items, size_t count)
{
	size_t first = count / 2;

	if (count < 2 || count * s->size < SMALL_BYTES) {
		qsort_r(items, count, s->size, s->compare, s->arg);
		return;
	}
	sort(s, items, first);
	sort(s, items + first * s->size, count - first);
	merge(s, items, first, count);
}

void pf_sort_with(void *items, size_t count, size_t size, pf_compare_with_fn *compare, void *arg)
{
	struct sort s = {.size = size, .compare = compare, .arg = arg};

	if (count < 2)
		return;
	s.spare = pf_memory_new(count / 2, size);
	if (s.spare)
		sort(&s, items, count);
	else
		qsort_r(items, count, size, compare, arg);
	pf_memory_free(s.spare);
}

static int compare_without(const void *a, const void *b, void *compare)
{
	return (*(pf_compare_fn **)compare)(a, b);
}

void pf_sort(void *items, size_t count, size_t size, pf_compare_fn *compare)
{
	pf_sort_with(items, count, size, compare_without, &compare);
}
