# Security: one test for each sentence of what is promised.
load ../helper

# as_other CMD...: as a user who is neither root nor the tree's owner
as_other() {
	setpriv --reuid=12345 --regid=12345 --clear-groups "$@"
}

for_root() {
	[ "$(id -u)" -eq 0 ] || skip "for root"
}

# where others could come through, if the tree let them
open_place() {
	TREE=$PROFFS_TEST_DIR/$BATS_TEST_NUMBER
}

@test "files are 0400 or 0600, directories 0500 or 0700, and their owner is who runs the program" {
	tree_start -- sleep 100
	echo one >"$TREE/snapshot"
	is "$(find "$TREE" -type f -printf '%m\n' | sort -u | tr '\n' ' ')" "400 600 "
	is "$(find "$TREE" -type d -printf '%m\n' | sort -u | tr '\n' ' ')" "500 700 "
	is "$(find "$TREE" -printf '%u\n' | sort -u)" "$(id -un)"
	# What takes writes is 0600, what names can be taken out of is 0700; nothing else is.
	is "$(find "$TREE" -type f -perm 600 ! -path '*/config/*' -printf '%f\n' | sort -u | tr '\n' ' ')" \
		"$(find "$TREE" -type f ! -path '*/config/*' -exec sh -c 'for f; do dd if=/dev/null of="$f" conv=notrunc 2>/dev/null && echo "${f##*/}"; done' - {} + | sort -u | tr '\n' ' ')" || for_root
	is "$(find "$TREE" -type d -perm 700 -printf '%P\n' | sort | tr '\n' ' ')" "captures captures/one "
}

@test "the owner is the effective user at the start, also after the program has become another" {
	for_root
	open_place
	tree_start -- /usr/bin/python3 -c '
import os, time
while not os.path.exists("go"): time.sleep(0.05)
os.setresuid(12345, 12345, 12345)
print("other", flush=True)
time.sleep(100)'
	touch go
	wait_until 10 says other
	is "$(stat -c %u "$TREE/heap")" 0
	[ -r "$TREE/README" ]
	run as_other cat "$TREE/README"
	has "$output" "Permission denied"
}

@test "nobody else may look, list, write or pass through" {
	for_root
	open_place
	tree_start -- sleep 100
	for try in "cat $TREE/status" "ls $TREE" "cat $TREE/cpu/hz" "stat $TREE/heap" "ls $TREE/captures"; do
		run as_other $try
		[ "$status" -ne 0 ]
		has "$output" "Permission denied"
	done
	run as_other sh -c "echo 1 >$TREE/gc"
	has "$output" "Permission denied"
	is "$(cat "$TREE/gc")" never
	hasnt "$(grep " $TREE " /proc/mounts)" allow_other
}

@test "allow_other comes on request only, never without the modes, and they keep others out" {
	for_root
	open_place
	PROFFS_ALLOW_OTHER=1 tree_start -- sleep 100
	has "$(grep " $TREE " /proc/mounts)" default_permissions
	has "$(grep " $TREE " /proc/mounts)" allow_other
	for try in "cat $TREE/status" "ls $TREE" "cat $TREE/cpu/hz" "ls $TREE/captures"; do
		run as_other $try
		[ "$status" -ne 0 ]
		has "$output" "Permission denied"
	done
	run as_other sh -c "echo 1 >$TREE/gc"
	has "$output" "Permission denied"
	is "$(cat "$TREE/gc")" never
	PROFFS_ALLOW_OTHER=yes run "$PROFFS" run -m "$TREE.2" -- sleep 0.3
	has "$output" "bad value"
}

# preloaded_says DIR WORDS: so it says of a tree there, and its program lives on
preloaded_says() {
	background env LD_PRELOAD="$BUILD/libproffs.so" PROFFS_MOUNT="$PWD/$1" sleep 100
	wait_until 10 grep -q "$2" "$ERR"
	tree_stop
	is "$STATUS" 143
}

@test "a symbolic link or somebody else's directory at the mount point is refused, and the program runs" {
	mkdir real
	ln -s real link
	run "$PROFFS" run -m link -- sh -c 'echo ran'
	has "$output" "symbolic link"
	has "$output" ran
	is "$(ls -A real)" ""
	# Also to whoever comes past `proffs run`.
	preloaded_says link "symbolic link"
	hasnt "$(cat /proc/mounts)" "$PWD"
	for_root
	mkdir foreign
	chown 12345 foreign
	run "$PROFFS" run -m foreign -- echo ran
	has "$output" "another user"
	has "$output" ran
	preloaded_says foreign "somebody else"
	hasnt "$(cat /proc/mounts)" "$PWD"
}

@test "a program with more rights than its user never loads us from the environment" {
	for_root
	open_place
	cp "$(command -v sleep)" "$PROFFS_TEST_DIR/setuid-sleep"
	chmod 4755 "$PROFFS_TEST_DIR/setuid-sleep"
	setpriv --reuid=12345 --regid=12345 --clear-groups \
		env LD_PRELOAD="$BUILD/libproffs.so" PROFFS_MOUNT="$TREE" \
		"$PROFFS_TEST_DIR/setuid-sleep" 100 2>/dev/null 3>&- &
	PID=$!
	STARTED+=("$PID")
	is_sleep() { [ "$(readlink "/proc/$PID/exe")" = "$PROFFS_TEST_DIR/setuid-sleep" ]; }
	wait_until 5 is_sleep
	has "$(cat "/proc/$PID/maps")" libc.so
	hasnt "$(cat "/proc/$PID/maps")" libproffs
	tree_stop KILL
	# And where the loader has us all the same (linked, or in /etc/ld.so.preload): AT_SECURE.
	cat >linked.c <<-C
		#include <proffs/proffs.h>
		#include <stdio.h>
		#include <stdlib.h>
		#include <unistd.h>
		int main(int argc, char **argv) {
			proffs_version(); /* argument: for how many tenths of a second it waits for a tree */
			for (int i = 0; i < atoi(argv[1]) && !proffs_path(); i++)
				usleep(100000);
			printf("%s\n", proffs_path() ? "watched" : "unwatched");
		}
	C
	${CC:-cc} -I"$SOURCE/include" -o "$PROFFS_TEST_DIR/linked" linked.c -L"$BUILD" -lproffs -Wl,-rpath,"$BUILD"
	mkdir -m 777 "$PROFFS_TEST_DIR/m"
	is "$(PROFFS_MOUNT=$PROFFS_TEST_DIR/m/tree "$PROFFS_TEST_DIR/linked" 600)" watched
	chmod 4755 "$PROFFS_TEST_DIR/linked"
	is "$(PROFFS_MOUNT=$PROFFS_TEST_DIR/m/tree as_other "$PROFFS_TEST_DIR/linked" 4)" unwatched
}

@test "no terminal escape comes from a command line or a program's name" {
	cp "$(command -v sleep)" $'s\033[31mred'
	tree_start -- $'./s\033[31mred' 100
	for name in status threads stats metrics buildinfo heap error_log; do
		cat "$TREE/$name" >text
		hasnt "$(cat text)" $'\033'
	done
	hasnt "$("$PROFFS" list)" $'\033'
	has "$("$PROFFS" list)" "?[31mred"
	# cmdline is for programs, byte by byte, as in /proc.
	cmp "$TREE/cmdline" "/proc/$PID/cmdline"
}
