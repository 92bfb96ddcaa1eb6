# Does the runner of bats files end what hangs, and name what is left behind?

setup() {
	root=$BATS_TEST_DIRNAME/../..
	cd "$BATS_TEST_TMPDIR"
	odd=12345.$$ # so long sleeps nobody else, not even this file in another tree
}

@test "a file that passes leaves its result and nothing else" {
	echo '@test "fine" { [ -d "$HOME" ] && [ "$TMPDIR" = "$PROFFS_TEST_DIR" ] && touch "$TMPDIR/x"; }' >a.bats
	run "$root/tests/run-bats" 100 a.bats
	[ "$status" -eq 0 ]
	[ "${lines[1]}" = "ok 1 fine" ]
	[ -z "$(ls -d proffs-test.* "$TMPDIR"/proffs-test.* 2>/dev/null)" ]
}

@test "a file that hangs is ended, after its stacks were printed" {
	echo '@test "hangs" { sleep 1000; }' >a.bats
	run "$root/tests/run-bats" 6 a.bats
	[ "$status" -ne 0 ]
	[[ $output == *": sleep 1000"* ]]
	[[ $output == *clock_nanosleep* ]]
	[[ $output == *"Bail out! a.bats was not done after 6 s"* ]]
}

@test "a process that is left behind is named, ended, and fails the file" {
	echo '@test "careless" { setsid sleep '"$odd"' >/dev/null 2>&1 3>&- & }' >a.bats
	run "$root/tests/run-bats" 100 a.bats
	echo "$output"
	[ "$status" -ne 0 ]
	[[ $output == *"left behind: process "*": sleep $odd"* ]]
	[ -z "$(pgrep -fx "sleep $odd")" ]
}

@test "a process that wrote over its environment is found, too" {
	echo '@test "careless" { env -i sleep '"$odd"' >/dev/null 2>&1 3>&- & }' >a.bats
	run "$root/tests/run-bats" 100 a.bats
	echo "$output"
	[ "$status" -ne 0 ]
	[[ $output == *"left behind: process "*": sleep $odd"* ]]
	[ -z "$(pgrep -fx "sleep $odd")" ]
}

@test "told to end, it ends everything first" {
	echo '@test "busy" { touch "$DIR_OF_TEST/started"; setsid sleep '"$odd"' & env -i sleep '"$odd"'; }' >a.bats
	DIR_OF_TEST=$PWD "$root/tests/run-bats" 60 a.bats 3>&- >out 2>&1 &
	runner=$!
	until [ -e started ]; do sleep 0.1; done
	kill -TERM "$runner"
	wait "$runner" || [ $? -eq 143 ]
	[ -z "$(pgrep -fx "sleep $odd")" ]
}
