# Does the count that scripts/test ends with tell the truth? Each test makes a log as meson writes it.

setup() {
	root=$BATS_TEST_DIRNAME/../..
	cd "$BATS_TEST_TMPDIR"
	: >log.json
}

# program RESULT EXIT TAP: one more test program in the log.
program() {
	python3 - "$@" >>log.json <<-'END'
		import json, sys
		print(json.dumps({'name': 'unit/x', 'result': sys.argv[1], 'returncode': int(sys.argv[2]),
		                  'stdout': sys.argv[3].replace('|', '\n')}))
	END
}

# counts PASSED FAILED SKIPPED
counts() {
	run "$root/scripts/tally" log.json
	echo "$output"
	[ "$status" -eq 0 ]
	[ "${lines[-1]}" = "$*" ]
}

@test "passed, failed and skipped tests are counted one by one" {
	program OK 0 '1..2|ok 1 a|ok 2 b'
	program FAIL 1 '1..3|ok 1 a|not ok 2 b|# why|ok 3 c # skip no kernel'
	counts 3 1 1
	[[ $output == *"FAILED unit/x: 2 b"* ]]
	[[ $output == *"# why"* ]]
	[[ $output == *"skipped unit/x: 3 c # skip no kernel"* ]]
}

@test "a program that prints no test is a failure" {
	program OK 0 'hello'
	counts 0 1 0
}

@test "a program that crashes before its last test is a failure" {
	program ERROR -11 '1..3|ok 1 a|ok 2 b'
	counts 2 1 0
}

@test "a program that ends badly after its last test is a failure" {
	program ERROR 1 '1..1|ok 1 a'
	counts 1 1 0
}

@test "a timeout is a failure" {
	program TIMEOUT -9 '1..1|ok 1 a'
	counts 1 1 0
}

@test "a log without a program is a failure" {
	counts 0 1 0
	rm log.json
	counts 0 1 0
}

@test "what a test printed before its failure is said, that of another is not" {
	program FAIL 1 '1..3|# of a|ok 1 a|# of b|not ok 2 b|# more of b|ok 3 c|# of nobody'
	counts 2 1 0
	[[ $output == *"# of b"*"# more of b"* ]]
	[[ $output != *"# of a"* && $output != *"# of nobody"* ]]
}

@test "a failure says its first and its last lines" {
	program FAIL 1 "1..1|not ok 1 a$(printf '|# line %s' {1..1000})"
	counts 0 1 0
	[ "${#lines[@]}" -le 40 ]
	[[ $output == *"# line 1"*"# line 20"*"lines more"*"# line 999"*"# line 1000"* ]]
}

@test "all that failed stands before what was asserted, and that before what was printed" {
	local printed="# $(printf 'much %.0s' {1..200})"
	program FAIL 1 "1..3|not ok 1 a|# (in test file x.bats, line 7)|#   \`is \"\$got\" 8' failed|$printed|# is:     9|# should: 8|ok 2 b|not ok 3 c|$printed|# 4 < 5|# test_x.c:7: error: Failure!"
	counts 1 2 0
	[[ $output == "FAILED unit/x: 1 a"$'\n'"FAILED unit/x: 3 c"$'\n'*"line 7"*"failed"*"is:     9"*"should: 8"*"4 < 5"*"test_x.c:7"*"much"*"is:     9"*"much"*"4 < 5"* ]]
	[ "$(grep -n -m 1 much <<<"$output" | cut -d: -f1)" -gt 10 ]
}
