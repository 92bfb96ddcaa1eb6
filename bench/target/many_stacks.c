/* Many stacks: a profile of its own ("leaves") with a stack for each leaf of a binary tree of calls,
 * so that custom/leaves.folded is large: 64 MiB at a depth of 16. Its tree is at argv[1]; prints "ready".
 */
#include <proffs/proffs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct proffs_profile *leaves;
static uintptr_t key;

#define DOWN __attribute__((noinline)) static int
DOWN a_function_of_the_left_hand_side_of_the_tree_of_a_bench(int depth);

DOWN a_function_of_the_right_hand_side_of_the_tree_of_a_bench(int depth)
{
	if (depth == 0)
		return proffs_profile_add(leaves, (void *)++key) ? 1 : 0;
	return a_function_of_the_left_hand_side_of_the_tree_of_a_bench(depth - 1) +
	       a_function_of_the_right_hand_side_of_the_tree_of_a_bench(depth - 1) + 1;
}

DOWN a_function_of_the_left_hand_side_of_the_tree_of_a_bench(int depth)
{
	if (depth == 0)
		return proffs_profile_add(leaves, (void *)++key) ? 1 : 0;
	return a_function_of_the_left_hand_side_of_the_tree_of_a_bench(depth - 1) +
	       a_function_of_the_right_hand_side_of_the_tree_of_a_bench(depth - 1) + 2;
}

int main(int argc, char **argv)
{
	struct proffs_options options = {.size = sizeof(options), .mount = argv[1]};

	if (argc != 3 || proffs_profile_new(&leaves, "leaves") != 0)
		return 2;
	if (a_function_of_the_left_hand_side_of_the_tree_of_a_bench(atoi(argv[2])) < 0)
		return 3;
	if (proffs_start(&options) != 0)
		return 4;
	puts("ready");
	fflush(stdout);
	pause();
}
