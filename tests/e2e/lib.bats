# The library: a program that links -lproffs decides itself.
load ../helper

# The program is a coprocess with three descriptors: ask COMMAND prints its answer.
start_linked() {
	coproc LINKED {
		for fd in /proc/self/fd/*; do
			fd=${fd##*/}
			((fd < 3)) || exec {fd}>&-
		done
		exec "$TARGET/linked" 2>"$ERR"
	}
	PID=$LINKED_PID
	STARTED+=("$PID")
}

ask() {
	local answer
	echo "$*" >&"${LINKED[1]}"
	read -r -t 60 answer <&"${LINKED[0]}"
	echo "$answer"
}

@test "merely linked, it starts no thread, opens no file and makes no mount" {
	start_linked
	is "$(ask threads)" 1
	is "$(ask path)" none
	is "$(ls "/proc/$PID/fd")" "$(printf '0\n1\n2')"
	hasnt "$(cat "/proc/$PID/maps")" libproffs-fs
	hasnt "$(cat "/proc/$PID/maps")" libfuse
	is "$(ask stop)" "$(ask stop)"
	is "$(ask version)" "$("$PROFFS" version | cut -d' ' -f2)"
}

@test "start, path, stop, and start again" {
	start_linked
	for _ in 1 2 3; do
		is "$(ask start "$TREE")" ok
		is "$(ask path)" "$TREE"
		grep -q heap "$TREE/README"
		is "$(ask stop)" ok
		is "$(ask path)" none
		no_mount_left
		is "$(ask threads)" 1
	done
}

@test "a second start is refused, and so is a second stop" {
	start_linked
	is "$(ask start "$TREE")" ok
	is "$(ask start "$TREE")" "Operation already in progress"
	is "$(ask start-detached)" "Operation already in progress"
	is "$(ask stop)" ok
	is "$(ask stop)" "Operation already in progress"
}

@test "without a mount point the tree is published" {
	start_linked
	is "$(ask start-detached)" ok
	place=$(ask path)
	is "$(basename "$place")" "$PID"
	grep -q heap "$place/README"
	[ -z "$(mounts_left)" ]
	is "$(ask stop)" ok
	[ ! -e "$place/README" ]
}

@test "a bad setting starts nothing" {
	start_linked
	is "$(ask start-bad)" "Invalid argument"
	is "$(ask threads)" 1
	is "$(ask path)" none
}

@test "a bad mount point is the caller's error, and the program is as before" {
	start_linked
	mkdir full && touch full/file plain
	is "$(ask start "$PWD/full")" "Directory not empty"
	is "$(ask start "$PWD/plain")" "Not a directory"
	is "$(ask path)" none
	is "$(ask start "$TREE")" ok
}

@test "a program that ends while it is watched leaves no mount" {
	start_linked
	is "$(ask start "$TREE")" ok
	echo quit >&"${LINKED[1]}"
	wait "$PID"
	wait_until 5 no_mount_left
}
