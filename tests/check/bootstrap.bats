# Does bootstrap install what a tool of ours calls, quietly, and only when something is missing?

setup() {
	root=$BATS_TEST_DIRNAME/../..
	mkdir "$BATS_TEST_TMPDIR/bin"
}

guard() {
	ls -l /usr/sbin/policy-rc.d 2>/dev/null || echo none
}

# An ordinary user may not write the guard; the rest is the same.
guard_anyway() {
	[ -w /usr/sbin ] || {
		stand_in tee 'cat >/dev/null'
		stand_in chmod :
	}
}

# stand_in NAME SHELL-TEXT: a program of that name comes first.
stand_in() {
	printf '#!/bin/bash\n%s\n' "$2" >"$BATS_TEST_TMPDIR/bin/$1"
	chmod +x "$BATS_TEST_TMPDIR/bin/$1"
}

bootstrap() {
	PATH=$BATS_TEST_TMPDIR/bin:$PATH run "$root/scripts/bootstrap"
	echo "$output"
}

@test "where nothing is missing it says nothing and calls no apt-get" {
	stand_in apt-get "touch $BATS_TEST_TMPDIR/called"
	bootstrap
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	[ ! -e "$BATS_TEST_TMPDIR/called" ]
}

@test "what is missing is named and installed, after the lists, with no service allowed to start" {
	stand_in id 'echo 0'
	guard_anyway
	stand_in dpkg-query '[[ ${@: -1} == bats ]] || echo "ii "'
	stand_in apt-get "echo \"\$* \$(cat /usr/sbin/policy-rc.d | tail -n 1)\" >>$BATS_TEST_TMPDIR/called"
	before=$(guard)
	bootstrap
	[ "$status" -eq 0 ]
	[ "$output" = "installing: bats" ]
	[[ $(sed -n 1p "$BATS_TEST_TMPDIR/called") == *update* ]]
	[[ $(sed -n 2p "$BATS_TEST_TMPDIR/called") == *"install --no-install-recommends bats"* ]]
	[ "$(guard)" = "$before" ]
}

@test "a failed installation is shown, and the guard is removed all the same" {
	stand_in id 'echo 0'
	guard_anyway
	stand_in dpkg-query 'exit 1'
	stand_in apt-get 'echo "no network"; exit 100'
	before=$(guard)
	bootstrap
	[ "$status" -eq 1 ]
	[[ $output == *"no network"* ]]
	[ "$(guard)" = "$before" ]
}
