# The soak test itself, for as long as it takes to start everything. Hours of it: scripts/soak.
load real

@test "scripts/soak works: redis and chaos under readers, captures and controls" {
	unset PROFFS_ENABLE
	PROFFS_BUILD=$BUILD TMPDIR=$BATS_TEST_TMPDIR "$SOURCE/scripts/soak" 15 || {
		cat "$BATS_TEST_TMPDIR"/proffs-soak.*/{chaos,redis}.{out,err}
		return 1
	}
}
