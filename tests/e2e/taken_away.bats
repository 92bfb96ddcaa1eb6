# What a tree stands on is taken away: its connection, its mount point, the disk, fusermount3. The
# program goes on; who waits is told; nothing stays.
load ../helper

# connection TREE: the number of its FUSE connection
connection() {
	awk -v at="$1" '$5 == at {split($3, device, ":"); print device[2]}' /proc/self/mountinfo
}

# as_root: what needs it; these tests run as root in CI
as_root() {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
}

@test "an aborted connection ends the tree, tells its readers, and the program goes on" {
	as_root
	mkdir control
	ticking_start --dump-on-exit dump
	cat "$TREE/cpu-60s.pprof" >waited 2>said 3>&- &
	reader=$!
	waiting() { grep -q ', 1 waiting' "$TREE/cpu/status"; }
	wait_until 10 waiting
	unshare -m sh -c 'mount -t fusectl none "$1" && echo 1 >"$1/$2/abort"' sh "$PWD/control" "$(connection "$TREE")"
	STATUS=0
	wait "$reader" || STATUS=$?
	is "$STATUS" 1
	grep -Eq 'connection abort|not connected' said
	wait_until 10 no_mount_left
	kill -0 "$PID"
	tree_stop USR1
	is "$STATUS" 5
	grep -qE '^tree +unavailable: lost at 20.*Z: unmounted, or its connection aborted' dump/status
	[ -s dump/heap.pprof ]
}

@test "after an abort there can be another tree in the same place" {
	as_root
	mkdir control
	ticking_start
	first=$PID
	unshare -m sh -c 'mount -t fusectl none "$1" && echo 1 >"$1/$2/abort"' sh "$PWD/control" "$(connection "$TREE")"
	wait_until 10 no_mount_left
	tree_start -- sleep 100
	has "$(cat "$TREE/cmdline" | tr '\0' ' ')" "sleep 100"
	kill -0 "$first"
}

# Another mount namespace has no mount there, so the directory can be removed, and that takes the
# mount away from everybody.
@test "a mount point that is removed from elsewhere ends the tree, and the program goes on" {
	as_root
	mkfifo elsewhere
	unshare -m sh -c 'read _ <"$1" && rmdir "$2"' sh elsewhere "$TREE" 3>&- &
	remover=$!
	STARTED+=("$remover")
	other_namespace() { [ "$(readlink /proc/self/ns/mnt)" != "$(readlink "/proc/$remover/ns/mnt")" ]; }
	wait_until 10 other_namespace
	ticking_start
	echo now >elsewhere
	wait "$remover"
	no_mount_left
	[ ! -e "$TREE" ]
	kill -0 "$PID"
	tree_stop USR1
	is "$STATUS" 5
	is "$(cat "$ERR")" "proffs: $TREE"
}

@test "a mount point that is renamed takes its tree along, and is empty in the end" {
	ticking_start
	mkdir above && tree_stop USR1
	TREE=$PWD/above/tree
	ticking_start
	mv above moved
	TREE=$PWD/moved/tree
	has "$(head -n 1 "$TREE/README")" proffs
	tree_stop USR1
	is "$STATUS" 5
	wait_until 5 no_mount_left
	[ ! -e moved/tree/README ]
}

# full_disk SIZE CMD...: where ./full is a disk of so many bytes
full_disk() {
	mkdir -p full
	(own_mounts bash -c 'mount -t tmpfs -o mode=755,size="$1" none full && shift && "$@"; status=$?
		find full -type f | sed "s/^/file /"; exit $status' sh "$@")
}

@test "a disk that is full at the end is said, what is written is whole, and the exit code is the program's" {
	run full_disk 24k "$PROFFS" run --dump-on-exit full/dump -- bash -c 'echo ran; exit 7'
	is "$status" 7
	has "$output" ran
	has "$output" "full/dump: No space left on device: not all files are written"
	is "$(grep -c 'not all files are written' <<<"$output")" 1
	hasnt "$output" ".new"
	hasnt "$output" "file full/dump/index.html" # the largest
	has "$output" "file full/dump/"             # what there was room for
}

@test "a disk that is full from the beginning is said once, whatever profiles are asked for" {
	run full_disk 4k "$PROFFS" run --cpuprofile --memprofile --profiledir full -- bash -c 'dd if=/dev/zero of=full/all 2>/dev/null; exit 7'
	is "$status" 7
	has "$output" "full: No space left on device: not all files are written"
	is "$(grep -c 'not all files are written' <<<"$output")" 1
	hasnt "$output" ".prof"
}

# dash ends by _exit(2): it is another process that writes, and finds out.
@test "a disk that is full is said to a terminal or a file also where a program ends by _exit or is killed" {
	for end in 'exit 7' 'kill -9 $$'; do
		run full_disk 4k bash -c '"$@" 2>said; status=$?
			for ((i = 0; i < 600; i++)); do grep -q "not all" said && break; sleep 0.1; done
			cat said; exit $status' sh \
			"$PROFFS" run -m "$TREE" --memprofile --profiledir full -- dash -c 'until [ -e "$1/README" ]; do sleep 0.05; done
				dd if=/dev/zero of=full/all 2>/dev/null; '"$end" sh "$TREE"
		is "$status" "$([ "$end" = 'exit 7' ] && echo 7 || echo 137)"
		is "$(grep -c 'full: No space left on device: not all files are written' <<<"$output")" 1
	done
}

@test "a program that has a file of its own in the place of stderr is not written into" {
	run full_disk 4k "$PROFFS" run --memprofile --profiledir full -- bash -c 'dd if=/dev/zero of=full/all 2>/dev/null; exec 2>own; exit 7'
	is "$status" 7
	is "$(cat own)" ""
}

@test "whoever does not listen to stderr, or only to a part, changes nothing at the end" {
	for reader in 'true' 'head -c 1'; do
		run full_disk 4k bash -c '"$@" 2> >(exec '"$reader"' >/dev/null)' sh \
			"$PROFFS" run --memprofile --profiledir full -- bash -c 'dd if=/dev/zero of=full/all 2>/dev/null; sleep 0.3; exit 7'
		is "$status" 7
	done
}

@test "a user without fusermount3 is told so, and the program runs" {
	as_root
	chmod 711 "$BATS_TEST_TMPDIR"
	mkdir -m 700 home && chown nobody home
	run timeout 60 unshare -m bash -c '
		mount --bind /dev/null "$(command -v fusermount3)"
		mount -t tmpfs -o mode=755 none /mnt && mknod -m 666 /mnt/fuse c 10 229 && mount --bind /mnt/fuse /dev/fuse
		exec setpriv --reuid=nobody --regid=nogroup --clear-groups "$@" 2>said' sh \
		"$PROFFS" run -m "$PWD/home/tree" -- \
		bash -c 'until grep -q unwatched said; do sleep 0.05; done; echo ran; exit 3' 3>&-
	output+=$(cat said)
	is "$status" 3
	has "$output" ran
	has "$output" fusermount3
	has "$output" "runs unwatched"
	[ ! -e home/tree ]
}
