#!/usr/bin/env bats
# The same as an ordinary user, through fusermount3. Run by root in a mount namespace of its own,
# with a /dev/fuse that users may open, as Debian's udev makes it.

load fs.bash

setup() {
	DIR=$(mktemp -d)
	chmod 755 "$DIR"
	mkdir "$DIR/home" "$DIR/home/run"
	chown -R 1000:1000 "$DIR/home"
	chmod 700 "$DIR/home/run"
	mknod "$DIR/fuse" c 10 229
	chmod 666 "$DIR/fuse"
	M=$DIR/home/tree
}

# in_user_world SCRIPT: with HOST as the host's pid and "u" as "as the user"
in_user_world() {
	DIR=$DIR M=$M timeout 60 unshare -m bash -euc '
		mount --bind "$DIR/fuse" /dev/fuse
		u() { setpriv --reuid=1000 --regid=1000 --clear-groups "$@"; }
		start() {
			: >"$DIR/out"
			setpriv --reuid=1000 --regid=1000 --clear-groups \
				"$FS_HOST" "$@" >"$DIR/out" 2>&1 3>&- &
			HOST=$!
			for _ in $(seq 100); do
				READY=$(sed -n "s/^ready //p" "$DIR/out")
				[ -z "$READY" ] || return 0
				sleep 0.05
			done
			cat "$DIR/out"
			exit 9
		}
		until_true() {
			for _ in $(seq 200); do ! "$@" || return 0; sleep 0.05; done
			echo "never came true: $*"
			exit 9
		}
		mounted() { grep -q " $M fuse.proffs " /proc/mounts; }
		not() { ! "$@"; }
		not_mounted() { not mounted; }
		trap "kill -9 \$HOST 2>/dev/null || true" EXIT
		cd /
		'"$1"
}

@test "a user's tree is attached, read by the user alone, and removed after kill -9" {
	in_user_world '
		start -m "$M" -r "$REAPER" sigchld
		u head -1 "$M/heap" | grep -q "^text heap"
		u sh -c "echo 98 >$M/cpu/hz" && [ "$(u cat "$M/cpu/hz")" = 98 ]
		not setpriv --reuid=1001 --regid=1001 --clear-groups cat "$M/heap" 2>/dev/null
		grep -q "^sigchld 0 wait -1 No child" "$DIR/out"
		kill -9 $HOST
		until_true not_mounted'
}

@test "a user's clean stop leaves no mount" {
	in_user_world '
		start -m "$M" -r "$REAPER"
		kill -USR1 $HOST
		wait $HOST
		not_mounted'
}

@test "a user's detached tree is published, in no mount table, and goes with its process" {
	in_user_world '
		export XDG_RUNTIME_DIR=$DIR/home/run
		start -r "$REAPER"
		[ "$READY" = "$XDG_RUNTIME_DIR/proffs/$HOST" ]
		u head -1 "$READY/heap" | grep -q "^text heap"
		not grep -q "$DIR.*fuse.proffs" /proc/mounts
		[ -z "$(ls -A "$XDG_RUNTIME_DIR/proffs" | grep mount)" ]
		kill -9 $HOST
		gone() { [ ! -L "$READY" ]; }
		until_true gone'
}

@test "the remains of a user's dead tree are replaced" {
	in_user_world '
		start -m "$M"
		kill -9 $HOST
		wait $HOST || true
		mounted
		start -m "$M" -r "$REAPER"
		u head -1 "$M/heap" | grep -q "^text heap"
		kill -USR1 $HOST
		wait $HOST
		not_mounted'
}

@test "a user without /dev/fuse is told so" {
	run -3 setpriv --reuid=1000 --regid=1000 --clear-groups \
		env -C / unshare -Ur "$FS_HOST" -m "$M"
	[[ $output == *"not permitted"* || $output == *"/dev/fuse"* ]]
}

teardown() {
	rm -rf "$DIR"
}
