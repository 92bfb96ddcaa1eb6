# A process ends with its last thread, whichever that is and though threads of ours live on.
load ../helper

# ends HOW [WITHOUT-A-LAST-WORD]: the same output and exit code with and without us.
ends() {
	local plain_status=0
	STATUS=0
	"$TARGET/last" "$1" >plain 2>&1 3>&- || plain_status=$?
	timeout -s KILL 60 "$PROFFS" run -m "${MOUNT-$TREE}" -- "$TARGET/last" "$1" >"$OUT" 2>"$ERR" 3>&- || STATUS=$?
	is "$STATUS" "$plain_status"
	is "$(cat "$OUT")" "$(cat plain)"
	is "$STATUS" 0
}

@test "main() leaves by pthread_exit, and its threads end after it" {
	ends main
	has "$(cat "$OUT")" "worked worked worked worked bye"
}

@test "main() is the last thread and leaves by pthread_exit" {
	ends first
	has "$(cat "$OUT")" "worked first bye"
}

@test "a forked child whose only thread returns from its start routine" {
	MOUNT=$TREE-%p # so that the child has threads of ours, too
	ends fork
	has "$(cat "$OUT")" "child ended with 0"
}

@test "a last thread that leaves by a system call" {
	ends raw
	hasnt "$(cat "$OUT")" bye
}
