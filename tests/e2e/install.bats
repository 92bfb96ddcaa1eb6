# The installed program, at the place it is built for, finds its libraries.
load ../helper

@test "what was installed below a DESTDIR works there, wherever it is moved to" {
	DESTDIR=$PWD/staged meson install -C "$BUILD" --no-rebuild --quiet
	mv staged moved
	PROFFS=$(echo moved/*/*/bin/proffs)
	tree_start -- sleep 100
	maps=$(cat "/proc/$PID/maps")
	has "$maps" "$PWD/moved"
	hasnt "$maps" "$BUILD"
	grep -qE "^reaper +ok" "$TREE/status" # so it has found what lies beside it, too
}

@test "proffs run works from /usr/local after meson install" {
	cat >inside.sh <<-'END'
		set -e
		mount -t tmpfs none /usr/local
		meson install -C "$1" --no-rebuild --quiet
		exec /usr/local/bin/proffs run -m "$2" -- sleep 100
	END
	background own_mounts bash inside.sh "$BUILD" "$TREE"
	# The mount table is the program's own: look through its root.
	ready() { [ -r "/proc/$PID/root$TREE/README" ]; }
	wait_until 20 ready || { cat "$OUT" "$ERR"; return 1; }
	grep -q heap "/proc/$PID/root$TREE/README"
	maps=$(cat "/proc/$PID/maps")
	has "$maps" /usr/local/lib
	hasnt "$maps" "$BUILD"
}
