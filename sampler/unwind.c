/* Where the stack of the calling thread may be read, without a lock, a fault or an allocation.
 *
 *   a thread of glibc    its descriptor, found by the thread pointer, holds the block that the
 *                        stack lies in; where in the descriptor is learned once, from a thread
 *                        whose block is known
 *   the main thread      between the mapping below the stack at the start and the stack's end
 *   anything else        a fiber, a coroutine, an alternate signal stack: foreign. Nothing is
 *                        believed; each page is asked for at the kernel before it is read
 */
#include "sampler/unwind.h"
#include "base/counter.h"
#include "base/kernel.h"
#include "base/profile.h"
#include "sampler/unwind_image.h"
#include "sampler/unwind_memory.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	PAGE_BYTES = 4096,
	FOREIGN_MAX = 1 << 20,
	DESCRIPTOR_BYTES = 2048, /* of it are looked at; it is some 2300 long */
};

/* Learned by pf_unwind_init; zero means not known. */
static uint64_t descriptor_distance PF_WARM; /* of the descriptor from the thread pointer, wraps */
static uint64_t block_offset PF_WARM;        /* in it: address, size, guard; atomic, written last */
static uint64_t robust_offset; /* in it: what the kernel has as the thread's robust list */
static uint64_t main_low PF_WARM, main_high PF_WARM; /* main_high atomic, written last */
static uint64_t main_touched PF_WARM; /* atomic; the main stack is there from here on */

PF_SIGSAFE bool pf_unwind_memory_probe(uint64_t address)
{
	/* The kernel copies the mask in before it looks at `how`, which is wrong on purpose:
	 * -EINVAL where the eight bytes can be read, -EFAULT where not. 90 ns. */
	long rc = pf_kernel(SYS_rt_sigprocmask, UINT32_MAX, address, 0, 8, 0, 0);

	return rc == -EINVAL;
}

PF_SIGSAFE bool pf_unwind_memory_copy(uint64_t address, void *out, size_t size)
{
	struct {
		uint64_t base, length;
	} local = {(uintptr_t)out, size}, remote = {address, size};
	/* Not the process's number: that is of its first thread, which may have ended. */
	long tid = pf_kernel(SYS_gettid, 0, 0, 0, 0, 0, 0);

	return pf_kernel(SYS_process_vm_readv, (uint64_t)tid, (uintptr_t)&local, 1,
		   (uintptr_t)&remote, 1, 0) == (long)size;
}

PF_SIGSAFE bool pf_unwind_memory_extend(struct pf_unwind_memory *memory, uint64_t end)
{
	if (!memory->foreign || end - memory->low > FOREIGN_MAX)
		return false;
	while (memory->high < end) {
		if (!pf_unwind_memory_probe(memory->high))
			return false;
		memory->high = (memory->high | (PAGE_BYTES - 1)) + 1;
	}
	return true;
}

PF_SIGSAFE bool pf_unwind_memory_is_fiber(const struct pf_unwind_memory *memory)
{
	return memory->foreign && __atomic_load_n(&block_offset, __ATOMIC_RELAXED) != 0 &&
	       __atomic_load_n(&main_high, __ATOMIC_RELAXED) != 0;
}

/* The lowest address the program may still use: its red zone, as far as that is there. A popped
 * register may be in it, in the last instructions of a function. */
PF_INLINE uint64_t red_zone(uint64_t sp, uint64_t floor)
{
	uint64_t low = sp - PF_REG_RED_ZONE, page = sp & ~(uint64_t)(PAGE_BYTES - 1);

	if (low < page && (page < PAGE_BYTES || !pf_unwind_memory_probe(low & ~7ull)))
		low = page;
	return low > floor ? low : floor;
}

/* A thread made by glibc, on the stack it was made with. */
PF_INLINE bool bounds_of_thread(uint64_t sp, struct pf_unwind_memory *memory)
{
	uint64_t offset = __atomic_load_n(&block_offset, __ATOMIC_ACQUIRE);
	uint64_t pointer = pf_unwind_thread_pointer();
	uint64_t descriptor = pointer + descriptor_distance;
	const uint64_t *block;

	if (offset == 0 || pointer == 0)
		return false;
	block = (const uint64_t *)(uintptr_t)(descriptor + offset);
	/* The descriptor is at the block's end, above the stack: another thread's block, or memory
	 * that is no descriptor at all, does not look so. */
	if (block[0] == 0 || descriptor - block[0] >= block[1] || sp < block[0] ||
	    sp >= descriptor || block[2] >= block[1])
		return false;
	memory->low = block[0] + block[2];
	memory->high = descriptor & ~7ull;
	if (sp > memory->low)
		memory->low = red_zone(sp, memory->low);
	return true;
}

/* The main thread's stack grows: below what it has touched there is nothing, and above there is. */
PF_INLINE bool bounds_of_main(uint64_t sp, struct pf_unwind_memory *memory)
{
	uint64_t high = __atomic_load_n(&main_high, __ATOMIC_ACQUIRE);
	uint64_t page = sp & ~(uint64_t)(PAGE_BYTES - 1);
	uint64_t touched = __atomic_load_n(&main_touched, __ATOMIC_RELAXED);

	if (sp < main_low || sp >= high)
		return false;
	if (page < touched && pf_unwind_memory_probe(page)) {
		__atomic_store_n(&main_touched, page, __ATOMIC_RELAXED);
		touched = page;
	}
	memory->low = sp > touched ? red_zone(sp, main_low) : touched;
	memory->high = high;
	return true;
}

PF_SIGSAFE void pf_unwind_bounds(uint64_t sp, struct pf_unwind_memory *memory)
{
	memory->copy = NULL;
	memory->foreign = false;
	memory->remote = false;
	if (bounds_of_thread(sp, memory) || bounds_of_main(sp, memory))
		return;
	memory->foreign = true;
	memory->low = memory->high = sp;
	if (sp >= PAGE_BYTES && pf_unwind_memory_probe(sp & ~7ull)) {
		memory->high = (sp | (PAGE_BYTES - 1)) + 1;
		memory->low = red_zone(sp, 0);
	}
}

/* In a thread's descriptor lies the head of its robust list, of which the kernel tells anybody in the
 * process: 0 where it does not, or is told of another list. */
static uint64_t robust_list_of(pid_t tid)
{
	uint64_t head = 0, size = 0;

	return syscall(SYS_get_robust_list, tid, &head, &size) < 0 ? 0 : head;
}

bool pf_unwind_stack_of(pid_t tid, uint64_t *low, uint64_t *high)
{
	uint64_t offset = __atomic_load_n(&block_offset, __ATOMIC_ACQUIRE), head, descriptor;
	struct {
		uint64_t address, size, guard;
	} block;

	if (tid == getpid()) {
		*low = main_low;
		*high = __atomic_load_n(&main_high, __ATOMIC_ACQUIRE);
		return *high != 0;
	}
	head = offset && robust_offset ? robust_list_of(tid) : 0;
	descriptor = head - robust_offset;
	if (head == 0 || !pf_unwind_memory_copy(descriptor + offset, &block, sizeof(block)))
		return false;
	/* The thread may have gone, or have a list of its own: as bounds_of_thread. */
	if (block.address == 0 || descriptor - block.address >= block.size ||
	    block.guard >= block.size)
		return false;
	*low = block.address;
	*high = descriptor;
	return true;
}

static const struct {
	uint8_t marker;
	uint8_t counter;
} ends[] = {
    [PF_UNWIND_TRUNCATED] = {PF_PC_TRUNCATED, PF_COUNTER_STACK_TRUNCATED},
    [PF_UNWIND_NO_INFO] = {PF_PC_NO_UNWIND_INFO, PF_COUNTER_STACK_NO_INFO},
    [PF_UNWIND_BAD_MEMORY] = {PF_PC_BAD_MEMORY, PF_COUNTER_STACK_BAD_MEMORY},
    [PF_UNWIND_LOOP] = {PF_PC_LOOP, PF_COUNTER_STACK_LOOP},
    [PF_UNWIND_UNKNOWN_REGISTER] = {PF_PC_UNKNOWN_REGISTER, PF_COUNTER_STACK_UNKNOWN_REGISTER},
    [PF_UNWIND_REFUSED] = {PF_PC_NO_UNWIND_INFO, PF_COUNTER_STACK_REFUSED},
    [PF_UNWIND_CLOSING] = {PF_PC_NO_UNWIND_INFO, PF_COUNTER_STACK_CLOSING},
    [PF_UNWIND_FIBER] = {PF_PC_FIBER, PF_COUNTER_STACK_FIBER},
};

PF_SIGSAFE uint64_t pf_unwind_marker(enum pf_unwind_end end)
{
	if (end == PF_UNWIND_ROOT)
		return 0;
	pf_count(ends[end].counter);
	return ends[end].marker;
}

/* The main program's first stack pointer, as the loader keeps it. Weak: the loader is loaded anyway,
 * and shall not become a dependency of ours. */
extern void *__libc_stack_end __attribute__((weak));

/* Do these words of a descriptor, {address, size, guard, guard as asked for}, tell the block that ends
 * at `end`? Some glibc count the guard in the size of a stack and some do not: the stack's low end is
 * the block's, or one guard above. */
static bool is_block(const uint64_t *word, uint64_t low, uint64_t end, uint64_t asked_guard)
{
	return word[0] + word[1] == end && word[2] < word[1] && word[3] == asked_guard &&
	       (word[0] == low || word[0] + word[2] == low);
}

/* On the main thread they are known: no block, and as its size the first stack pointer. */
static bool is_block_of_main(const uint64_t *word)
{
	return word[0] == 0 && word[1] == (uintptr_t)__libc_stack_end && word[2] == 0;
}

/* The calling thread's stack as glibc tells it: 0 or -errno. Not the main thread, for which glibc
 * would read a file and allocate. */
static int ask_glibc(uint64_t *low, uint64_t *end, uint64_t *guard)
{
	pthread_attr_t attr;
	void *stack;
	size_t size, guard_size;
	int rc = pthread_getattr_np(pthread_self(), &attr);

	if (rc != 0)
		return -rc;
	rc = pthread_attr_getstack(&attr, &stack, &size);
	if (rc == 0)
		rc = pthread_attr_getguardsize(&attr, &guard_size);
	pthread_attr_destroy(&attr);
	if (rc != 0)
		return -rc;
	*low = (uintptr_t)stack;
	*end = *low + size;
	*guard = guard_size;
	return 0;
}

/* Where a thread's descriptor keeps {address, size, guard} of its block: looked for in our own,
 * whose block is known. */
static void learn_descriptor(void)
{
	uint64_t descriptor = (uint64_t)pthread_self(), low = 0, end = 0, guard = 0, head;
	const uint64_t *word = (const uint64_t *)(uintptr_t)descriptor;
	bool is_main = getpid() == (pid_t)syscall(SYS_gettid);

	if (is_main ? !&__libc_stack_end : ask_glibc(&low, &end, &guard) < 0)
		return;
	for (size_t i = 2; i < DESCRIPTOR_BYTES / sizeof(*word); i++) {
		if (is_main ? !is_block_of_main(&word[i]) : !is_block(&word[i], low, end, guard))
			continue;
		descriptor_distance = descriptor - pf_unwind_thread_pointer();
		head = robust_list_of((pid_t)syscall(SYS_gettid));
		if (head - descriptor < DESCRIPTOR_BYTES)
			robust_offset = head - descriptor;
		__atomic_store_n(&block_offset, i * sizeof(*word), __ATOMIC_RELEASE);
		return;
	}
}

/* From /proc/self/maps: the stack, and the end of what lies below it. */
static void learn_main(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	uint64_t low, high, below = 0;

	if (!maps)
		return;
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx", &low, &high) != 2)
			continue;
		if (strstr(line, "[stack]")) {
			main_low = below;
			main_touched = low;
			__atomic_store_n(&main_high, high, __ATOMIC_RELEASE);
			break;
		}
		below = high;
	}
	fclose(maps);
}

void pf_unwind_fork_child(void)
{
	pf_unwind_image_fork_child();
}

void pf_unwind_init(void)
{
	pf_unwind_image_init();
	if (__atomic_load_n(&block_offset, __ATOMIC_ACQUIRE) == 0)
		learn_descriptor();
	if (__atomic_load_n(&main_high, __ATOMIC_ACQUIRE) == 0)
		learn_main();
}
