/* How long a profile takes to draw, and how much memory.
 *
 * usage: render STACKS VIEW [REPEATS]
 *
 * STACKS distinct stacks of 30 frames, of 3,000 functions in ten files, with names as C++ has them;
 * names are known, as when a tree has been read before. Prints "first_ms repeat_ms peak_kib bytes":
 * CPU time of the first drawing and the median of the others, what drawing added to the peak of the
 * process's memory, and the length of what was drawn.
 *
 *   render views          the names of the views
 *   render cold FILE      names of 1,000 functions of FILE, nothing known before: "ms KiB named"
 *   render lines FILE     source lines of the same, in this process
 *   render write STACKS   the .pprof itself, to stdout
 */
#include "render/render.h"
#include "base/buf.h"
#include "base/profile.h"
#include "render/elf.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DEPTH = 30, FUNCTIONS = 3000, FILES = 10, FILE_BYTES = 1 << 20, COLD = 1000 };

static const struct {
	const char *name;
	pf_render_fn *render;
} views[] = {
    {"pprof", pf_render_pprof},
    {"text", pf_render_text},
    {"folded", pf_render_folded},
    {"svg", pf_render_svg},
    {"html", pf_render_html},
};

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static long status_kib(const char *key)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[128];
	long kib = 0;

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, key, strlen(key)) == 0)
			kib = strtol(line + strlen(key), NULL, 10);
	if (file)
		fclose(file);
	return kib;
}

/* Memory now, and from here on the peak is measured anew. */
static long begin_peak(void)
{
	FILE *file = fopen("/proc/self/clear_refs", "we");

	malloc_trim(0);
	if (file) {
		fputs("5", file);
		fclose(file);
	}
	return status_kib("VmRSS:");
}

static long peak_kib(void)
{
	return status_kib("VmHWM:");
}

static uint64_t address_of(unsigned function)
{
	return 0x7f0000000000ull + (uint64_t)(function % FILES) * 0x1000000 +
	       (uint64_t)(function / FILES) * 0x400 + 0x21;
}

static void make(struct pf_profile *p, size_t stacks)
{
	uint64_t dice = 88172645463325252ull;
	char text[256];

	pf_profile_init(p);
	p->name = "cpu";
	p->time_ns = 1763700000000000000ll;
	pf_profile_add_type(p, "samples", "count");
	pf_profile_add_type(p, "cpu", "nanoseconds");
	pf_profile_set_period(p, "cpu", "nanoseconds", 10309278);
	for (int i = 0; i < FILES; i++) {
		uint64_t start = 0x7f0000000000ull + (uint64_t)i * 0x1000000;

		snprintf(text, sizeof(text), "/usr/lib/x86_64-linux-gnu/libnumber%d.so.1", i);
		pf_profile_add_mapping(p, start, start + FILE_BYTES, 0, text,
		    "00112233445566778899aabbccddeeff00112233");
		p->mappings[i].has_functions = true;
	}
	for (size_t i = 0; i < stacks; i++) {
		uint64_t pcs[DEPTH];

		/* A tree, as programs are: near the root few choices, near the leaf many. The leaf's
		 * part has the stack's number in it, so that no two are the same. */
		for (unsigned k = 0; k < DEPTH; k++) {
			unsigned choices = k < 10 ? FUNCTIONS / 10 : k < 20 ? 30 : 3;

			dice ^= dice << 13, dice ^= dice >> 7, dice ^= dice << 17;
			pcs[k] = address_of((unsigned)(dice % choices) + (k < 10 ? 300 : k * 3));
		}
		pcs[0] = address_of((unsigned)(i % FUNCTIONS));
		pcs[1] = address_of((unsigned)(i / FUNCTIONS));
		pf_profile_add_sample(p, pcs, DEPTH, (const int64_t[]){1, 10309278});
	}
	pf_profile_set_locations(p);
	for (size_t i = 0; i < p->location_count; i++) {
		char system[256];

		snprintf(text, sizeof(text),
		    "shop::cart::Cart<int, std::allocator<int>>::function_%zu", i);
		snprintf(system, sizeof(system), "_ZN4shop4cart4CartIiSaIiEE12function_%zuEv", i);
		pf_profile_add_line(p, &p->locations[i], text, system, "", 0, 0);
	}
	if (p->error)
		exit(1);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static int draw(size_t stacks, const char *view, int repeats)
{
	static const struct pf_query query;
	struct pf_profile p;
	double first = 0, times[64];
	size_t length = 0, at = 0;
	long before, peak = 0;

	while (at < PF_COUNT(views) && strcmp(views[at].name, view) != 0)
		at++;
	if (at == PF_COUNT(views))
		return 2;
	make(&p, stacks);
	before = begin_peak();
	for (int i = 0; i <= repeats && i <= (int)PF_COUNT(times); i++) {
		struct pf_buf out = PF_BUF_INIT;
		double start = now_ms();

		views[at].render(&out, &p, &query);
		if (out.error)
			return 1;
		if (i == 0)
			first = now_ms() - start;
		else
			times[i - 1] = now_ms() - start;
		if (i == 0)
			peak = peak_kib() - before;
		length = out.length;
		pf_buf_finish(&out);
	}
	qsort(times, (size_t)repeats, sizeof(*times), by_size);
	printf("%.2f %.2f %ld %zu\n", first, repeats ? times[repeats / 2] : first, peak, length);
	pf_profile_finish(&p);
	return 0;
}

/* Addresses all over the file's code. */
static void spread(struct pf_profile *p, const char *path)
{
	struct pf_elf_segment code;
	struct pf_elf *elf;

	pf_profile_init(p);
	pf_profile_add_type(p, "samples", "count");
	if (pf_elf_open(&elf, path) != 0 || pf_elf_segments(elf, &code, 1) != 1)
		exit(1);
	pf_profile_add_mapping(
	    p, 0x10000000, 0x10000000 + code.size, code.offset, path, pf_elf_build_id(elf));
	pf_elf_close(elf);
	for (uint64_t i = 0; i < COLD; i++) {
		uint64_t pc = 0x10000000 + code.size / COLD * i;

		pf_profile_add_sample(p, &pc, 1, (const int64_t[]){1});
	}
}

static int name_cold(const char *path, bool lines)
{
	struct pf_symbols *symbols = pf_symbols_create();
	struct pf_lines *finder = pf_lines_create(pf_lines_ask_here, NULL);
	struct pf_profile p, lined;
	size_t named = 0;
	double start;
	long before;

	spread(&p, path);
	before = begin_peak();
	start = now_ms();
	pf_symbols_resolve(symbols, &p);
	if (lines) {
		before = begin_peak();
		start = now_ms();
		pf_lines_take(finder, &p, &lined);
		p.lines = lined.lines;
		p.locations = lined.locations;
	}
	start = now_ms() - start;
	for (size_t i = 0; i < p.location_count; i++) {
		const struct pf_line *l = &p.lines[p.locations[i].line_first];

		named += lines ? l->file[0] != '\0' : l->function[0] != '[';
	}
	printf("%.2f %ld %zu\n", start, peak_kib() - before, named);
	return 0;
}

static int write_pprof(size_t stacks)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;
	struct pf_profile p;

	make(&p, stacks);
	pf_render_pprof(&out, &p, &(struct pf_query){0});
	return fwrite(out.at, out.length, 1, stdout) != 1;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "views") == 0) {
		for (size_t i = 0; i < PF_COUNT(views); i++)
			printf("%s\n", views[i].name);
		return 0;
	}
	if (argc == 3 && strcmp(argv[1], "cold") == 0)
		return name_cold(argv[2], false);
	if (argc == 3 && strcmp(argv[1], "lines") == 0)
		return name_cold(argv[2], true);
	if (argc == 3 && strcmp(argv[1], "write") == 0)
		return write_pprof(strtoul(argv[2], NULL, 10));
	if (argc < 3)
		return 2;
	return draw(strtoul(argv[1], NULL, 10), argv[2], argc > 3 ? atoi(argv[3]) : 5);
}
