# Do both back ends see what gdb sees? Six threads stand still, each on a stack of another kind.

setup() {
	build=${PROFFS_BUILD:-$BATS_TEST_DIRNAME/../../build}
	cd "$BATS_TEST_TMPDIR"
}

teardown() {
	[ -z "${pid:-}" ] || kill -KILL "$pid"
}

@test "gdb, libunwind and our own walker agree frame for frame" {
	"$build"/tests/unit/sampler_unwind/stopped >ours 3>&- &
	pid=$!
	for _ in {1..200}; do
		grep -q ready ours && break
		sleep 0.05
	done
	timeout 60 gdb -batch -nx -p "$pid" -x "$BATS_TEST_DIRNAME/unwind_gdb.py" 2>&1 | grep ^gdb >gdb
	cat ours gdb
	[ "$(grep -c ^A ours)" -eq 6 ]
	for who in A B; do
		diff <(sed -n "s/^$who //p" ours | sort) <(sed -n 's/^gdb //p' gdb | sort)
	done
}
