# Does check-format see a file that clang-format would write otherwise?

setup() {
	root=$BATS_TEST_DIRNAME/../..
	cp "$root/.clang-format" "$BATS_TEST_TMPDIR"
	cd "$BATS_TEST_TMPDIR"
	mkdir base
	printf 'int f(void)\n{\n\treturn 1;\n}\n' >base/good.c
}

@test "a file in our shape passes" {
	run "$root/scripts/check-format" .
	[ "$status" -eq 0 ]
}

@test "a file in another shape is named" {
	printf 'int f( void ) {\n    return 1; }\n' >base/bad.c
	run "$root/scripts/check-format" .
	[ "$status" -ne 0 ]
	[[ $output == *base/bad.c* ]]
}

@test "--fix writes it in our shape" {
	printf 'int f( void ) {\n    return 1; }\n' >base/bad.c
	"$root/scripts/check-format" --fix .
	cmp base/good.c base/bad.c
}

@test "a place without C files is refused: nothing would be checked" {
	rm base/good.c
	run "$root/scripts/check-format" .
	[ "$status" -ne 0 ]
}

@test "this tree passes" {
	run "$root/scripts/check-format"
	echo "$output"
	[ "$status" -eq 0 ]
}
