#include "profiles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEEP_STACKS = 100000, DEEP_FRAMES = 100 };
enum { WIDE_STACKS = 50000, WIDE_FRAMES = 30 };
enum { CPU_PERIOD = 10309278 };

static void add_mappings(struct pf_profile *p)
{
	pf_profile_add_mapping(p, 0x400000, 0x500000, 0, "/opt/shop/server",
	    "00112233445566778899aabbccddeeff00112233");
	pf_profile_add_mapping(
	    p, 0x7f0000000000, 0x7f0000100000, 0x1000, "/opt/shop/libcart.so", "abcdef");
}

static const char *name_of(uint64_t address)
{
	switch (address) {
	case AT_MAIN:
		return "main";
	case AT_HANDLE:
		return "handle";
	case AT_ALLOC:
		return "alloc";
	case AT_ADD:
		return "cart::Cart::add";
	case AT_UNNAMED:
		return "[server]";
	}
	return NULL;
}

/* What pf_symbols_resolve() would do, had these files existed. */
static void name_all(struct pf_profile *p)
{
	pf_profile_set_locations(p);
	for (size_t i = 0; i < p->location_count; i++) {
		struct pf_location *l = &p->locations[i];
		const char *name = name_of(l->address);

		if (name)
			pf_profile_add_line(p, l, name,
			    l->address == AT_ADD ? "_ZN4cart4Cart3addEv" : name, "", 0, 0);
	}
	for (size_t i = 0; i < p->mapping_count; i++)
		p->mappings[i].has_functions = true;
}

#define STACK(...) (const uint64_t[]){__VA_ARGS__}, PF_COUNT(((const uint64_t[]){__VA_ARGS__}))
#define VALUES(...)                                                                                \
	(const int64_t[])                                                                          \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

static void make_empty(struct pf_profile *p)
{
	p->name = pf_profile_string(p, "heap");
	pf_profile_add_type(p, "alloc_objects", "count");
	pf_profile_add_type(p, "alloc_space", "bytes");
	pf_profile_add_type(p, "inuse_objects", "count");
	pf_profile_add_type(p, "inuse_space", "bytes");
	pf_profile_set_period(p, "space", "bytes", 524288);
	p->time_ns = 1795240800000000000;
	p->leaf_is_return = true;
	add_mappings(p);
}

static void make_heap(struct pf_profile *p)
{
	make_empty(p);
	pf_profile_comment(p, "proffs 0.1.0");
	pf_profile_comment(p, "7 samples lost");
	pf_profile_add_sample(
	    p, STACK(AT_ALLOC, AT_ADD, AT_HANDLE, AT_MAIN), VALUES(30, 3000, 10, 1000));
	pf_profile_label_num(p, "bytes", 100, NULL);
	pf_profile_add_sample(p, STACK(AT_ALLOC, AT_HANDLE, AT_MAIN), VALUES(5, 500, 5, 500));
	pf_profile_label_num(p, "bytes", 100, NULL);
	pf_profile_add_sample(p, STACK(AT_ALLOC, AT_MAIN), VALUES(2, 64, 0, 0));
	pf_profile_label_num(p, "bytes", 32, NULL);
}

static void make_cpu_head(struct pf_profile *p)
{
	p->name = pf_profile_string(p, "cpu");
	pf_profile_add_type(p, "samples", "count");
	pf_profile_add_type(p, "cpu", "nanoseconds");
	pf_profile_set_period(p, "cpu", "nanoseconds", CPU_PERIOD);
	p->time_ns = 1795240800000000000;
	p->duration_ns = 2000000000;
	add_mappings(p);
}

static void make_cpu(struct pf_profile *p)
{
	make_cpu_head(p);
	pf_profile_add_sample(p, STACK(AT_ADD, AT_HANDLE, AT_MAIN), VALUES(70, 70ll * CPU_PERIOD));
	pf_profile_label_str(p, "thread", "worker");
	pf_profile_label_num(p, "tid", 1234, NULL);
	pf_profile_add_sample(p, STACK(AT_HANDLE, AT_MAIN), VALUES(30, 30ll * CPU_PERIOD));
	pf_profile_label_str(p, "thread", "worker");
	pf_profile_label_num(p, "tid", 1235, NULL);
}

static void make_one(struct pf_profile *p)
{
	make_cpu_head(p);
	pf_profile_add_sample(p, STACK(AT_MAIN), VALUES(1, CPU_PERIOD));
}

static void make_mutex(struct pf_profile *p)
{
	p->name = pf_profile_string(p, "mutex");
	pf_profile_add_type(p, "contentions", "count");
	pf_profile_add_type(p, "delay", "nanoseconds");
	pf_profile_set_period(p, "contentions", "count", 1);
	p->time_ns = 1795240800000000000;
	p->leaf_is_return = true;
	add_mappings(p);
	pf_profile_add_sample(p, STACK(AT_ADD, AT_HANDLE, AT_MAIN), VALUES(3, 500000000));
	pf_profile_add_sample(p, STACK(AT_HANDLE, AT_MAIN), VALUES(2, 1000000));
}

static void add_thread(struct pf_profile *p, int tid, const char *name, const char *state)
{
	if (tid == 10)
		pf_profile_add_sample(p, STACK(AT_MAIN), VALUES(1));
	else
		pf_profile_add_sample(p, STACK(AT_ADD, AT_HANDLE, AT_MAIN), VALUES(1));
	pf_profile_label_str(p, "thread", name);
	pf_profile_label_num(p, "tid", tid, NULL);
	pf_profile_label_str(p, "state", state);
}

static void make_threads(struct pf_profile *p)
{
	p->name = pf_profile_string(p, "threads");
	pf_profile_add_type(p, "threads", "count");
	pf_profile_set_period(p, "threads", "count", 1);
	p->time_ns = 1795240800000000000;
	add_mappings(p);
	add_thread(p, 10, "server", "running");
	add_thread(p, 12, "worker 2", "futex");
	pf_profile_label_num(p, "age_ns", 125000000000, "nanoseconds");
	pf_profile_label_str(p, "created_by", "spawn_worker");
	add_thread(p, 11, "worker 1", "futex");
	pf_profile_label_str(p, "syscall", "futex");
	add_thread(p, 13, "worker\033[2J", "poll");
}

static void make_many(struct pf_profile *p)
{
	make_cpu_head(p);
	for (int i = 0; i < 20; i++) {
		uint64_t pc = 0x410000 + (uint64_t)i * 16;

		pf_profile_add_sample(
		    p, STACK(pc, AT_MAIN), VALUES(40 - i, (40ll - i) * CPU_PERIOD));
	}
	name_all(p);
	for (size_t i = 0; i < p->location_count; i++) {
		struct pf_location *l = &p->locations[i];
		char name[16];

		if (l->address < 0x410000)
			continue;
		snprintf(name, sizeof(name), "f%02d", (int)(l->address - 0x410000) / 16);
		pf_profile_add_line(p, l, name, name, "", 0, 0);
	}
}

/* A sample for each name, under main. */
static void add_named(struct pf_profile *p, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		pf_profile_add_sample(p, STACK(0x420000 + i, AT_MAIN), VALUES(1, CPU_PERIOD));
	name_all(p);
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < p->location_count; k++)
			if (p->locations[k].address == 0x420000 + i)
				pf_profile_add_line(
				    p, &p->locations[k], names[i], names[i], "", 0, 0);
}

/* Names that break careless writers: separators, quotes, control bytes, bytes that are not UTF-8,
 * and one of 10 KiB. */
static void make_nasty(struct pf_profile *p)
{
	char *long_name = malloc(10241);

	if (!long_name)
		abort();
	memset(long_name, 'x', 10240);
	memcpy(long_name, "wide<", 5);
	long_name[10239] = '>';
	long_name[10240] = '\0';
	const char *const names[] = {"semi;colon", "new\nline", "quo\"te's", "esc\033[31mape",
	    "bad\xff\xc0\x80utf8", " leading space", "operator<< <int, char>", long_name};

	make_cpu_head(p);
	pf_profile_add_sample(p, STACK(AT_HANDLE, AT_MAIN), VALUES(1, CPU_PERIOD));
	pf_profile_label_str(p, "thread", "thr\xff\n\"ead");
	pf_profile_add_sample(p, STACK(PF_PC_TRUNCATED, AT_MAIN), VALUES(1, CPU_PERIOD));
	pf_profile_add_sample(p, NULL, 0, VALUES(1, CPU_PERIOD));
	pf_profile_add_sample(p, STACK(0x10000000000, AT_MAIN), VALUES(1, CPU_PERIOD));
	add_named(p, names, PF_COUNT(names));
	free(long_name);
}

static void make_markup(struct pf_profile *p)
{
	static const char *const names[] = {"</script><script>window.broken = 1</script>",
	    "<img src=x onerror=\"window.broken = 2\">", "'\"`${window.broken = 3}\\",
	    "<!-- <script>", "line\xe2\x80\xa8separator", "bad\xff\xc0\x80utf8", "new\nline", "]]>",
	    "&lt;&#60;", "\xef\xbf\xbe\xe2\x80\xae"};

	make_cpu_head(p);
	pf_profile_comment(p, "</script><img src=x onerror=\"window.broken = 4\">");
	add_named(p, names, PF_COUNT(names));
}

/* One mapping of more than 4 GiB: addresses do not fit 32 bits, nor does their distance. */
static void make_far(struct pf_profile *p)
{
	static const uint64_t pcs[] = {0x1000, 0xffffffff, 0x2ffffffff};
	static const char *const names[] = {"low", "middle", "high"};

	pf_profile_init(p);
	p->name = "cpu";
	pf_profile_add_type(p, "samples", "count");
	pf_profile_add_mapping(p, 0x1000, 0x300000000, 0, "/opt/shop/far", "");
	for (size_t i = 0; i < PF_COUNT(pcs); i++)
		pf_profile_add_sample(p, &pcs[i], 1, (const int64_t[]){1});
	pf_profile_set_locations(p);
	for (size_t i = 0; i < PF_COUNT(pcs); i++)
		pf_profile_add_line(p, &p->locations[i], names[i], names[i], "", 0, 0);
	p->mappings[0].has_functions = true;
}

/* "function_410000" for what has no name. */
static void name_numbered(struct pf_profile *p)
{
	name_all(p);
	for (size_t i = 0; i < p->location_count; i++) {
		struct pf_location *l = &p->locations[i];
		char name[32];

		snprintf(name, sizeof(name), "function_%llx",
		    (unsigned long long)(l->address < 0x430000 ? l->address : l->address / 4));
		if (l->line_count == 0)
			pf_profile_add_line(p, l, name, name, "", 0, 0);
	}
}

static void make_deep(struct pf_profile *p)
{
	uint64_t pcs[DEEP_FRAMES];

	make_cpu_head(p);
	for (uint64_t i = 0; i < DEEP_STACKS; i++) {
		for (uint64_t k = 0; k < DEEP_FRAMES; k++)
			pcs[k] = 0x410000 + (k * 101 + (k < 3 ? i % (1000 >> k) : i % 7)) % 0x8000;
		pcs[0] = 0x430000 + i;
		pf_profile_add_sample(p, pcs, DEEP_FRAMES, VALUES(1, CPU_PERIOD));
	}
	name_numbered(p);
}

/* A number that looks drawn by lot, the same every time. */
static uint64_t mixed(uint64_t number)
{
	number = (number ^ number >> 33) * 0xff51afd7ed558ccdull;
	return (number ^ number >> 33) * 0xc4ceb9fe1a85ec53ull >> 20;
}

static void make_wide(struct pf_profile *p)
{
	uint64_t pcs[WIDE_FRAMES];

	make_cpu_head(p);
	for (uint64_t i = 0; i < WIDE_STACKS; i++) {
		/* Of every stack, so many frames from the root are those of the one before. */
		uint64_t same = i ? mixed(i) % (WIDE_FRAMES - 2) : 0;

		for (uint64_t k = same; k < WIDE_FRAMES; k++)
			pcs[WIDE_FRAMES - 1 - k] = 0x410000 + k * 1000 +
						   mixed(i * 31 + k) % (k < 2      ? 3
									   : k < 8 ? 20
										   : 1000);
		pcs[0] = 0x430000 + i;
		pf_profile_add_sample(
		    p, pcs, WIDE_FRAMES, VALUES(1, (int64_t)(1 + mixed(i) % 5) * CPU_PERIOD));
	}
	name_numbered(p);
}

static const struct {
	const char *name;
	void (*make)(struct pf_profile *p);
	bool named; /* already */
} rows[] = {
    {"empty", make_empty},
    {"one", make_one},
    {"cpu", make_cpu},
    {"heap", make_heap},
    {"mutex", make_mutex},
    {"threads", make_threads},
    {"many", make_many, true},
    {"nasty", make_nasty, true},
    {"markup", make_markup, true},
    {"deep", make_deep, true},
    {"far", make_far, true},
    {"wide", make_wide, true},
};

bool make_profile(struct pf_profile *p, const char *name)
{
	pf_profile_init(p);
	for (size_t i = 0; i < PF_COUNT(rows); i++) {
		if (strcmp(rows[i].name, name) != 0)
			continue;
		rows[i].make(p);
		if (!rows[i].named)
			name_all(p);
		return p->error == 0;
	}
	return false;
}
