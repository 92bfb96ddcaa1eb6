#!/usr/bin/env bats
# The same as an ordinary user, through fusermount3.
#
# Run by root in a mount namespace of its own, where /dev/fuse is as udev makes it on Debian (users
# may open it) and /mnt is a home for the user; so nothing of it can be left behind.

load fs.bash

setup() {
	[ "$(id -u)" -eq 0 ] || skip "for root, who plays the user"
	DIR=$(mktemp -d)
}

# in_user_world SCRIPT: in it u is "as the user", start starts the host, $HOST is its pid
in_user_world() {
	DIR=$DIR timeout 60 unshare -m bash -euc '
		mount -t tmpfs -o mode=755 tests /mnt
		install -d -o nobody -g nogroup -m 700 /mnt/home /mnt/home/run
		cp "$FS_HOST" /mnt/fs_host
		cp "$REAPER" /mnt/reaper
		mknod -m 666 /mnt/fuse c 10 229
		mount --bind /mnt/fuse /dev/fuse
		M=/mnt/home/tree
		REAPER=/mnt/reaper
		HOST=
		u() { setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; }
		start() {
			: >"$DIR/out"
			setpriv --reuid=nobody --regid=nogroup --clear-groups \
				/mnt/fs_host "$@" >"$DIR/out" 2>&1 3>&- &
			HOST=$!
			for _ in $(seq 1200); do
				READY=$(sed -n "s/^ready //p" "$DIR/out")
				[ -z "$READY" ] || return 0
				kill -0 "$HOST" 2>/dev/null || break
				sleep 0.05
			done
			cat "$DIR/out"
			exit 9
		}
		until_true() {
			for _ in $(seq 1200); do ! "$@" || return 0; sleep 0.05; done
			echo "never came true: $*"
			exit 9
		}
		mounted() { grep -q " $M fuse.proffs " /proc/mounts; }
		not() { ! "$@"; }
		not_mounted() { not mounted; }
		trap "[ -z \$HOST ] || kill -9 \$HOST 2>/dev/null || true" EXIT
		cd /
		'"$1"
}

@test "a user's tree is attached, read by the user alone, and removed after kill -9" {
	in_user_world '
		start -m "$M" -r "$REAPER" sigchld
		u head -1 "$M/heap" | grep -q "^text heap"
		u sh -c "echo 98 >$M/cpu/hz" && [ "$(u cat "$M/cpu/hz")" = 98 ]
		not setpriv --reuid=daemon --regid=daemon --clear-groups cat "$M/heap" 2>/dev/null
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
		export XDG_RUNTIME_DIR=/mnt/home/run
		start -r "$REAPER"
		[ "$READY" = "$XDG_RUNTIME_DIR/proffs/$HOST" ]
		u head -1 "$READY/heap" | grep -q "^text heap"
		not grep -q "/mnt/.*fuse.proffs" /proc/mounts
		[ "$(ls -A "$XDG_RUNTIME_DIR/proffs")" = "$HOST" ]
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

@test "a user who may not open /dev/fuse is told so" {
	run -9 in_user_world '
		chmod 600 /mnt/fuse
		start -m "$M" -r "$REAPER"'
	[[ $output == *"failed: fusermount3: failed to open /dev/fuse: Permission denied"* ]]
}

@test "what fusermount3 refuses is said in its own words" {
	run -9 in_user_world '
		u() { setpriv --reuid=12345 --regid=12345 --clear-groups "$@"; }
		chown 12345 /mnt/home /mnt/home/run
		: >"$DIR/out"
		u /mnt/fs_host -m "$M" -r "$REAPER" >"$DIR/out" 2>&1 3>&- &
		wait $! || true
		cat "$DIR/out"
		exit 9'
	[[ $output == *"failed: fusermount3: could not determine username"* ]]
}

# As in a minimal Debian: everything else of /etc is there.
hide_mtab='
	mkdir /mnt/etc
	cp -a /etc/. /mnt/etc
	rm -f /mnt/etc/mtab
	mount --bind /mnt/etc /etc'

@test "without /etc/mtab a user gets no tree that could not be detached, and is told of one that will stay" {
	run -9 in_user_world "$hide_mtab"'
		export XDG_RUNTIME_DIR=/mnt/home/run
		start -r "$REAPER"'
	[[ $output == *"there is no /etc/mtab"* ]]
	in_user_world "$hide_mtab"'
		start -m "$M" -r "$REAPER"
		u grep -q "^reaper *unavailable: fusermount3 cannot unmount without /etc/mtab" "$M/status"
		u head -1 "$M/heap" | grep -q "^text heap"
		kill $HOST
		wait $HOST || true
		until_true not pgrep -f "^proffs-reaper .* proffs-$HOST "'
}

teardown() {
	rm -rf "${DIR:-}"
}
