/* Modules opened and closed as fast as can be, in one malloc arena, while everybody is sampled at
 * 4000 Hz: where stock unwinders deadlock within a fraction of a second (the loader frees memory with
 * its lock held, and they take that lock in the handler).
 *
 * A second reader walks copies of the opener's stack that are out of date: their modules are being
 * closed at that moment.
 *
 * A third runs code without unwind info, above which its frame pointer shows frames in such a module
 * that it does not run in: so looks what is left on a stack. Whoever believes it reads unwind info that
 * goes away under his eyes.
 *
 * The right answer: it does not hang, nothing faults, and every stack is complete but those that met
 * a module just being closed, which say so, and those whose leaf is _init or _fini of a module: nobody
 * writes notes for these. PF_STRESS_SECONDS=60 for the long run.
 */
#include "base/counter.h"
#include "base/profile.h"
#include "sampler/stack.h"
#include "sampler/unwind.h"
#include "sampler/unwind_memory.h"
#include "sampling.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum { PERIOD_NS = 250 * 1000, ALLOCATORS = 3, COPY_BYTES = 16 * 1024, PCS = 200 };

static volatile bool stop;
static bool announced; /* is each dlclose announced to the unwinder? */
static uint64_t opened, captures, complete, copies;
static __thread bool is_opener;
static bool flushes; /* before each capture: it finds no row and reads the module */

/* The opener's stack as some handler saw it. Even: at rest. */
static uint32_t copy_version;
static struct pf_unwind_regs copy_regs;
static struct pf_unwind_memory copy_memory;
static char copy_bytes[COPY_BYTES];

static void leave_copy(const ucontext_t *context)
{
	uint64_t size;

	__atomic_fetch_add(&copy_version, 1, __ATOMIC_ACQ_REL);
	pf_unwind_from_context(&copy_regs, context);
	pf_unwind_bounds(copy_regs.value[PF_REG_SP], &copy_memory);
	size = copy_memory.high - copy_memory.low;
	size = size < COPY_BYTES ? size : COPY_BYTES;
	/* Past the eyes of AddressSanitizer, to whom other functions' frames are out of bounds. */
	if (!pf_unwind_memory_copy(copy_memory.low, copy_bytes, size))
		abort();
	copy_memory.high = copy_memory.low + size;
	__atomic_fetch_add(&copy_version, 1, __ATOMIC_ACQ_REL);
}

static void on_sample(int number, siginfo_t *info, void *context)
{
	int saved = errno;
	const uint64_t *pcs;
	uint64_t last;
	uint32_t count;

	if (flushes)
		pf_unwind_flush();
	count = pf_stack_read(pf_stack_capture_context(context), &pcs);
	last = pcs[count - 1];

	__atomic_fetch_add(&captures, 1, __ATOMIC_RELAXED);
	if (last >= PF_PC_MARKER_END)
		__atomic_fetch_add(&complete, 1, __ATOMIC_RELAXED);
	if (is_opener)
		leave_copy(context);
	errno = saved;
}

static timer_t arm(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 3};
	struct itimerspec every = {{0, PERIOD_NS}, {0, PERIOD_NS}};
	timer_t timer;

	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
	    timer_settime(timer, 0, &every, NULL) != 0)
		abort();
	return timer;
}

static uint32_t spin(void)
{
	volatile uint32_t n = 0;

	while (n < 20000)
		n++;
	return n;
}

static void close_module(void *module)
{
	if (announced)
		pf_unwind_close_begin();
	dlclose(module);
	if (announced)
		pf_unwind_close_end();
}

/* Two modules by turns: what is at an address is not what was there. */
static void *run_opener(void *arg)
{
	timer_t timer;

	is_opener = true;
	timer = arm();
	while (!stop) {
		void *module = dlopen(getenv("PF_PLUGIN_MODULE"), RTLD_NOW | RTLD_LOCAL);

		((uint32_t(*)(uint32_t(*)(void)))dlsym(module, "plugin_call"))(spin);
		close_module(module);
		module = dlopen(getenv("PF_LAZY_MODULE"), RTLD_LAZY | RTLD_LOCAL);
		((void (*)(void))dlsym(module, "lazy_run"))();
		close_module(module);
		opened += 2;
	}
	timer_delete(timer);
	return NULL;
}

static void *run_allocator(void *arg)
{
	timer_t timer = arm();

	while (!stop) {
		char *volatile some = malloc((size_t)(rand() % 2000));

		if (some)
			some[0] = 1;
		free(some);
	}
	timer_delete(timer);
	return NULL;
}

static void *run_copies(void *arg)
{
	static char bytes[COPY_BYTES];
	struct pf_unwind_memory memory;
	struct pf_unwind_regs regs;
	enum pf_unwind_end end;
	uint64_t pcs[PCS];
	uint32_t version;

	while (!stop) {
		version = __atomic_load_n(&copy_version, __ATOMIC_ACQUIRE);
		regs = copy_regs;
		memory = copy_memory;
		memcpy(bytes, copy_bytes, sizeof(bytes));
		memory.copy = bytes;
		if (version == 0 || version % 2 != 0 ||
		    __atomic_load_n(&copy_version, __ATOMIC_ACQUIRE) != version)
			continue;
		if (!announced)
			pf_unwind_flush(); /* no row is kept: read all of it again */
		pf_unwind_cfi(&regs, &memory, pcs, PCS, &end);
		copies++;
	}
	return NULL;
}

/* ---- frames that are none ---- */

static void *_Atomic plugin_return; /* where the plugin calls, as it was last */

#if defined(__x86_64__)

/* Spins with a frame pointer that is whatever the caller likes, and no note tells how. */
__asm__(".text\n.type spin_without_notes, @function\n"
	"spin_without_notes:\n"
	"push %rbp\n"
	"mov %rdi, %rbp\n"
	"1: dec %rsi\n"
	"jne 1b\n"
	"pop %rbp\n"
	"ret\n"
	".size spin_without_notes, .-spin_without_notes\n");
void spin_without_notes(void *frame, uint64_t turns);

static uint32_t note_return(void)
{
	plugin_return = __builtin_return_address(0);
	return 0;
}

#endif

static void *run_believer(void *arg)
{
	timer_t timer = arm();

#if defined(__x86_64__)
	while (!stop) {
		uint64_t frame[64] = {0};

		frame[0] = (uintptr_t)&frame[2];
		frame[1] = (uintptr_t)plugin_return;
		spin_without_notes(frame, 200000);
	}
#endif
	timer_delete(timer);
	return NULL;
}

static void *run_quick_opener(void *arg)
{
#if defined(__x86_64__)
	while (!stop) {
		void *module = dlopen(getenv("PF_PLUGIN_MODULE"), RTLD_NOW | RTLD_LOCAL);

		((uint32_t(*)(uint32_t(*)(void)))dlsym(module, "plugin_call"))(note_return);
		dlclose(module);
		opened++;
	}
#endif
	return NULL;
}

static void frames_left_of_a_module_that_nobody_tells_us_is_closed(void **state)
{
	const char *asked = getenv("PF_STRESS_SECONDS");
	struct sigaction action = {.sa_sigaction = on_sample, .sa_flags = SA_SIGINFO | SA_RESTART};
	pthread_t threads[2];

#if !defined(__x86_64__)
	skip();
#endif
	stop = false;
	flushes = true;
	opened = captures = 0;
	sigfillset(&action.sa_mask);
	sigaction(SIGRTMIN + 3, &action, NULL);
	pthread_create(&threads[0], NULL, run_quick_opener, NULL);
	pthread_create(&threads[1], NULL, run_believer, NULL);
	sleep(asked ? (unsigned)atoi(asked) : 3);
	stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	flushes = false;
	print_message("# %lu modules, %lu captures\n", opened, captures);
	assert_true(opened > 100 && captures > 100);
}

/* Stacks that ended in `counter`'s way since the last call. */
static uint64_t since(enum pf_counter counter)
{
	static uint64_t before[PF_COUNTER_COUNT];
	uint64_t now = pf_counter_get(counter), grown = now - before[counter];

	before[counter] = now;
	return grown;
}

/* How many stacks ended otherwise than they should. */
static uint64_t stress(void)
{
	const char *asked = getenv("PF_STRESS_SECONDS");
	struct sigaction action = {.sa_sigaction = on_sample, .sa_flags = SA_SIGINFO | SA_RESTART};
	pthread_t threads[ALLOCATORS + 2];
	uint64_t closing, bare;

	stop = false;
	opened = captures = complete = copies = 0;
	sigfillset(&action.sa_mask);
	sigaction(SIGRTMIN + 3, &action, NULL);
	pthread_create(&threads[0], NULL, run_opener, NULL);
	pthread_create(&threads[1], NULL, run_copies, NULL);
	for (int i = 0; i < ALLOCATORS; i++)
		pthread_create(&threads[2 + i], NULL, run_allocator, NULL);
	sleep(asked ? (unsigned)atoi(asked) : 3);
	stop = true;
	for (int i = 0; i < ALLOCATORS + 2; i++)
		pthread_join(threads[i], NULL);
	closing = since(PF_COUNTER_STACK_CLOSING);
	bare = since(PF_COUNTER_STACK_NO_INFO);
	print_message(
	    "# %lu modules, %lu captures: %lu complete, %lu at a closing module, %lu in code "
	    "without notes; %lu copies\n",
	    opened, captures, complete, closing, bare, copies);
	assert_true(opened > 100 && captures > 1000 && copies > 100);
	assert_true(complete > captures / 2);
	return captures - complete - closing - bare;
}

static void closes_that_are_announced(void **state)
{
	announced = true;
	assert_int_equal(stress(), 0);
}

static void closes_that_nobody_told_us_of(void **state)
{
	announced = false;
	stress();
}

static int set_up(void **state)
{
	sampling_in_thread(pf_stack_init);
	return getenv("PF_PLUGIN_MODULE") && getenv("PF_LAZY_MODULE") ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(closes_that_are_announced),
	    cmocka_unit_test(closes_that_nobody_told_us_of),
	    cmocka_unit_test(frames_left_of_a_module_that_nobody_tells_us_is_closed),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
