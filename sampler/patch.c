#include "sampler/patch.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/lock.h"
#include "sampler/gate.h"
#include "sampler/module.h"
#include "sampler/patch_list.h"
#include "sampler/patch_names.h"
#include "sampler/patch_poke.h"

#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>

/* A slot that was pointed at a hook. */
struct slot {
	void **at;
	void *original; /* what off writes back: the function itself, or a lazy PLT stub */
	void *written;
	struct pf_patch_set *set;
	size_t index; /* of the patch in the set */
};

struct slots {
	struct slot *items;
	size_t count, capacity;
};

enum verdict {
	LEAVE,   /* nothing of ours to do */
	OURS,    /* points at a hook already */
	PATCH,   /* leads to the real function */
	LOADING, /* not relocated yet */
	FOREIGN, /* leads to another function of that name */
	UNTOLD,  /* not bound yet, and the module has a function of that name itself */
};

/* A function slot of the module at hand that has one of our names. */
struct match {
	void **at;
	void *now; /* what is in it */
	enum pf_slot_kind kind;
	bool defined_here; /* the module has a function of that name itself */
	struct pf_patch_name name;
	const struct slot *old; /* from the last scan, where it still points at our hook */
	enum verdict verdict;
};

enum { MATCHES_MAX = 2048, SETTLE_SCANS = 7, LOOKS = 10, IDLE_PER_SCAN = 20 };
static const int64_t SHORTEST_NS = 1 * (int64_t)PF_NS_PER_MS;
static const int64_t LONGEST_NS = 1 * (int64_t)PF_NS_PER_SECOND;
static const int64_t CREDIT_NS = 100 * (int64_t)PF_NS_PER_MS;
static const int64_t DEAF_NS = 10 * (int64_t)PF_NS_PER_MS;
static const int64_t ASK_NS = 100 * (int64_t)PF_NS_PER_MS;

/* All guarded by `lock`, which is taken inside the gate: then no fork finds it held. */
static struct pf_lock lock = PF_LOCK_INIT(PF_LOCK_MAP);
static struct pf_patch_set *sets; /* atomic; every set ever seen */
static struct slots known;
static struct slots spare; /* empty: room for the next scan's, so that it need not be mapped anew */
static struct match matches[MATCHES_MAX];
static unsigned long long seen_adds, seen_subs;
static uint64_t unasked;   /* modules that the last scans found new, unless somebody asks soon */
static int64_t unasked_ns; /* when */
static uint32_t seen_poke;
static unsigned looks_since_poke;
static unsigned scans_since_change; /* up to SETTLE_SCANS */
static int64_t next_scan_ns;        /* when something has changed: not before */
static int64_t next_settling_ns;    /* when nothing has: for what was not finished */
static int64_t credit_ns;           /* what scans may take because the program waits for them */
static int64_t credit_at_ns;        /* when that was reckoned */

/* ---- slot lists: built anew by each scan, so that slots of closed modules drop out ---- */

static bool slots_reserve(struct slots *s, size_t need)
{
	size_t capacity = s->capacity ? s->capacity : 256;
	struct slot *items;

	if (need <= s->capacity)
		return true;
	while (capacity < need)
		capacity *= 2;
	items = pf_arena_map(capacity * sizeof(*items));
	if (!items)
		return false;
	if (s->items) {
		memcpy(items, s->items, s->count * sizeof(*items));
		pf_arena_unmap(s->items, s->capacity * sizeof(*items));
	}
	s->items = items;
	s->capacity = capacity;
	return true;
}

/* Modules and their slots come in the same order each time, so the next one is mostly right. */
static const struct slot *slots_find(const struct slots *s, void **at, size_t *cursor)
{
	for (size_t n = 0; n < s->count; n++) {
		const struct slot *slot = &s->items[*cursor];

		*cursor = *cursor + 1 == s->count ? 0 : *cursor + 1;
		if (slot->at == at)
			return slot;
	}
	return NULL;
}

/* ---- one module ---- */

struct scan {
	struct slots fresh;
	size_t cursor; /* into `known` */
	struct pf_module program;
	unsigned long long adds, subs;
	uint64_t modules, foreign, fresh_modules; /* fresh: nothing of them was patched before */
	bool begun, by_list;
	bool unfinished; /* the loader is at work on a module: come back */
};

/* "The address of malloc" in an executable without PIE is its own PLT entry, for the whole
 * process. That ends in one of the executable's slots. */
static bool is_plt_of_program(const struct scan *scan, const struct match *match)
{
	return match->kind == PF_SLOT_GOT && scan->program.bias == 0 &&
	       pf_module_has(&scan->program, match->now) &&
	       !pf_module_has(&scan->program, *match->name.patch->real);
}

static bool is_told(const struct pf_module *m, const struct pf_patch_set *set)
{
	return (set->told && pf_module_has(m, set->told)) ||
	       (set->skip_rest && pf_module_has(m, set->skip_rest));
}

/* Where does this slot lead? */
static enum verdict judge(
    const struct scan *scan, const struct pf_module *m, const struct match *match)
{
	const struct pf_patch *patch = match->name.patch;

	if (!match->now)
		return LEAVE; /* weak, and not there */
	if (match->now == *patch->real)
		return PATCH;
	if (match->old || match->now == patch->hook)
		return OURS;
	if (match->kind == PF_SLOT_DATA)
		return LEAVE; /* the program's own table: it may hold what it likes */
	if (m->bias != 0 && (uintptr_t)match->now < m->high - m->low)
		return LOADING;
	/* Not bound yet. */
	if (match->kind == PF_SLOT_PLT && pf_module_has(m, match->now))
		return match->defined_here && !is_told(m, match->name.set) ? UNTOLD : PATCH;
	return is_plt_of_program(scan, match) ? LEAVE : FOREIGN;
}

static bool is_skipped(const struct pf_module *m, const struct pf_patch_name *name)
{
	const struct pf_patch_set *set = name->set;

	return (set->skip && pf_module_has(m, set->skip)) ||
	       (set->skip_rest && name->index >= set->rest && pf_module_has(m, set->skip_rest));
}

static void add_match(
    const struct pf_module *m, const ElfW(Rela) * relocation, bool by_list, size_t *count)
{
	enum pf_slot_kind kind = pf_module_slot_kind(relocation);
	void **at = (void **)(m->bias + relocation->r_offset);
	size_t symbol = ELF64_R_SYM(relocation->r_info);
	struct pf_patch_name name;

	if (kind == PF_SLOT_NONE)
		return;
	if (!pf_patch_names_find(m->strings + m->symbols[symbol].st_name, &name))
		return;
	if (!by_list)
		pf_patch_list_add(relocation);
	if ((uintptr_t)at % sizeof(*at) != 0 || !pf_module_may_write(m, at))
		return;
	if (is_skipped(m, &name))
		return;
	if (name.patch->version && !pf_module_has_version(m, symbol, name.patch->version))
		return;
	if (*count == MATCHES_MAX) {
		pf_count(PF_COUNTER_PATCH_REFUSED);
		return;
	}
	matches[(*count)++] = (struct match){.at = at,
	    .kind = kind,
	    .defined_here = m->symbols[symbol].st_shndx != SHN_UNDEF,
	    .name = name};
}

static size_t find_matches(struct scan *scan, const struct pf_module *m)
{
	const ElfW(Rela) * relocation;
	size_t count = 0;

	while (scan->by_list && (relocation = pf_patch_list_next(m)) != NULL)
		add_match(m, relocation, true, &count);
	for (int table = 0; table < 2 && !scan->by_list; table++)
		for (size_t i = 0; i < m->relocation_count[table]; i++)
			add_match(m, &m->relocations[table][i], false, &count);
	for (size_t i = 0; i < count; i++) {
		struct match *match = &matches[i];

		match->now = __atomic_load_n(match->at, __ATOMIC_ACQUIRE);
		if (match->now != *match->name.patch->real)
			match->old = slots_find(&known, match->at, &scan->cursor);
		if (match->old && match->old->written != match->now)
			match->old = NULL;
		match->verdict = judge(scan, m, match);
	}
	return count;
}

/* One call of a set that leads elsewhere (RTLD_DEEPBIND with an allocator of its own) means that
 * the module's other calls do too, bound or not: freeing its blocks with the real free would break
 * the program. So all of the module's slots of this set are left alone. */
static bool set_is_foreign(const struct pf_patch_set *set, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (matches[i].name.set == set &&
		    (matches[i].verdict == FOREIGN || matches[i].verdict == LOADING))
			return true;
	return false;
}

static void point_at_hook(struct scan *scan, struct pf_module *m, const struct match *match)
{
	const struct pf_patch *patch = match->name.patch;
	struct slot slot = {match->at, match->now, patch->hook, match->name.set, match->name.index};
	int rc = 0;

	if (match->old)
		slot.original = match->old->original;
	else if (match->verdict == OURS)
		slot.original = *patch->real; /* its entry was lost: fork cut a scan short */
	if (!slots_reserve(&scan->fresh, scan->fresh.count + 1)) {
		pf_count(PF_COUNTER_PATCH_REFUSED);
		return;
	}
	if (match->now != patch->hook)
		rc = pf_module_write(m, match->at, patch->hook);
	if (rc == -EAGAIN)
		scan->unfinished = true;
	else if (rc < 0)
		pf_count(PF_COUNTER_PATCH_REFUSED);
	if (rc < 0 && match->verdict != OURS)
		return;
	if (rc < 0)
		slot.written = match->now;
	scan->fresh.items[scan->fresh.count++] = slot;
}

/* A slot that is not bound yet, in a module that has a function of that name itself (libstdc++ and
 * operator new, where an allocator brings its own): it will lead where those lead that the module has
 * too and that were bound at once. Where there is none, nobody can tell before the first call. */
static void tell_by_others(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (matches[i].verdict != UNTOLD)
			continue;
		matches[i].verdict = LEAVE;
		for (size_t k = 0; k < count; k++)
			if (matches[k].defined_here && matches[k].kind == PF_SLOT_GOT &&
			    matches[k].name.set == matches[i].name.set &&
			    (matches[k].verdict == PATCH || matches[k].verdict == OURS))
				matches[i].verdict = PATCH;
	}
}

static void patch_module(struct scan *scan, struct pf_module *m)
{
	size_t count = find_matches(scan, m);
	size_t before = scan->fresh.count;
	bool is_new = true; /* nothing of it is patched yet */

	tell_by_others(count);
	for (size_t i = 0; i < count; i++) {
		is_new &= matches[i].verdict != OURS;
		scan->unfinished |= matches[i].verdict == LOADING;
		scan->foreign += matches[i].verdict == FOREIGN;
		if (matches[i].verdict == OURS ||
		    (matches[i].verdict == PATCH && !set_is_foreign(matches[i].name.set, count)))
			point_at_hook(scan, m, &matches[i]);
	}
	scan->fresh_modules += scan->fresh.count != before && is_new;
	pf_module_lock(m);
}

/* ---- all modules ---- */

/* Ourselves, the kernel's, the loader itself, and our own file system half, whose threads are
 * never sampled. */
static bool is_exempt(const struct pf_module *m, const struct dl_phdr_info *info)
{
	static const char own_half[] = "/libproffs-fs.so";
	const char *name = info->dlpi_name ? info->dlpi_name : "";
	const char *base = strrchr(name, '/');

	return pf_module_has(m, (const void *)pf_patch_on) ||
	       pf_module_has(m, (const void *)getauxval(AT_SYSINFO_EHDR)) ||
	       m->bias == getauxval(AT_BASE) ||
	       (base && strncmp(base, own_half, sizeof(own_half) - 1) == 0);
}

/* At the first module: none comes or goes before the last. */
static void begin_list(struct scan *scan)
{
	struct pf_patch_list_of of = {scan->adds, scan->subs, pf_patch_names_hash()};

	if (!scan->begun)
		scan->by_list = pf_patch_list_begin(&of);
	scan->begun = true;
}

static int visit(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct scan *scan = arg;
	struct pf_module m;

	scan->adds = info->dlpi_adds;
	scan->subs = info->dlpi_subs;
	begin_list(scan);
	if (!pf_module_read(&m, info))
		return 0;
	if (!scan->program.segments)
		scan->program = m; /* the first is the executable */
	if (is_exempt(&m, info))
		return 0;
	scan->modules++;
	patch_module(scan, &m);
	return 0;
}

/* If nobody waits for it, what it finds new may have been running for a while. */
static int scan_locked(bool waited_for)
{
	struct scan scan = {.fresh = spare};
	bool ours = pf_gate_forget_opens();
	struct slots old = known;
	int64_t start_ns = pf_clock_now_ns();
	int64_t pause_ns, settling_ns;

	spare = (struct slots){0}; /* a child whose fork cuts this scan short has none */
	for (struct pf_patch_set *set = sets; set; set = set->next) {
		if (set->on && set->resolve)
			set->resolve();
		if (set->on)
			pf_patch_names_add(set);
	}
	/* Room for what is known already, lest a slot be forgotten while it points at us. */
	if (!slots_reserve(&scan.fresh, known.count + 1)) {
		pf_patch_names_clear();
		spare = scan.fresh;
		return -ENOMEM;
	}
	dl_iterate_phdr(visit, &scan);
	if (!waited_for && !ours && !pf_gate_opens() && scan.fresh_modules) {
		unasked += scan.fresh_modules;
		unasked_ns = start_ns;
	}
	pf_patch_list_end();
	if (scan.unfinished)
		pf_patch_list_drop(); /* look at all of it again when it is there */
	pf_patch_names_clear();
	known = scan.fresh;
	spare = (struct slots){.items = old.items, .capacity = old.capacity};
	scans_since_change++;
	if (scan.adds != seen_adds || scan.subs != seen_subs || scan.unfinished)
		scans_since_change = 0;
	seen_adds = scan.adds;
	seen_subs = scan.subs;
	/* However often the program opens and closes modules, scanning stays a small part. */
	pause_ns = IDLE_PER_SCAN * (pf_clock_now_ns() - start_ns);
	if (pause_ns < SHORTEST_NS)
		pause_ns = SHORTEST_NS;
	settling_ns = SHORTEST_NS << 2 * scans_since_change;
	next_scan_ns = start_ns + pause_ns;
	next_settling_ns = start_ns + (pause_ns > settling_ns ? pause_ns : settling_ns);
	pf_counter_set(PF_COUNTER_PATCH_SLOTS, known.count);
	pf_counter_set(PF_COUNTER_PATCH_MODULES, scan.modules);
	pf_counter_set(PF_COUNTER_PATCH_FOREIGN, scan.foreign);
	return 0;
}

/* ---- off ---- */

static int restore(struct dl_phdr_info *info, size_t size, void *arg)
{
	const struct pf_patch_set *set = arg;
	struct pf_module m;

	if (!pf_module_read(&m, info))
		return 0;
	for (size_t i = 0; i < known.count; i++) {
		struct slot *slot = &known.items[i];

		if (slot->set != set || !pf_module_has(&m, slot->at) ||
		    !pf_module_may_write(&m, slot->at))
			continue;
		/* Whoever wrote another value since then keeps it. */
		if (__atomic_load_n(slot->at, __ATOMIC_ACQUIRE) != slot->written)
			continue;
		if (pf_module_write(&m, slot->at, slot->original) < 0)
			pf_count(PF_COUNTER_PATCH_REFUSED);
	}
	pf_module_lock(&m);
	return 0;
}

static void forget_slots(const struct pf_patch_set *set)
{
	size_t kept = 0;

	for (size_t i = 0; i < known.count; i++)
		if (known.items[i].set != set)
			known.items[kept++] = known.items[i];
	known.count = kept;
	pf_counter_set(PF_COUNTER_PATCH_SLOTS, known.count);
}

/* ---- the front door ---- */

static void enter(void)
{
	pf_gate_enter();
	pf_lock_take(&lock);
}

static void leave(void)
{
	pf_lock_give(&lock);
	pf_gate_leave();
}

static void register_locked(struct pf_patch_set *set)
{
	for (struct pf_patch_set *s = sets; s; s = s->next)
		if (s == set)
			return;
	set->next = sets;
	__atomic_store_n(&sets, set, __ATOMIC_RELEASE);
}

PF_HOOK const struct pf_patch_set *pf_patch_sets(void)
{
	return __atomic_load_n(&sets, __ATOMIC_ACQUIRE);
}

static void off_locked(struct pf_patch_set *set)
{
	dl_iterate_phdr(restore, set);
	forget_slots(set);
	set->on = 0;
}

/* The hooks on dlopen are on while anybody's are. */
static bool others_on_locked(void)
{
	for (struct pf_patch_set *s = sets; s; s = s->next)
		if (s->on && s != &pf_patch_poke_set && s != &pf_patch_ask_set)
			return true;
	return false;
}

int pf_patch_on(struct pf_patch_set *set)
{
	int rc;

	pf_patch_poke_resolve();
	enter();
	register_locked(set);
	register_locked(&pf_patch_poke_set);
	register_locked(&pf_patch_ask_set);
	if (!set->on || !pf_patch_poke_set.on || !pf_patch_ask_set.on)
		pf_patch_list_drop();
	set->on = pf_patch_poke_set.on = pf_patch_ask_set.on = 1;
	scans_since_change = 0; /* lazy binding on its way may overwrite what we write */
	rc = scan_locked(true);
	if (rc < 0)
		set->on = 0;
	leave();
	return rc;
}

int pf_patch_off(struct pf_patch_set *set)
{
	enter();
	if (set->on)
		off_locked(set);
	if (pf_patch_poke_set.on && !others_on_locked()) {
		off_locked(&pf_patch_poke_set);
		off_locked(&pf_patch_ask_set);
	}
	leave();
	return 0;
}

static int look_at_counts(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct scan *scan = arg;

	scan->adds = info->dlpi_adds;
	scan->subs = info->dlpi_subs;
	return 1; /* the first module is enough */
}

/* Scans that the program waits for are not spread as the others: a hundred modules may come at once. But
 * in the long run they take no more of the time. */
static bool may_scan_at_once_locked(int64_t now)
{
	credit_ns += (now - credit_at_ns) / IDLE_PER_SCAN;
	if (credit_ns > CREDIT_NS)
		credit_ns = CREDIT_NS;
	credit_at_ns = now;
	return credit_ns > 0;
}

static void scan_at_once_locked(void)
{
	int64_t before_ns = pf_clock_ns(CLOCK_THREAD_CPUTIME_ID);

	scan_locked(true);
	credit_ns -= pf_clock_ns(CLOCK_THREAD_CPUTIME_ID) - before_ns;
}

/* Who asks soon for a function of what was found has not called it before: it was found in time. */
static void settle_unasked_locked(bool is_asked, int64_t now_ns)
{
	if (!is_asked && now_ns < unasked_ns + ASK_NS)
		return;
	if (!is_asked && unasked)
		pf_count_many(PF_COUNTER_MODULES_UNASKED, unasked);
	unasked = 0;
}

static int64_t refresh_locked(bool hurry)
{
	struct scan counts = {.adds = 0};
	uint32_t poke = __atomic_load_n(&pf_patch_poke, __ATOMIC_ACQUIRE);
	int64_t now = pf_clock_now_ns();
	int64_t next_look_ns;
	bool changed;

	settle_unasked_locked(hurry, now);
	dl_iterate_phdr(look_at_counts, &counts);
	changed = counts.adds != seen_adds || counts.subs != seen_subs;
	hurry = hurry && (changed || scans_since_change < SETTLE_SCANS);
	if (hurry && !may_scan_at_once_locked(now)) {
		hurry = false;
		if (changed)
			pf_count(PF_COUNTER_MODULES_LATE);
	}
	if (hurry) {
		scan_at_once_locked();
		changed = false;
	} else if (changed ? now >= next_scan_ns
			   : scans_since_change < SETTLE_SCANS && now >= next_settling_ns) {
		scan_locked(false);
		changed = false;
	}
	/* The dlopen that poked us is only beginning: look often for a while. */
	looks_since_poke = poke != seen_poke ? 0 : looks_since_poke + (looks_since_poke < LOOKS);
	seen_poke = poke;
	next_look_ns = now + (SHORTEST_NS << looks_since_poke);
	if (changed && next_scan_ns < next_look_ns)
		next_look_ns = next_scan_ns;
	if (scans_since_change < SETTLE_SCANS && next_settling_ns < next_look_ns)
		next_look_ns = next_settling_ns;
	return next_look_ns - now;
}

int64_t pf_patch_refresh(void)
{
	uint32_t ticket = pf_patch_poke_asked();
	int64_t again = LONGEST_NS, deaf_until_ns;

	enter();
	if (others_on_locked())
		again = refresh_locked(!pf_patch_poke_is_answered(ticket));
	deaf_until_ns = credit_ns < 0 ? credit_at_ns + DEAF_NS : 0;
	leave();
	pf_patch_poke_answer(ticket, deaf_until_ns);
	if (again < SHORTEST_NS)
		return SHORTEST_NS;
	return again < LONGEST_NS ? again : LONGEST_NS;
}

void pf_patch_fork_child(void)
{
	pf_lock_reset(&lock);
}
