# Alternate stacks: one with a handler of the program's at work that has no room for a second frame of the kernel's,
# and one that several threads have.
load ../helper

# In every way in, with every collector on and a sample each millisecond: as without us.
as_alone() {
	local plain
	plain=$("$TARGET/smallstack" "$1")
	has "$plain" "alone"
	has "$plain" "it came"
	[ "$(grep -c "as given" <<<"$plain")" = 16 ]
	is "$("$PROFFS" run -m "$TREE" --set enable=1 --set cpu/hz=1000 --set wall/hz=100 -- "$TARGET/smallstack" "$1")" "$plain"
}

@test "the stack is registered first" { as_alone stack_first; }

@test "the handler is installed first" { as_alone handler_first; }

@test "a stack that no hook saw: from its first sample on" { as_alone past; }

@test "in a child of fork, from its first sample on" { as_alone child; }

@test "one for all threads: no two handlers of ours work on it" {
	for _ in 1 2 3; do
		is "$("$PROFFS" run -m "$TREE" --set enable=1 --set cpu/hz=1000 --set wall/hz=100 -- "$TARGET/sharedstack"; echo $?)" $'done\n0'
	done
}
